"""The table from operators of the graph to ONNX nodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Above, Extent, Factor, Number, Quotient
from netsurgery.graph.fixed_point import limits
from netsurgery.graph.ir import Graph, Node, unlike
from netsurgery.graph.operators import OPERATORS, Shape
from netsurgery.graph.to_onnx import arithmetic
from netsurgery.graph.to_onnx.recurrent import recurrent
from netsurgery.graph.value_types import ValueType

ONNX_TYPES = {
    ValueType.FLOAT32: onnx.TensorProto.FLOAT,
    ValueType.INT32: onnx.TensorProto.INT32,
    ValueType.INT64: onnx.TensorProto.INT64,
    ValueType.BOOL: onnx.TensorProto.BOOL,
}

Attributes: TypeAlias = Mapping[str, Any]
Writer: TypeAlias = Callable[["Nodes", Node], None]


class Nodes:
    """ONNX nodes and the initialisers that they read, collected node by node."""

    def __init__(self, graph: Graph) -> None:
        self.shapes = graph.shapes()
        self.types = graph.types
        self.found = graph.found
        self.producers = graph.producers()
        self._other_shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()[1:]]
        self.written: list[onnx.NodeProto] = []
        self.initialisers: dict[str, npt.NDArray[Any]] = {
            name: weights.values for name, weights in graph.constants.items()
        }
        self._taken = set(self.shapes)
        self._places: set[str] = set()
        self._transposed: dict[str, str] = {}
        self._shared: dict[object, Any] = {}
        self._axes = {
            name: (given.name, given.shape.index(name)) for given in reversed(graph.inputs) for name in given.axes
        }
        self._extents: dict[Extent, str] = {}

    def add(
        self,
        operator: str,
        inputs: Sequence[str | None],
        output: str | Sequence[str],
        place: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node; returns its (first) output. Its name is the place; ONNX Runtime takes no name twice."""
        outputs = [output] if isinstance(output, str) else list(output)
        names = ["" if name is None else name for name in inputs]
        while names and not names[-1]:
            names.pop()
        name = unlike(place, self._places) if place else ""
        self.written.append(onnx.helper.make_node(operator, names, outputs, name=name, **attributes))
        return outputs[0]

    def several(
        self, operator: str, inputs: Sequence[str | None], outputs: Sequence[str], place: str, **attributes: Any
    ) -> Any:
        """Add a node of several outputs; returns them, to be named later where they are empty."""
        self.add(operator, inputs, "", place, **attributes)
        named = self.written[-1].output
        named[:] = outputs
        return named

    def shared(self, key: object, make: Callable[[], Any]) -> Any:
        """What `make` gave for this key when it was first asked for."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def needed(self, outputs: Sequence[str]) -> list[onnx.NodeProto]:
        """The nodes that these outputs are made of."""
        wanted, kept = set(outputs), []
        for made in reversed(self.written):
            if wanted.intersection(made.output):
                wanted.update(made.input)
                kept.append(made)
        return kept[::-1]

    def answer(self, node: Node, operator: str, *more: str | None, **attributes: Any) -> None:
        """Add the ONNX node that gives what the node gives, from the same operands and `more`."""
        self.add(operator, [*node.inputs, *more], node.output, node.place, **attributes)

    def unique(self, wish: str) -> str:
        """A name for a value: this one, with a number appended if it is taken."""
        return unlike(wish, self._taken)

    def step(self, node: Node, operator: str, inputs: Sequence[str | None], **attributes: Any) -> str:
        """Add a node on the way to what `node` gives; returns its output."""
        return self.add(operator, inputs, self.unique(f"{node.output}.{operator.lower()}"), node.place, **attributes)

    def constant(self, values: Any, kind: type[np.generic], wish: str) -> str:
        """Add an initialiser; returns its name."""
        name = self.unique(wish)
        self.initialisers[name] = np.asarray(values, kind)
        return name

    def whole(self, node: Node, role: str, values: Sequence[Number]) -> str:
        """Whole numbers (sizes, axes): an initialiser, or computed where any of them follows open axes."""
        if not any(isinstance(value, Extent) for value in values):
            return self.constant(values, np.int64, f"{node.output}.{role}")
        parts = [self._number(node, value) for value in values]
        return parts[0] if len(parts) == 1 else self.step(node, "Concat", parts, axis=0)

    def _number(self, node: Node, value: Number) -> str:
        """A list of one whole number."""
        if isinstance(value, int):
            return self.constant([value], np.int64, f"{node.output}.number")
        if value not in self._extents:
            total = ""
            for factors, coefficient in value.terms:
                parts = [self._factor(node, factor) for factor in factors]
                if coefficient != 1 or not parts:
                    parts.append(self._number(node, coefficient))
                product = parts[0]
                for part in parts[1:]:
                    product = self.step(node, "Mul", [product, part])
                total = self.step(node, "Add", [total, product]) if total else product
            self._extents[value] = total
        return self._extents[value]

    def _factor(self, node: Node, factor: Factor) -> str:
        if isinstance(factor, str):
            name, place = self._axes[factor]
            return self.step(node, "Shape", [name], start=place, end=place + 1)
        of = self._number(node, factor.of)
        if isinstance(factor, Above):
            return self.step(node, "Max", [of, self._number(node, 0)])
        return self._quotient(node, factor, of)

    def _quotient(self, node: Node, factor: Quotient, of: str) -> str:
        """Rounded down. ONNX rounds quotients towards 0, so what could be negative loses its remainder first."""
        divisor = self._number(node, factor.divisor)
        lowest = factor.of.lowest()
        if lowest is None or lowest < 0:
            of = self.step(node, "Sub", [of, self.step(node, "Mod", [of, divisor])])
        return self.step(node, "Div", [of, divisor])

    def number(self, node: Node, role: str, value: float) -> str:
        """Add an initialiser with a single number."""
        return self.constant(value, np.float32, f"{node.output}.{role}")

    def type(self, node: Node) -> ValueType:
        """The type of what the node gives."""
        return self.types[node.output]

    def transposed(self, name: str) -> str:
        """A constant matrix, transposed; the same initialiser for every use."""
        if name not in self._transposed:
            self._transposed[name] = self.constant(self.initialisers[name].T, np.float32, f"{name}.transposed")
        return self._transposed[name]

    def shape(self, node: Node) -> Shape:
        """The shape of the first operand, at the smallest sizes of open axes."""
        return self.shapes[str(node.inputs[0])]

    def open(self, node: Node, axis: int) -> bool:
        """True if one of the first operand's sizes from that axis on is open."""
        name = str(node.inputs[0])
        return any(known[name][axis:] != self.shapes[name][axis:] for known in self._other_shapes)

    def size(self, node: Node, name: str, axis: int) -> str:
        """The size of a value along an axis, a list of one number: computed where it is open."""
        size = self.shapes[name][axis]
        if all(known[name][axis] == size for known in self._other_shapes):
            return self.whole(node, "size", [size])
        return self.step(node, "Shape", [name], start=axis, end=axis + 1)

    def fixed(self, node: Node, axis: int) -> Shape:
        """Its sizes from that axis on, which ONNX has to be told. Raises UnsupportedOperatorError if one is open."""
        name = str(node.inputs[0])
        sizes = self.shapes[name][axis:]
        if self.open(node, axis):
            raise UnsupportedOperatorError(
                f"{node} works along an open axis in a way that ONNX can't say: fix the axis."
            )
        return sizes


