"""Entries that a mask picks: a graph computes with all and puts back those, as `from_torch/picked.py` has torch's.

Exporters write `y[mask] = f(x[mask])` as NonZero, which finds as many places as there are, GatherND of x, and ScatterND
of what is computed. That is Where(mask, f(x), y), as long as f makes of each picked entry, or row, what it makes of it
alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from netsurgery.graph.from_onnx.constants import attributes
from netsurgery.graph.from_onnx.found import OF_EACH
from netsurgery.graph.from_onnx.rewriting.choices import Choices, Shape

_FURTHEST = 8
"""How many nodes back masks are compared."""

_SAME_LIST = ("Cast", "Identity", "Max")
"""What leaves a list of places what it is, given nothing else; exporters write Max of one."""

_MOVES = ("Identity", "Dropout", "Cast")


@dataclass(frozen=True)
class _Picked:
    """The entries of `whole` that a mask finds along its first axes. behind: how many axes stand behind these.

    ending: they go into ScatterND, and nowhere else: cut to their number, or spread. row: the sizes behind, where all
    numbers lie in one row.
    """

    whole: str
    mask: str
    behind: int
    ending: bool = False
    row: Shape | None = None


class Picks:
    """What is known of the values so far: lists of places by the mask that they are of, and picked entries."""

    def __init__(self, choices: Choices) -> None:
        self._made = choices
        self.places: dict[str, str] = {}
        """What NonZero finds, a place to a row -> the mask."""
        self._lists: dict[str, str] = {}
        """The same, an axis of the mask to a row."""
        self._flat: dict[str, str] = {}
        """The same of a mask of one axis, without rows."""
        self._picked: dict[str, _Picked] = {}

    def instead_of(self, node: onnx.NodeProto) -> Sequence[onnx.NodeProto]:
        """The nodes in the place of one: itself, and before it what computes the same for all entries, or a choice.

        Where a choice follows, nobody needs what was computed for picked entries, and the reader leaves that out.
        """
        if node.domain or not node.output:
            return [node]
        self._find_places(node)
        if node.op_type == "ScatterND":
            return self._put_back(node) or self._of_list(node) or [node]
        found = self._found(node)
        if found is not None:
            self._picked[node.output[0]] = found
            return [node]
        if any(name in self._picked for name in node.input):
            return [*self._of_whole(node), node]
        return [node]

    def _find_places(self, node: onnx.NodeProto) -> None:
        operator, out, given = node.op_type, node.output[0], [name for name in node.input if name]
        first = given[0] if given else ""
        if operator == "NonZero":
            self._lists[out] = first
        elif first in self._lists and operator == "Transpose" and attributes(node).get("perm", [1, 0]) == [1, 0]:
            self.places[out] = self._lists[first]
        elif first in self._lists and operator == "Squeeze" and self._made.axes(node) == [0]:
            self._flat[out] = self._lists[first]
        elif first in self.places and operator == "Squeeze" and self._made.axes(node) in ([1], [-1]):
            self._flat[out] = self.places[first]
        elif first in self._flat and operator == "Unsqueeze" and self._made.axes(node) in ([1], [-1]):
            self.places[out] = self._flat[first]
        elif len(given) == 1 and operator in _SAME_LIST and attributes(node).get("to", onnx.TensorProto.INT64) == 7:
            for known in (self._lists, self.places, self._flat):
                if first in known:
                    known[out] = known[first]
        elif operator == "Expand" and first in self._flat and self._made.shape_of(given[1]) == (1,):
            self._flat[out] = self._flat[first]  # to a list as long as itself, or the model doesn't run

    def _found(self, node: onnx.NodeProto) -> _Picked | None:
        """What GatherND picks by all places of a mask, or Gather by those of a mask of one axis, in front."""
        if node.op_type == "GatherND" and node.input[1] in self.places and not attributes(node).get("batch_dims", 0):
            mask = self.places[node.input[1]]
        elif node.op_type == "Gather" and node.input[1] in self._flat and not attributes(node).get("axis", 0):
            mask = self._flat[node.input[1]]
        else:
            return None
        axes = self._made.axes_behind(mask, node.input[0])
        return None if axes is None else _Picked(node.input[0], mask, len(axes))

    def _of_whole(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes that compute for all what a node computes for picked entries; none where that isn't the same."""
        given = [self._picked.get(name) for name in node.input]
        picked = [one for one in given if one is not None]
        first, out = picked[0], node.output[0]
        if (ending := self._ending(node)) is not None:
            self._picked[out] = ending
            return []
        if node.op_type == "Reshape" and (rows := self._rows(node)) is not None:
            self._picked[out], nodes = rows
            return nodes
        alike = all(one.behind == first.behind and self._alike(one.mask, first.mask) for one in picked)
        if not alike or any(one.ending for one in picked) or len(node.output) > 1:
            return []
        others = [name for name, one in zip(node.input, given, strict=True) if one is None and name]
        whole = replace(first, whole=self._made.name(f"{out}.all"))
        operands = [name if one is None else one.whole for name, one in zip(node.input, given, strict=True)]
        made: list[onnx.NodeProto] | None = None
        if node.op_type in (*OF_EACH, *_MOVES) and all(self._is_of_each(name, first.behind) for name in others):
            made = [self._made.copied(node, operands, whole.whole)]
        elif node.op_type in ("MatMul", "Gemm") and given[0] is not None and len(picked) == 1:
            made = self._product(node, first, operands, whole.whole)
        elif node.op_type in ("LayerNormalization", "Softmax", "LogSoftmax") and given[0] is not None:
            made = self._along_last(node, first, operands, whole.whole) if len(picked) == 1 else None
        elif node.op_type.startswith("Reduce") and given[0] is not None:
            made, whole = self._reduced(node, first, whole)
        if made is None:
            return []
        self._picked[out] = whole
        return made

    def _is_of_each(self, name: str, behind: int) -> bool:
        """Whether an operand has no entry of its own for each picked one: no axes but those behind, or one of 1."""
        shape = self._made.shape_of(name)
        return shape is not None and (len(shape) <= behind or (len(shape) == behind + 1 and shape[0] == 1))

    def _product(
        self, node: onnx.NodeProto, picked: _Picked, operands: Sequence[str], out: str
    ) -> list[onnx.NodeProto] | None:
        """MatMul or Gemm of picked rows and a matrix; of a mask of several axes, the second has to be taken apart."""
        said, shape = attributes(node), self._made.shape_of(operands[1])
        if picked.behind != 1 or shape is None or len(shape) != 2 or said.get("transA", 0):
            return None
        biased = node.op_type == "Gemm" and len(operands) > 2 and bool(operands[2])
        if biased and not self._is_of_each(operands[2], 1):
            return None
        if node.op_type == "MatMul" or self._made.rank_of(picked.mask) == 1:
            return [self._made.copied(node, operands, out)]
        if (said.get("alpha", 1.0), said.get("beta", 1.0)) != (1.0, 1.0):
            return None
        nodes, matrix = [], operands[1]
        if said.get("transB", 0):
            matrix = self._made.name(f"{out}.matrix")
            nodes.append(onnx.helper.make_node("Transpose", [operands[1]], [matrix], node.name, perm=[1, 0]))
        product = self._made.name(f"{out}.product") if biased else out
        nodes.append(onnx.helper.make_node("MatMul", [operands[0], matrix], [product], node.name))
        if biased:
            nodes.append(onnx.helper.make_node("Add", [product, operands[2]], [out], node.name))
        return nodes

    def _along_last(
        self, node: onnx.NodeProto, picked: _Picked, operands: Sequence[str], out: str
    ) -> list[onnx.NodeProto] | None:
        """What normalises each row along its last axes, counted from the end, as all have more axes in front."""
        axis = int(attributes(node).get("axis", -1))
        axis = axis - picked.behind - 1 if axis > 0 else axis
        last_alone = node.op_type != "LayerNormalization" and self._made.opset < _SOFTMAX_ALONG_AN_AXIS
        if not -picked.behind <= axis < 0 or (last_alone and axis != -1):
            return None
        return [self._made.copied(node, operands, out, axis=axis)]

    def _reduced(
        self, node: onnx.NodeProto, picked: _Picked, whole: _Picked
    ) -> tuple[list[onnx.NodeProto] | None, _Picked]:
        """A reduction of each row over axes behind."""
        axes, keepdims = self._made.axes(node), attributes(node).get("keepdims", 1)
        if not axes:
            return None, whole
        axes = [axis - picked.behind - 1 if axis > 0 else axis for axis in axes]
        if not all(-picked.behind <= axis < 0 for axis in axes):
            return None, whole
        behind = picked.behind if keepdims else picked.behind - len(axes)
        return self._made.reduced(node, picked.whole, axes, whole.whole), replace(whole, behind=behind)

    def _rows(self, node: onnx.NodeProto) -> tuple[_Picked, list[onnx.NodeProto]] | None:
        """Rows in another shape, each for itself: a list of as many, of which one has known sizes."""
        picked, row = self._picked.get(node.input[0]), self._made.shape_of(node.input[0])
        target = self._made.known(node.input[1])
        if picked is None or picked.ending or row is None or None in row[1:] or target is None or len(target) < 2:
            return None
        sizes, axes = [int(size) for size in target[1:]], self._made.rank_of(picked.mask)
        same = math.prod(sizes) == math.prod(size for size in row[1:] if size is not None)
        if target[0] != -1 or min(sizes) < 1 or not same or axes is None:
            return None
        if tuple(sizes) == row[1:]:
            return picked, []
        whole, shape = self._made.name(f"{node.output[0]}.all"), np.array([*[0] * axes, *sizes], np.int64)
        operands = [picked.whole, self._made.constant(shape, f"{whole}.shape")]
        made = onnx.helper.make_node("Reshape", operands, [whole], node.name)
        return replace(picked, whole=whole, behind=len(sizes)), [made]

    def _ending(self, node: onnx.NodeProto) -> _Picked | None:
        """What exporters do to picked entries last: one row of all, as many as there are places, spread to these.

        A model in which one of these did more than that would give ScatterND another number of entries than of places.
        """
        picked, known = self._picked.get(node.input[0]), self._made.known
        if picked is None:
            return None
        target = known(node.input[1]) if node.op_type == "Reshape" else None
        if target is not None and np.array_equal(target, [-1]) and picked.row is None:
            row = self._made.shape_of(node.input[0]) or (None, None)
            return replace(picked, ending=True, row=row[1:]) if picked.behind else picked
        if node.op_type == "Slice":
            return replace(picked, ending=True) if self._made.is_of_first(node) else None
        if node.op_type == "Expand" and node.input[1] not in self._picked and picked.row is None:
            return replace(picked, ending=True)
        return None

    def _put_back(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """ScatterND to the places at which the entries were picked."""
        picked, mask, data = self._picked.get(node.input[2]), self.places.get(node.input[1]), node.input[0]
        how, rank = attributes(node).get("reduction", "none"), self._made.rank_of(data)
        if picked is None or mask is None or how not in ("none", "add") or not self._alike(picked.mask, mask):
            return None
        places, behind = self._made.rank_of(self._made.root(picked.mask)), self._made.axes_behind(mask, data)
        if places is None or behind is None or places + picked.behind != rank:
            return None
        own = self._made.shape_of(data) or ()
        one_by_one = not behind and picked.row is not None and None not in picked.row and picked.row == own[places:]
        if not one_by_one and (picked.row is not None or picked.behind != len(behind)):
            return None
        nodes, value = [], picked.whole
        if how == "add":
            value = self._made.name(f"{node.output[0]}.sum")
            nodes.append(onnx.helper.make_node("Add", [data, picked.whole], [value], node.name))
        return [*nodes, *self._made.choice(node, mask, value, list(behind))]

    def _of_list(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        """ScatterND of the first entries of a list, as many as there are places: each place takes the next one.

        Exporters write masked_scatter so: the features of a picture in the places that a text has for them.
        """
        mask, data, cut = self.places.get(node.input[1]), node.input[0], self._made.maker(node.input[2])
        computed = cut is not None and self._made.is_of_first(cut) and self._made.known(cut.input[2]) is None
        axes = None if mask is None else self._made.axes_behind(mask, data)
        if mask is None or cut is None or not computed or axes is None or len(axes) != 0:
            return None
        if self._made.rank_of(cut.input[0]) != 1 or attributes(node).get("reduction", "none") != "none":
            return None
        taken = self._made.name(f"{node.output[0]}.taken")
        return [*self._made.next_ones(node, mask, cut.input[0], taken), *self._made.choice(node, mask, taken, [])]

    def _alike(self, one: str, other: str) -> bool:
        """Whether two masks are one, or computed alike from the same values."""
        one, other = self._made.root(one), self._made.root(other)
        return one == other or self._made.made_alike(one, other, _FURTHEST)


_SOFTMAX_ALONG_AN_AXIS = 13
"""The opset since which Softmax goes along one axis, before all of those behind it."""
