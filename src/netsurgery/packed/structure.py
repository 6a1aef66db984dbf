"""The structure of a graph as flags and numbers: what of it can be foretold and what has to be said.

Writer and reader both ask here, so that they can't disagree about an expectation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from netsurgery.graph.ir import Graph, Input, Node
from netsurgery.graph.operators import OPERATORS, Attribute, Expected, Length, Operand, Operator, Shape, Work
from netsurgery.graph.value_types import ValueType

OPERATOR_OF_CODE: dict[int, Operator] = {operator.code: operator for operator in OPERATORS.values()}


def zigzag(number: int) -> int:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ...: how a number that may be negative is coded."""
    return 2 * number if number >= 0 else -2 * number - 1


def unzigzag(code: int) -> int:
    """The number of a code."""
    return code // 2 if code % 2 == 0 else -(code + 1) // 2


def made_up_axes(inputs: Sequence[Input]) -> tuple[str, ...]:
    """The names of open axes where a file has none: the first is the batch if it comes first in an input."""
    axes = tuple(dict.fromkeys(name for given in inputs for name in given.axes))
    leads = any(given.shape[:1] == axes[:1] for given in inputs)
    return tuple("batch" if place == 0 and leads else f"axis_{place + 1}" for place in range(len(axes)))


def is_usual(given: Input, before: Sequence[str], graph: Graph) -> bool:
    """True for an input of float32 whose first size is open and no other: the first axis of all, any size from 1 on.

    before: the axes of the inputs before it.
    """
    leads_alone = (
        bool(given.axes) and given.shape[:1] == given.axes and not any(map(given.axes.__contains__, given.shape[1:]))
    )
    if given.type is not ValueType.FLOAT32 or not leads_alone:
        return False
    (name,) = given.axes
    return name == before[0] if before else graph.least[name] == 1 and name not in graph.steps


def default_of(attribute: Attribute, x: Shape, open_axes: bool) -> Any:
    """What an attribute is unless a flag says otherwise; None if there is nothing to expect."""
    if attribute.flattens and len(x) >= 1:
        return (-1 if open_axes else x[0], math.prod(x[1:]))
    return attribute.default


def expected_shape(
    operand: Operand, shapes: Sequence[Shape | None], attributes: Mapping[str, Any]
) -> tuple[int | None, ...] | None:
    """The shape of a new constant as far as its node tells: None for open sizes, or None for all of it.

    shapes: of the node's operands before this one; the first two are enough.
    """
    x = shapes[0] if shapes else None
    if x is None:
        return None
    if operand.expected is Expected.KERNEL and len(x) >= 3 and x[1] % attributes["groups"] == 0:
        return (None, x[1] // attributes["groups"], *(None,) * (len(x) - 2))
    if operand.expected is Expected.MATRIX and len(x) >= 1:
        return (None, x[-1])
    if operand.expected is Expected.GATES and len(x) >= 1:
        return (x[-1], None)
    weight = shapes[1] if len(shapes) > 1 else None
    if operand.expected is Expected.OUTPUTS and weight is not None:
        return weight[:1]
    if operand.expected is Expected.FROM_AXIS:
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
    while producer is not None and OPERATORS[producer.operator].work is Work.ENTRYWISE:
        producer = producers.get(producer.inputs[0] or "")
    if reader.operator != "Linear" or producer is None or producer.operator != "Reshape":
        return (1, 1)
    source = shapes[producer.inputs[0] or ""]
    if len(source) < 3 or math.prod(source[1:]) != shapes[producer.output][-1]:
        return (1, 1)
    return (math.prod(source[2:]), source[-1])


def padded_entries(operator: Operator, x: Shape, attributes: Mapping[str, Any]) -> int:
    """Entries of x with the padding around its images, which an executor may have to hold; 0 where there is none."""
    around_images = any(one.name == "pads" and one.length is Length.TWICE_SPATIAL for one in operator.attributes)
    if not around_images or not attributes["pads"]:
        return 0
    begins, ends = attributes["pads"][: len(x) - 2], attributes["pads"][len(x) - 2 :]
    return math.prod(x[:2]) * math.prod(sum(sizes) for sizes in zip(x[2:], begins, ends, strict=True))