def _plain(operator: str, **names: str) -> Writer:
    """The same operator in ONNX; attributes by their ONNX name -> ours."""

    def write(nodes: Nodes, node: Node) -> None:
        given = {theirs: node.attributes[ours] for theirs, ours in names.items()}
        settings = {name: int(value) if isinstance(value, bool) else value for name, value in given.items()}
        nodes.answer(node, operator, **settings)

    return write


def _windows(node: Node, *names: str) -> Attributes:
    """Attributes as ONNX takes them; tuples at their default left out."""
    given = {name: node.attributes[name] for name in names}
    return {name: int(value) if isinstance(value, bool) else value for name, value in given.items() if value != ()}


def _conv(nodes: Nodes, node: Node) -> None:
    nodes.answer(node, "Conv", group=node.attributes["groups"], **_windows(node, "strides", "pads", "dilations"))


def _linear(nodes: Nodes, node: Node) -> None:
    """Gemm for matrices, MatMul and Add for other shapes."""
    if len(nodes.shape(node)) == 2:
        nodes.answer(node, "Gemm", transB=1)
        return
    x, weight, bias = (*node.inputs, None)[:3]
    operands = [x, nodes.transposed(str(weight))]
    if bias is None:
        nodes.add("MatMul", operands, node.output, node.place)
    else:
        nodes.add("Add", [nodes.step(node, "MatMul", operands), bias], node.output, node.place)


