"""What rewritings ask of a model in which masks say where something is set, and the choice that they make of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx

from netsurgery.graph.from_onnx.constants import AnyArray, attributes, can_be_known
from netsurgery.graph.from_onnx.rewriting.names import names_in
from netsurgery.graph.ir import unlike

Shape: TypeAlias = tuple[int | None, ...]
"""Sizes, as far as they are known."""

_AXES_AS_OPERAND = 13
"""The opset since which Unsqueeze and ReduceSum have their axes as an operand."""

_REDUCED_AXES_AS_OPERAND = 18
"""The opset since which all other reductions have."""


class Choices:
    """A model whose nodes are being replaced. Constants that these need are added to it at once."""

    def __init__(self, model: onnx.ModelProto, opset: int) -> None:
        self._graph = model.graph
        self._taken = names_in(model.graph)
        self._makers = {name: node for node in model.graph.node for name in node.output if name}
        self._constants = {one.name: one for one in model.graph.initializer}
        self._shapes = _shapes(model)
        self.opset = opset

    def name(self, wish: str) -> str:
        """A name that no value has."""
        return unlike(wish, self._taken)

    def shape_of(self, name: str) -> Shape | None:
        """The sizes of a value, as far as the model or onnx knows them."""
        return self._shapes.get(name)

    def rank_of(self, name: str) -> int | None:
        """How many axes a value has, as far as that is known."""
        shape = self._shapes.get(name)
        return None if shape is None else len(shape)

    def axes_behind(self, mask: str, x: str) -> range | None:
        """The axes that x has behind those of a mask; None where they aren't known, or the mask isn't one of all of x.

        Places in a mask of one row are places in the first row of x, where a choice would be one for each row.
        """
        places, sizes = self.shape_of(mask), self.shape_of(x)
        if places is None or sizes is None or not 0 < len(places) <= len(sizes):
            return None
        spreads = any(own == 1 and size != 1 for own, size in zip(places, sizes, strict=False))
        return None if spreads else range(len(places), len(sizes))

    def known(self, name: str) -> AnyArray | None:
        """The entries of an initialiser or a Constant."""
        if name in self._constants:
            return onnx.numpy_helper.to_array(self._constants[name])
        maker = self._makers.get(name)
        if maker is None or maker.op_type != "Constant":
            return None
        given = attributes(maker)
        value = next(iter(given.values())) if len(given) == 1 else None
        return None if value is None else np.asarray(value)

    def axes(self, node: onnx.NodeProto) -> list[int] | None:
        """The axes of a Squeeze, an Unsqueeze or a reduction; None where they aren't named, or are computed."""
        given = attributes(node)
        if "axes" in given:
            return [int(axis) for axis in given["axes"]]
        entries = self.known(node.input[1]) if len(node.input) > 1 else None
        return None if entries is None else [int(axis) for axis in entries.reshape(-1)]

    def maker(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a value."""
        return self._makers.get(name)

    def is_of_first(self, node: onnx.NodeProto) -> bool:
        """Whether a node is a Slice of the first entries along the first axis."""
        if node.op_type != "Slice" or node.domain or len(node.input) < 3:
            return False
        for place, wanted in ((1, 0), (3, 0), (4, 1)):
            entries = self.known(node.input[place]) if place < len(node.input) and node.input[place] else [wanted]
            if entries is None or not np.array_equal(entries, [wanted]):
                return False
        return True

    def root(self, mask: str) -> str:
        """The mask that one was made of which only has more axes behind, and spreads along these."""
        while (maker := self._makers.get(mask)) is not None:
            axes = self.axes(maker) if maker.op_type == "Unsqueeze" else None
            rank = self.rank_of(maker.input[0]) if axes else None
            behind = axes and rank is not None and min(axis % (rank + len(axes)) for axis in axes) >= rank
            if not behind and maker.op_type not in ("Expand", "Identity"):
                break
            mask = maker.input[0]
        return mask

    def made_alike(self, one: str, other: str, further: int) -> bool:
        """Whether two values are one, or made by the same nodes of the same values, so many nodes back."""
        if one == other:
            return True
        made, likewise = self._makers.get(one), self._makers.get(other)
        if made is None or likewise is None or not further or not can_be_known(made):
            return False
        same = [list(node.output).index(name) for node, name in ((made, one), (likewise, other))]
        said = [sorted(item.SerializeToString() for item in node.attribute) for node in (made, likewise)]
        if same[0] != same[1] or said[0] != said[1] or len(made.input) != len(likewise.input):
            return False
        return (made.op_type, made.domain) == (likewise.op_type, likewise.domain) and all(
            self.made_alike(a, b, further - 1) for a, b in zip(made.input, likewise.input, strict=True)
        )

    def constant(self, entries: AnyArray, wish: str) -> str:
        """The name of a new constant."""
        name = self.name(wish)
        self._graph.initializer.append(onnx.numpy_helper.from_array(entries, name))
        return name

    def copied(self, node: onnx.NodeProto, operands: Sequence[str], output: str, **changed: Any) -> onnx.NodeProto:
        """The same of other operands, with some attributes changed."""
        made = onnx.NodeProto()
        made.CopyFrom(node)
        del made.input[:], made.output[:]
        made.input.extend(operands)
        made.output.append(output)
        for name, value in changed.items():
            kept = [item for item in made.attribute if item.name != name]
            del made.attribute[:]
            made.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])
        return made

    def reduced(self, node: onnx.NodeProto, x: str, axes: Sequence[int], output: str) -> list[onnx.NodeProto]:
        """The same reduction of another value over other axes."""
        operand_from = _AXES_AS_OPERAND if node.op_type == "ReduceSum" else _REDUCED_AXES_AS_OPERAND
        if self.opset >= operand_from:
            return [self.copied(node, [x, self.constant(np.array(axes, np.int64), f"{output}.axes")], output)]
        return [self.copied(node, [x], output, axes=list(axes))]

    def choice(self, node: onnx.NodeProto, mask: str, value: str, axes: list[int]) -> list[onnx.NodeProto]:
        """The nodes in the place of a ScatterND: the value where the mask is true, elsewhere what there was."""
        chosen, spread = (self.name(f"{node.output[0]}.{role}") for role in ("chosen", "spread"))
        nodes = [onnx.helper.make_node("Cast", [mask], [chosen], node.name, to=onnx.TensorProto.BOOL)]
        if axes and self.opset >= _AXES_AS_OPERAND:
            places = self.constant(np.array(axes, np.int64), f"{node.output[0]}.axes")
            nodes.append(onnx.helper.make_node("Unsqueeze", [chosen, places], [spread], node.name))
        elif axes:
            nodes.append(onnx.helper.make_node("Unsqueeze", [chosen], [spread], node.name, axes=axes))
        operands = [spread if axes else chosen, value, node.input[0]]
        return [*nodes, onnx.helper.make_node("Where", operands, [node.output[0]], node.name)]

    def next_ones(self, node: onnx.NodeProto, mask: str, entries: str, output: str) -> list[onnx.NodeProto]:
        """For each place of a mask the entry of a list whose turn it is there: as many come before as there are true.

        Where none has come yet, the first one.
        """
        roles = ("row", "ones", "sums", "turns", "numbers", "sizes", "places", "true")
        row, ones, sums, turns, numbers, sizes, places, true = (self.name(f"{output}.{role}") for role in roles)
        to_row, first, one, none = (
            self.constant(np.array(value, np.int64), f"{output}.{role}")
            for value, role in (([-1], "shape"), (0, "axis"), (1, "one"), (0, "none"))
        )
        steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
            ("Cast", [mask], true, {"to": onnx.TensorProto.BOOL}),
            ("Cast", [true], ones, {"to": onnx.TensorProto.INT64}),
            ("Reshape", [ones, to_row], row, {}),
            ("CumSum", [row, first], sums, {}),
            ("Sub", [sums, one], turns, {}),
            ("Max", [turns, none], numbers, {}),
            ("Shape", [mask], sizes, {}),
            ("Reshape", [numbers, sizes], places, {}),
            ("Gather", [entries, places], output, {}),
        )
        return [onnx.helper.make_node(name, given, [made], node.name, **more) for name, given, made, more in steps]


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Name of a value -> its sizes, as far as the model or onnx knows them."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (RuntimeError, ValueError):  # such as a model beyond protobuf's limit: what it says itself is left
        graph = model.graph
    known: dict[str, Shape] = {one.name: tuple(one.dims) for one in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.HasField("shape"):
            sizes = value.type.tensor_type.shape.dim
            known[value.name] = tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)
    return known
