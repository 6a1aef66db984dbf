"""The structure of a graph as flags and numbers: what of it can be foretold and what has to be said.

Writer and reader both ask here, so that they can't disagree about an expectation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from netsurgery.graph.ir import Node
from netsurgery.graph.operators import OPERATORS, Attribute, Operator, Shape

OPERATOR_OF_CODE: dict[int, Operator] = {operator.code: operator for operator in OPERATORS.values()}


def zigzag(number: int) -> int:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ...: how a number that may be negative is coded."""
    return 2 * number if number >= 0 else -2 * number - 1


def unzigzag(code: int) -> int:
    """The number of a code."""
    return code // 2 if code % 2 == 0 else -(code + 1) // 2


def default_of(operator: Operator, attribute: Attribute, x: Shape, dynamic_batch: bool) -> Any:
    """What an attribute is unless a flag says otherwise; None if there is nothing to expect.

    A Reshape is expected to flatten everything behind the first axis.
    """
    if operator.name == "Reshape" and len(x) >= 1:
        return (-1 if dynamic_batch else x[0], math.prod(x[1:]))
    return attribute.default


def expected_count(operator: Operator, attribute: Attribute, x: Shape) -> int:
    """How many numbers an attribute of the kind `ints` or `floats` is expected to have."""
    spatial = max(len(x) - 2, 0)
    if attribute.name == "pads":
        return 2 * len(x) if operator.name == "Pad" else 2 * spatial
    if attribute.name == "order":
        return len(x)
    return {"shape": 2, "axes": 1}.get(attribute.name, spatial)


def expected_shape(
    operator: Operator, operand: str, shapes: Sequence[Shape | None], attributes: Mapping[str, Any]
) -> tuple[int | None, ...] | None:
    """The shape of a new constant as far as its node tells: None for open sizes, or None for all of it.

    shapes: of the node's operands before this one; the first two are enough.
    """
    x = shapes[0] if shapes else None
    if x is None:
        return None
    if operator.name == "Conv" and operand == "weight" and len(x) >= 3 and x[1] % attributes["groups"] == 0:
        return (None, x[1] // attributes["groups"], *(None,) * (len(x) - 2))
    if operator.name == "Linear" and operand == "weight" and len(x) >= 1:
        return (None, x[-1])
    weight = shapes[1] if len(shapes) > 1 else None
    if operand == "bias" and operator.name in ("Conv", "Linear") and weight is not None:
        return weight[:1]
    if operator.name == "LayerNorm":
        return x[attributes["axis"] :]
    return None


def grid_of(shape: Shape, plane: int = 1, width: int = 1) -> tuple[int, int, int, int]:
    """(rows, columns, plane, width): a tensor as a matrix with one row for each output.

    plane, width: of a matrix whose columns are channels of `plane` entries in lines of `width`; a kernel says it.
    """
    if len(shape) < 2:
        return (1, max(math.prod(shape), 1), 1, 1)
    if len(shape) == 2:
        return (shape[0], shape[1], plane, width)
    return (shape[0], math.prod(shape[1:]), math.prod(shape[2:]), shape[-1])


def picture_of(producers: Mapping[str, Node], reader: Node, shapes: Mapping[str, Shape]) -> tuple[int, int]:
    """(plane, width) of the channels that a Linear reads flattened, (1, 1) if it doesn't. It only helps prediction."""
    producer = producers.get(reader.inputs[0] or "")
    while producer is not None and OPERATORS[producer.operator].shape is OPERATORS["Relu"].shape:
        producer = producers.get(producer.inputs[0] or "")
    if reader.operator != "Linear" or producer is None or producer.operator != "Reshape":
        return (1, 1)
    source = shapes[producer.inputs[0] or ""]
    if len(source) < 3 or math.prod(source[1:]) != shapes[producer.output][-1]:
        return (1, 1)
    return (math.prod(source[2:]), source[-1])


def padded_entries(operator: Operator, x: Shape, attributes: Mapping[str, Any]) -> int:
    """Entries of a Conv's or pool's input with its padding around it, which an executor may have to hold; else 0."""
    if operator.name == "Pad" or not attributes.get("pads"):
        return 0
    begins, ends = attributes["pads"][: len(x) - 2], attributes["pads"][len(x) - 2 :]
    return math.prod(x[:2]) * math.prod(sum(sizes) for sizes in zip(x[2:], begins, ends, strict=True))