def _max_pool(nodes: Nodes, node: Node) -> None:
    settings = _windows(node, "strides", "pads", "dilations", "ceil_mode")
    nodes.answer(node, "MaxPool", kernel_shape=node.attributes["kernel"], **settings)


def _average_pool(nodes: Nodes, node: Node) -> None:
    settings = _windows(node, "strides", "pads", "dilations", "ceil_mode", "count_include_pad")
    nodes.answer(node, "AveragePool", kernel_shape=node.attributes["kernel"], **settings)


def _adaptive(operator: str) -> Writer:
    """Pooling to a given size: global, or of equal windows, or window by window, one axis after another."""

    def write(nodes: Nodes, node: Node) -> None:
        given: Attributes = node.attributes
        if set(given["size"]) == {1}:
            nodes.answer(node, f"Global{operator}")
            return
        sizes = list(zip(nodes.fixed(node, 2), given["size"], strict=True))
        if all(have % want == 0 for have, want in sizes):
            kernel = [have // want for have, want in sizes]
            nodes.answer(node, operator, kernel_shape=kernel, strides=kernel)
        else:
            x = str(node.inputs[0])
            for axis, (have, want) in enumerate(sizes):
                x = _pooled_along(nodes, node, operator, x, axis, have, want)
            nodes.add("Identity", [x], node.output, node.place)

    return write


def _pooled_along(nodes: Nodes, node: Node, operator: str, x: str, axis: int, have: int, want: int) -> str:
    """Window i of one spatial axis is floor(i*S/size) .. ceil((i+1)*S/size)."""
    rank = len(nodes.shape(node))
    parts = []
    for index in range(want):
        start, stop = index * have // want, -(-(index + 1) * have // want)
        bounds = [nodes.whole(node, role, [value]) for role, value in (("start", start), ("stop", stop))]
        piece = nodes.step(node, "Slice", [x, *bounds, nodes.whole(node, "axis", [axis + 2])])
        kernel = [stop - start if other == axis else 1 for other in range(rank - 2)]
        parts.append(nodes.step(node, operator, [piece], kernel_shape=kernel))
    return nodes.step(node, "Concat", parts, axis=axis + 2)


def _clip(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    bounds = (("minimum", given["minimum"], -math.inf), ("maximum", given["maximum"], math.inf))
    nodes.answer(
        node, "Clip", *(None if value == free else nodes.number(node, role, value) for role, value, free in bounds)
    )


def _silu(nodes: Nodes, node: Node) -> None:
    x = node.inputs[0]
    nodes.add("Mul", [x, nodes.step(node, "Sigmoid", [x])], node.output, node.place)


def _reshape(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    nodes.answer(node, "Reshape", nodes.whole(node, "shape", given["shape"]))


def _pad(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    pads = given["pads"] or (0,) * (2 * len(nodes.shape(node)))
    value = None
    if given["mode"] == "constant":
        kind = nodes.type(node).dtype.type
        value = nodes.constant(given["value"], kind, f"{node.output}.value")
    nodes.answer(node, "Pad", nodes.whole(node, "pads", pads), value, mode=given["mode"])


def _slice(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    nodes.answer(node, "Slice", *(nodes.whole(node, role, [given[role]]) for role in ("start", "stop", "axis", "step")))


def _range(nodes: Nodes, node: Node) -> None:
    """ONNX counts from one number: the places are added to each entry of x."""
    given: Attributes = node.attributes
    x = nodes.step(node, "Unsqueeze", [node.inputs[0], nodes.whole(node, "axis", [-1])])
    scalar = nodes.whole(node, "scalar", [])
    length = nodes.step(node, "Reshape", [nodes.whole(node, "length", [given["count"]]), scalar])
    bounds = [nodes.constant(0, np.int64, f"{node.output}.first"), length]
    places = nodes.step(node, "Range", [*bounds, nodes.constant(1, np.int64, f"{node.output}.one")])
    places = nodes.step(node, "Cast", [places], to=onnx.TensorProto.DOUBLE)
    scale = nodes.constant(given["scale"], np.float64, f"{node.output}.scale")
    places = nodes.step(node, "Mul", [places, scale])
    x = nodes.step(node, "Cast", [x], to=onnx.TensorProto.DOUBLE)
    total = nodes.step(node, "Add", [x, places])
    nodes.add("Cast", [total], node.output, node.place, to=onnx.TensorProto.FLOAT)


def _sized(operator: str, attribute: str) -> Writer:
    """An operator whose second operand is a list of sizes."""

    def write(nodes: Nodes, node: Node) -> None:
        given: Attributes = node.attributes
        nodes.answer(node, operator, nodes.whole(node, attribute, given[attribute]))

    return write


def _triangle(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    diagonal = nodes.whole(node, "diagonal", [given["diagonal"]])
    if isinstance(given["diagonal"], Extent):
        diagonal = nodes.step(node, "Reshape", [diagonal, nodes.whole(node, "scalar", [])])
    else:
        diagonal = nodes.constant(given["diagonal"], np.int64, f"{node.output}.diagonal")
    nodes.answer(node, "Trilu", diagonal, upper=int(given["upper"]))


def _reverse(nodes: Nodes, node: Node) -> None:
    """A Slice that goes backwards, beyond the first entry."""
    given: Attributes = node.attributes
    axes = given["axes"]
    roles = (("start", -1), ("stop", -(2**62)), ("axes", None), ("step", -1))
    nodes.answer(
        node,
        "Slice",
        *(nodes.whole(node, role, axes if each is None else [each] * len(axes)) for role, each in roles),
    )


def _layer_norm(nodes: Nodes, node: Node) -> None:
    """ONNX can't leave the scale out."""
    x, scale, bias = (*node.inputs, None, None)[:3]
    given: Attributes = node.attributes
    if scale is None:
        of = nodes.open(node, given["axis"])
        ones = np.ones(1 if of else nodes.fixed(node, given["axis"]), np.float32)
        scale = nodes.constant(ones, np.float32, f"{node.output}.scale")
        if of:
            scale = nodes.step(node, "Expand", [scale, nodes.step(node, "Shape", [x], start=given["axis"])])
    settings = {"axis": given["axis"], "epsilon": given["epsilon"]}
    nodes.add("LayerNormalization", [x, scale, bias], node.output, node.place, **settings)


def _quantize(nodes: Nodes, node: Node) -> None:
    """Steps that each round as Quantize says; Less and Where make NaN the lowest number."""
    x, scale, shift = (*node.inputs, None, None)[:3]
    given: Attributes = node.attributes
    low, high = limits(given)
    axis, planes = given["axis"], given.get("planes", 1)
    behind = len(nodes.shapes[node.output]) - 1 - axis

    def number(value: float, name: str) -> str:
        return nodes.constant(np.float32(value), np.float32, f"{node.output}.{name}")

    def along_axis(name: str) -> str:
        axes = nodes.constant(range(1, 1 + behind), np.int64, f"{node.output}.axes of {name}")
        return nodes.step(node, "Unsqueeze", [name, axes])

    def every(plane: int) -> str:
        bounds = (("first", plane), ("stop", 2**62), ("axis", axis), ("step", planes))
        return nodes.step(node, "Slice", [x, *(nodes.whole(node, role, [value]) for role, value in bounds)])

    if scale is not None:
        x = nodes.step(node, "Mul", [x, along_axis(scale)])
    if planes > 1:
        x, *others = [every(plane) for plane in range(planes)]
        for other in others:
            x = nodes.step(node, "Add", [x, other])
    if shift is not None:
        x = nodes.step(node, "Add", [x, along_axis(shift)])
    counts = nodes.step(node, "Round", [nodes.step(node, "Mul", [x, number(2.0 ** -given["exponent"], "steps")])])
    lowest = number(low, "lowest")
    above = nodes.step(node, "Where", [nodes.step(node, "Greater", [counts, lowest]), counts, lowest])
    within = nodes.step(node, "Min", [above, number(high, "highest")])
    nodes.add("Mul", [within, number(2.0 ** given["exponent"], "step")], node.output, node.place)


def _resize(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    _resized(nodes, node, None, mode="nearest", nearest_mode=given["rounding"])


def _interpolate(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    settings = {"mode": given["mode"], "cubic_coeff_a": given["alpha"], "extrapolation_value": given["value"]}
    settings |= {name: int(given[name]) for name in ("antialias", "exclude_outside")}
    roi = nodes.constant(given["roi"], np.float32, f"{node.output}.roi") if given["roi"] else None
    _resized(nodes, node, roi, **settings)


def _resized(nodes: Nodes, node: Node, roi: str | None, **settings: Any) -> None:
    """By sizes, or by scales where they aren't those that follow from the sizes."""
    given: Attributes = node.attributes
    old = nodes.shape(node)[2:]
    sizes = scales = None
    if given["scales"] and not given["size"]:
        scales = nodes.constant(given["scales"], np.float32, f"{node.output}.scales")
    elif given["scales"]:
        old = nodes.fixed(node, 2)
        reached = tuple(int(size) for size in np.asarray(old, np.float32) * np.asarray(given["scales"], np.float32))
        if reached != given["size"]:
            raise UnsupportedOperatorError(
                f"{node}: ONNX resizes {old} by {given['scales']} to {reached}, not to {given['size']}; "
                "use sizes that follow from the scales."
            )
        scales = nodes.constant(given["scales"], np.float32, f"{node.output}.scales")
    else:
        sizes = nodes.whole(node, "sizes", given["size"])
    nodes.answer(
        node,
        "Resize",
        roi,
        scales,
        sizes,
        axes=range(2, 2 + len(old)),
        coordinate_transformation_mode=given["coordinates"],
        **settings,
    )


def _roi_align(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    x, indices, boxes = node.inputs
    if nodes.types[str(indices)] is not ValueType.INT64:
        indices = nodes.step(node, "Cast", [indices], to=ONNX_TYPES[ValueType.INT64])
    nodes.add(
        "RoiAlign",
        [x, boxes, indices],
        node.output,
        node.place,
        mode={"mean": "avg"}.get(given["mode"], given["mode"]),
        output_height=given["size"][0],
        output_width=given["size"][1],
        sampling_ratio=given["count"],
        spatial_scale=given["scale"],
        coordinate_transformation_mode={"asymmetric": "output_half_pixel"}.get(given["coordinates"], "half_pixel"),
    )


def _non_max_suppression(nodes: Nodes, node: Node) -> None:
    """Rows with zeros behind them, or their count; ONNX gives as many rows as there are."""
    given: Attributes = node.attributes
    settings = tuple(given[name] for name in ("count", "threshold", "minimum", "order"))

    def selected() -> str:
        numbers: list[str | None] = [
            nodes.constant([given["count"]], np.int64, f"{node.output}.most"),
            *(nodes.constant([given[name]], np.float32, f"{node.output}.{name}") for name in ("threshold", "minimum")),
        ]
        numbers = numbers if math.isfinite(given["minimum"]) else numbers[:-1]
        center = int(given["order"] == "center")
        return nodes.step(node, "NonMaxSuppression", [*node.inputs, *numbers], center_point_box=center)

    rows = nodes.shared(("NonMaxSuppression", node.inputs, settings), selected)
    if given["result"] == "count":
        nodes.add("Shape", [rows], node.output, node.place, start=0, end=1)
        return
    images, classes, boxes = (nodes.size(node, str(node.inputs[1]), axis) for axis in range(3))
    of_each = nodes.step(node, "Min", [boxes, nodes.whole(node, "count", [given["count"]])])
    most = nodes.step(node, "Mul", [nodes.step(node, "Mul", [images, classes]), of_each])
    shape = nodes.step(node, "Concat", [most, nodes.whole(node, "columns", [3])], axis=0)
    zero = nodes.constant(np.zeros((1, 1)), np.int64, f"{node.output}.zero")
    longer = nodes.step(node, "Concat", [rows, nodes.step(node, "Expand", [zero, shape])], axis=0)
    first, axis = (nodes.whole(node, role, [0]) for role in ("first", "axis"))
    nodes.add("Slice", [longer, first, most, axis], node.output, node.place)


def _first_entries(nodes: Nodes, node: Node) -> None:
    x, count = node.inputs
    if node.output not in nodes.found:
        nodes.add("Identity", [x], node.output, node.place)
        return
    first, axis = (nodes.whole(node, role, [one]) for role, one in (("first", 0), ("axis", node.attributes["axis"])))  # type: ignore[list-item]
    nodes.add("Slice", [x, first, count, axis], node.output, node.place)


def _depth_to_space(nodes: Nodes, node: Node) -> None:
    """ONNX has it for square blocks of pictures; others by way of (N, C, *B, *S), whose sizes have to be known."""
    given: Attributes = node.attributes
    blocks = given["blocks"]
    if len(blocks) == 2 and blocks[0] == blocks[1]:
        nodes.answer(node, "DepthToSpace", blocksize=blocks[0], mode=given["order"].upper())
        return
    channels, *spatial = nodes.fixed(node, 1)
    count, left = len(blocks), channels // math.prod(blocks)
    inner = (left, *blocks) if given["order"] == "crd" else (*blocks, left)
    of_blocks = range(2, 2 + count) if given["order"] == "crd" else range(1, 1 + count)
    order = [0, 1 if given["order"] == "crd" else 1 + count]
    order += [axis for pair in zip(range(2 + count, 2 + 2 * count), of_blocks, strict=True) for axis in pair]
    result = (left, *(size * block for size, block in zip(spatial, blocks, strict=True)))
    _through(nodes, node, (*inner, *spatial), order, result)


def _space_to_depth(nodes: Nodes, node: Node) -> None:
    """As DepthToSpace; until opset 26 ONNX has the order dcr alone, of which the other one is a choice of channels."""
    given: Attributes = node.attributes
    blocks = given["blocks"]
    channels, *spatial = nodes.shape(node)[1:]
    count = math.prod(blocks)
    square = len(blocks) == 2 and blocks[0] == blocks[1]
    if square and given["order"] == "dcr":
        nodes.answer(node, "SpaceToDepth", blocksize=blocks[0])
    elif square and nodes.open(node, 1):
        places = np.arange(channels * count).reshape(count, channels).T.reshape(-1)
        made = nodes.step(node, "SpaceToDepth", [node.inputs[0]], blocksize=blocks[0])
        chosen = nodes.whole(node, "channels", places.tolist())
        nodes.add("Gather", [made, chosen], node.output, node.place, axis=1)
    else:
        nodes.fixed(node, 1)
        pairs = list(zip(spatial, blocks, strict=True))
        apart = [part for size, block in pairs for part in (size // block, block)]
        of_sizes, of_blocks = range(2, 2 + len(apart), 2), range(3, 3 + len(apart), 2)
        inner = (1, *of_blocks) if given["order"] == "crd" else (*of_blocks, 1)
        result = (channels * count, *(size // block for size, block in pairs))
        _through(nodes, node, (channels, *apart), (0, *inner, *of_sizes), result)


def _through(nodes: Nodes, node: Node, apart: Sequence[int], order: Sequence[int], result: Sequence[int]) -> None:
    """Reshape, Transpose, Reshape; the batch, which stays in front, is left as it is."""
    x = nodes.step(node, "Reshape", [node.inputs[0], nodes.whole(node, "apart", (0, *apart))])
    x = nodes.step(node, "Transpose", [x], perm=list(order))
    nodes.add("Reshape", [x, nodes.whole(node, "shape", (0, *result))], node.output, node.place)


def _embedding(nodes: Nodes, node: Node) -> None:
    x, weight = node.inputs
    nodes.add("Gather", [weight, x], node.output, node.place, axis=0)


def _named(nodes: Nodes, node: Node) -> None:
    """An operator that the operator table names in ONNX."""
    nodes.answer(node, OPERATORS[node.operator].onnx, **_settings(node))


def _settings(node: Node) -> Attributes:
    """The attributes that the operator table names in ONNX, as they are said there."""
    named = (one for one in OPERATORS[node.operator].attributes if one.onnx)
    return {one.onnx: one.as_onnx(node.attributes[one.name]) for one in named}


def _integers(nodes: Nodes, node: Node) -> None:
    """An initialiser, or computed where numbers follow open axes."""
    given: Attributes = node.attributes
    if node.extents:
        values = nodes.whole(node, "values", given["values"])
        whole = nodes.step(node, "Cast", [values], to=ONNX_TYPES[nodes.type(node)])
        shape = nodes.constant(given["shape"], np.int64, f"{node.output}.shape")
        nodes.answer(node, "Reshape" if len(given["values"]) > 1 or not given["shape"] else "Expand", whole, shape)
        return
    known = np.asarray(given["values"], np.int64).astype(nodes.type(node).dtype)
    shape = given["shape"]
    nodes.initialisers[node.output] = np.full(shape, known) if known.size == 1 else known.reshape(shape)


def _cast(nodes: Nodes, node: Node) -> None:
    nodes.answer(node, "Cast", to=ONNX_TYPES[nodes.type(node)])


def _picking(nodes: Nodes, node: Node) -> None:
    """GatherND and ScatterND, whose places ONNX takes as int64 alone."""
    x, places, *others = node.inputs
    if nodes.types[str(places)] is not ValueType.INT64:
        places = nodes.step(node, "Cast", [places], to=ONNX_TYPES[ValueType.INT64])
    nodes.add(node.operator, [x, places, *others], node.output, node.place, **_settings(node))


def _transpose(nodes: Nodes, node: Node) -> None:
    """An order of nothing can't be written: no axes, no transposition."""
    order = node.attributes["order"]
    if order:
        nodes.answer(node, "Transpose", perm=order)
    else:
        nodes.answer(node, "Identity")


def _top(output: int) -> Writer:
    """TopK, of which one output is read."""

    def write(nodes: Nodes, node: Node) -> None:
        given: Attributes = node.attributes
        outputs = [nodes.unique(f"{node.output}.unread")] * 2
        outputs[output] = node.output
        settings = {"axis": given["axis"], "largest": int(given["largest"])}
        nodes.add("TopK", [*node.inputs, nodes.whole(node, "count", [given["count"]])], outputs, node.place, **settings)

    return write


def _running_sum(nodes: Nodes, node: Node) -> None:
    given: Attributes = node.attributes
    axis = nodes.constant(given["axis"], np.int64, f"{node.output}.axis")
    nodes.answer(node, "CumSum", axis, exclusive=int(given["exclusive"]), reverse=int(given["reverse"]))


def _not_equal(nodes: Nodes, node: Node) -> None:
    nodes.add("Not", [nodes.step(node, "Equal", node.inputs)], node.output, node.place)


def _where(nodes: Nodes, node: Node) -> None:
    """Of bools by logic: ONNX Runtime's Where has none."""
    if nodes.type(node) is not ValueType.BOOL:
        nodes.answer(node, "Where")
        return
    condition, a, b = node.inputs
    first = nodes.step(node, "And", [condition, a])
    second = nodes.step(node, "And", [nodes.step(node, "Not", [condition]), b])
    nodes.add("Or", [first, second], node.output, node.place)


def _walsh_hadamard(nodes: Nodes, node: Node) -> None:
    """Products with a smaller matrix from either side, whose Kronecker product is that of the transform."""
    x, shape = node.inputs[0], nodes.shapes[node.inputs[0] or ""]
    given: Attributes = node.attributes
    axis = given["axis"]
    order = [place for place in range(len(shape)) if place != axis] + [axis]
    moved = x if axis == len(shape) - 1 else nodes.step(node, "Transpose", [x], perm=order)
    digits = shape[axis].bit_length() - 1
    left, right = (nodes.constant(_hadamard(count), np.float32, f"{node.output}.signs") for count in _halves(digits))
    sizes = [-1, *(1 << count for count in _halves(digits))]
    parts = nodes.step(node, "Reshape", [moved, nodes.constant(sizes, np.int64, f"{node.output}.sizes")])
    product = nodes.step(node, "MatMul", [left, nodes.step(node, "MatMul", [parts, right])])
    back = [product, nodes.step(node, "Shape", [moved])]
    if moved == x:
        nodes.add("Reshape", back, node.output, node.place)
    else:
        inverse = [order.index(place) for place in range(len(shape))]
        nodes.add("Transpose", [nodes.step(node, "Reshape", back)], node.output, node.place, perm=inverse)


def _halves(count: int) -> tuple[int, int]:
    return count - count // 2, count // 2


def _hadamard(digits: int) -> npt.NDArray[np.float32]:
    """Sylvester's matrix of 2^digits rows."""
    signs = np.ones((1, 1), np.float32)
    for _ in range(digits):
        signs = np.block([[signs, signs], [signs, -signs]])
    return signs


WRITERS: dict[str, Writer] = {
    **{operator.name: _named for operator in OPERATORS.values() if operator.onnx},
    **arithmetic.WRITERS,
    "Conv": _conv,
    "Linear": _linear,
    "MatMul": _plain("MatMul"),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "AdaptiveAveragePool": _adaptive("AveragePool"),
    "AdaptiveMaxPool": _adaptive("MaxPool"),
    "Clip": _clip,
    "Silu": _silu,
    "Softmax": _plain("Softmax", axis="axis"),
    "LogSoftmax": _plain("LogSoftmax", axis="axis"),
    "Concat": _plain("Concat", axis="axis"),
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Pad": _pad,
    "Slice": _slice,
    "Lrn": _plain("LRN", size="size", alpha="alpha", beta="beta", bias="bias"),
    "LayerNorm": _layer_norm,
    "Quantize": _quantize,
    "QuantizePlanes": _quantize,
    "WalshHadamard": _walsh_hadamard,
    "Resize": _resize,
    "Interpolate": _interpolate,
    "RoiAlign": _roi_align,
    "NonMaxSuppression": _non_max_suppression,
    "FirstEntries": _first_entries,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Embedding": _embedding,
    "Integers": _integers,
    "Cast": _cast,
    "NotEqual": _not_equal,
    "Gather": _plain("Gather", axis="axis"),
    "GatherND": _picking,
    "ScatterND": _picking,
    "TopKValues": _top(0),
    "TopKIndices": _top(1),
    "CumSum": _running_sum,
    "Where": _where,
    **dict.fromkeys(("Lstm", "Gru", "Rnn"), recurrent),
    "Range": _range,
    "Expand": _sized("Expand", "shape"),
    "Tile": _sized("Tile", "repeats"),
    "Trilu": _triangle,
    "Reverse": _reverse,
}
"""Operator of the graph -> what writes it."""
