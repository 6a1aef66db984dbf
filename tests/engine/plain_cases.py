"""Every operator with operands and attributes as the shape rules allow them, and its plain kernel at work on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from netsurgery import _native
from netsurgery.errors import GraphError
from netsurgery.graph.ir import Array, Graph, GraphBuilder, node
from netsurgery.graph.operators import OPERATORS, Work, working
from netsurgery.graph.operators.recurrent import activations
from netsurgery.graph.planes import sum_of_planes
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode

Shape = tuple[int, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Case:
    """An operator, the shapes of its operands (None: left out) and its attributes."""

    operator: str
    shapes: tuple[Shape | None, ...]
    attributes: dict[str, Any]

    def operands(self, rng: np.random.Generator) -> list[Array | None]:
        return [
            None
            if shape is None
            else self._whole(rng, place, shape)
            if self.kind(place) is not ValueType.FLOAT32
            else np.asarray(constant(rng, shape) if place and self.takes(place) else rng.normal(size=shape), np.float32)
            for place, shape in enumerate(self.shapes)
        ]

    def _whole(self, rng: np.random.Generator, place: int, shape: Shape) -> Array:
        """Whole numbers or bools: places where they are looked up, else small ones and those at the ends."""
        kind = self.kind(place)
        if kind is ValueType.BOOL:
            return rng.integers(0, 2, shape).astype(np.bool_)
        if self.operator in RECURRENT:
            steps = (self.shapes[0] or ())[1 if self.attributes.get("batch_first") else 0]
            return rng.integers(0, steps + 1, shape).astype(kind.dtype)
        size = self._places(place)
        if size:
            return rng.integers(-size, size, shape).astype(kind.dtype)
        ends = np.iinfo(kind.dtype)
        far = rng.choice(np.array([ends.min, ends.max, ends.min + 1, 2**24 + 1, -1, 0], kind.dtype), shape)
        return np.where(rng.random(shape) < 0.2, far, rng.integers(-9, 10, shape)).astype(kind.dtype)

    def takes(self, place: int) -> bool:
        """Has this operand to be a constant?"""
        return OPERATORS[self.operator].operand(place).constant

    def kind(self, place: int) -> ValueType:
        """The type of an operand; of several, by the number of the first one's entries, so that some are alike."""
        types = OPERATORS[self.operator].operand(place).types
        return types[math.prod(self.shapes[0] or ()) % len(types)]

    def _places(self, place: int) -> int:
        """How many there are where this operand's whole numbers are looked up; 0 if they aren't."""
        if self.operator == "Embedding":
            return (self.shapes[1] or (1,))[0]
        if place != 1 or OPERATORS[self.operator].operand(1).name != "indices":
            return 0
        x = self.shapes[0] or (1,)
        return x[self.attributes["axis"]] if "axis" in self.attributes else min(x)

    def graph(self, operands: list[Array | None]) -> Graph:
        builder = GraphBuilder()
        names = [
            None
            if array is None
            else builder.constant(array)
            if self.takes(place)
            else builder.input(f"x{place}", array.shape, self.kind(place))
            for place, array in enumerate(operands)
        ]
        if not names:
            builder.input("beside", (1,))
        return builder.graph([builder.node(self.operator, names, **self.attributes)])

    def run(self, operands: list[Array | None], **ways: Any) -> Array:
        """What the plain kernel makes of them. ways: `each`, `last_first`, `in_place`."""
        given = [array for place, array in enumerate(operands) if array is not None and not self.takes(place)]
        given = given if self.shapes else [np.zeros(1, np.float32)]
        (result,) = _native.run_plain(encode(self.graph(operands)), given, **ways)
        return result


def constant(rng: np.random.Generator, shape: Shape) -> Array:
    """A weight in one of the forms that a file keeps: dense (with some zeros, too), sparse, nothing, sums of planes."""
    density = rng.choice([1.0, 0.9, 0.8, 0.3, 0.0, -1.0])
    if density < 0 and len(shape) > 1:
        scales = rng.normal(size=(shape[0], 2)).astype(np.float32)
        bits = rng.integers(0, 2, (2, shape[0], int(np.prod(shape[1:])))).astype(np.uint8)
        return sum_of_planes(scales, bits).reshape(shape)
    return np.where(rng.random(shape) < density, rng.normal(size=shape), 0.0).astype(np.float32)


sizes = st.integers(1, 6)
small = st.integers(0, 3)
counts = st.integers(1, 3)
finite = st.sampled_from([-2.0, -0.5, 0.0, 1 / 6, 0.3, 1.0, 6.0])
shapes = st.lists(sizes, max_size=5).map(tuple)
shapes_with_axis = st.lists(sizes, min_size=1, max_size=5).map(tuple)


def tuples(of: st.SearchStrategy[int], count: int) -> st.SearchStrategy[Shape]:
    return st.tuples(*[of] * count)


def axis_of(draw: Draw, shape: Shape) -> int:
    return int(draw(st.integers(0, len(shape) - 1)))


def picture(draw: Draw) -> Shape:
    return (draw(counts), draw(sizes), *draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))


def conv(draw: Draw) -> Case:
    spatial = draw(st.integers(1, 3))
    groups, per_group, out = draw(counts), draw(counts), draw(counts)
    kernel = draw(tuples(st.integers(1, 4), spatial))
    x = (draw(counts), groups * per_group, *draw(tuples(st.integers(1, 11), spatial)))
    bias = ((groups * out,),) if draw(st.booleans()) else ()
    attributes = {"strides": draw(tuples(counts, spatial)), "dilations": draw(tuples(counts, spatial))}
    attributes |= {"pads": draw(tuples(small, 2 * spatial)), "groups": groups}
    return Case("Conv", (x, (groups * out, per_group, *kernel), *bias), attributes)


def linear(draw: Draw) -> Case:
    inputs, outputs = draw(st.integers(1, 40)), draw(st.integers(1, 20))
    bias = ((outputs,),) if draw(st.booleans()) else ()
    return Case("Linear", ((*draw(shapes)[:3], inputs), (outputs, inputs), *bias), {})


def matmul(draw: Draw) -> Case:
    rows, shared, columns = draw(st.integers(1, 11)), draw(st.integers(1, 20)), draw(st.integers(1, 19))
    batch = draw(shapes)[:3]
    a = (*broadcastable(draw, batch), rows, shared) if draw(st.integers(0, 4)) else (shared,)
    b = (*broadcastable(draw, batch), shared, columns) if draw(st.integers(0, 4)) else (shared,)
    return Case("MatMul", (a, b), {})


def broadcastable(draw: Draw, shape: Shape) -> Shape:
    """Some sizes 1, some at the beginning missing."""
    kept = tuple(1 if draw(st.integers(0, 2)) == 0 else size for size in shape)
    return kept[draw(st.integers(0, len(kept))) :]


def binary(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        shape = draw(shapes)
        return Case(operator, (broadcastable(draw, shape), broadcastable(draw, shape)), {})

    return made


def pool(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = picture(draw)
        spatial = len(x) - 2
        attributes: dict[str, Any] = {"kernel": draw(tuples(st.integers(1, 4), spatial))}
        attributes |= {"strides": draw(tuples(counts, spatial)), "dilations": draw(tuples(counts, spatial))}
        # Half of the time without padding: that is where kernels have ways of their own.
        pads = draw(tuples(small, 2 * spatial)) if draw(st.booleans()) else (0,) * (2 * spatial)
        attributes |= {"pads": pads, "ceil_mode": draw(st.booleans())}
        if operator == "AveragePool":
            attributes["count_include_pad"] = draw(st.booleans())
        return Case(operator, (x,), attributes)

    return made


def adaptive_pool(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = picture(draw)
        return Case(operator, (x,), {"size": draw(tuples(st.integers(1, 11), len(x) - 2))})

    return made


def unary(operator: str, **attributes: st.SearchStrategy[Any]) -> Callable[[Draw], Case]:
    return lambda draw: Case(operator, (draw(shapes),), {name: draw(of) for name, of in attributes.items()})


def reshape(draw: Draw) -> Case:
    x = draw(shapes)
    return Case("Reshape", (x,), {"shape": tuple(draw(st.permutations(x))) if draw(st.booleans()) else (-1,)})


def concat(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    lengths = draw(st.lists(sizes, min_size=1, max_size=4))
    return Case("Concat", tuple((*x[:axis], length, *x[axis + 1 :]) for length in lengths), {"axis": axis})


def transpose(draw: Draw) -> Case:
    x = draw(shapes)
    return Case("Transpose", (x,), {"order": tuple(draw(st.permutations(range(len(x)))))})


def cut(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    start = draw(st.integers(0, x[axis] - 1))
    stop = draw(st.integers(start + 1, x[axis]))
    return Case("Slice", (x,), {"axis": axis, "start": start, "stop": stop, "step": draw(st.integers(1, 4))})


def pad(draw: Draw) -> Case:
    x = draw(shapes_with_axis)  # numpy.pad takes no array without axes
    mode = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    pads = draw(tuples(st.integers(-2, 4), 2 * len(x)))
    return Case("Pad", (x,), {"pads": pads, "mode": mode, "value": draw(st.sampled_from([0.0, -0.0, 2.5, -np.inf]))})


def resize(draw: Draw) -> Case:
    x = picture(draw)
    spatial = len(x) - 2
    size = draw(tuples(st.integers(1, 14), spatial))
    scales: tuple[float, ...] = ()
    if draw(st.booleans()):
        scales = tuple(new / old * draw(st.sampled_from([1.0, 0.9, 1.3])) for new, old in zip(size, x[2:], strict=True))
    sizes = {"size": size, "scales": scales}
    if scales and draw(st.booleans()):
        del sizes["size"]
    return Case("Resize", (x,), {**sizes, **choices_of(draw, "Resize")})


def choices_of(draw: Draw, operator: str) -> dict[str, Any]:
    choices = {one.name: one.choices for one in OPERATORS[operator].attributes if one.choices}
    return {name: draw(st.sampled_from(of)) for name, of in choices.items()}


def interpolate(draw: Draw) -> Case:
    drawn = resize(draw)
    x = drawn.shapes[0] or ()
    chosen = choices_of(draw, "Interpolate")
    chosen |= {name: draw(st.booleans()) for name in ("antialias", "exclude_outside")}
    if chosen["coordinates"] == "tf_crop_and_resize":
        chosen["roi"] = draw(tuples(st.sampled_from([-0.75, 0.0, 0.25, 1.0, 1.5]), 2 * (len(x) - 2)))
    sizes = {name: drawn.attributes[name] for name in ("size", "scales") if name in drawn.attributes}
    return Case("Interpolate", (x,), {**sizes, **chosen, "alpha": draw(st.sampled_from([-0.75, -0.5, 0.0]))})


def grid_sample(draw: Draw) -> Case:
    x = picture(draw)
    grid = (x[0], *draw(tuples(st.integers(1, 9), len(x) - 2)), len(x) - 2)
    return Case("GridSample", (x, grid), choices_of(draw, "GridSample"))


def roi_align(draw: Draw) -> Case:
    x = (draw(counts), draw(sizes), draw(sizes), draw(sizes))
    boxes = draw(sizes)
    attributes = {
        "size": draw(tuples(counts, 2)),
        "count": draw(small),
        "scale": draw(st.sampled_from([0.5, 1.0, -3.0])),
    }
    return Case("RoiAlign", (x, (boxes,), (boxes, 4)), {**attributes, **choices_of(draw, "RoiAlign")})


def non_max_suppression(draw: Draw) -> Case:
    images, classes, boxes = draw(counts), draw(counts), draw(st.integers(1, 12))
    attributes = {"count": draw(st.integers(1, 15)), "threshold": draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))}
    attributes["minimum"] = draw(st.sampled_from([-np.inf, -0.5, 0.0]))
    return Case(
        "NonMaxSuppression",
        ((images, boxes, 4), (images, classes, boxes)),
        {**attributes, **choices_of(draw, "NonMaxSuppression")},
    )


def first_entries(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    return Case("FirstEntries", (x, (1,)), {"axis": axis_of(draw, x)})


def depth_to_space(draw: Draw) -> Case:
    x = picture(draw)
    blocks = draw(tuples(st.integers(1, 3), len(x) - 2))
    deep = (x[0], x[1] * math.prod(blocks), *x[2:])
    return Case("DepthToSpace", (deep,), {"blocks": blocks, **choices_of(draw, "DepthToSpace")})


def space_to_depth(draw: Draw) -> Case:
    x = picture(draw)
    blocks = draw(tuples(st.integers(1, 3), len(x) - 2))
    wide = (*x[:2], *(size * block for size, block in zip(x[2:], blocks, strict=True)))
    return Case("SpaceToDepth", (wide,), {"blocks": blocks, **choices_of(draw, "SpaceToDepth")})


def over_axes(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        axes = tuple(draw(st.lists(st.integers(0, len(x) - 1), min_size=1, unique=True)))
        return Case(operator, (x,), {"axes": axes, "keepdims": draw(st.booleans())})

    return made


def along_axis(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        return Case(operator, (x,), {"axis": axis_of(draw, x)})

    return made


def layer_norm(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    scale, bias = ((x[axis:] if draw(st.booleans()) else None) for _ in range(2))
    given = (x, scale, bias) if bias is not None else (x, scale) if scale is not None else (x,)
    return Case("LayerNorm", given, {"axis": axis, "epsilon": draw(st.sampled_from([1e-5, 0.5, 0.0]))})


def quantize(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    scale, shift = ((x[axis],) if draw(st.booleans()) else None for _ in range(2))
    given = (x, scale, shift) if shift is not None else (x, scale) if scale is not None else (x,)
    signed = draw(st.booleans())
    bits = draw(st.integers(1, 24)) + signed
    return Case(
        "Quantize", given, {"axis": axis, "bits": bits, "signed": signed, "exponent": draw(st.integers(-20, 4))}
    )


def rms_norm(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    given = (x, x[axis:]) if draw(st.booleans()) else (x,)
    return Case("RmsNorm", given, {"axis": axis, "epsilon": draw(st.sampled_from([1e-5, 0.5]))})


def lrn(draw: Draw) -> Case:
    x = (draw(sizes), draw(sizes), *draw(shapes)[:3])
    # Not beta=0.5, for which NumPy takes a root: of -infinity that is NaN, and its power infinity.
    attributes = {"alpha": draw(st.sampled_from([0.5, 1e-4, -0.25])), "beta": draw(st.sampled_from([0.75, 0.6, 2.0]))}
    return Case("Lrn", (x,), {"size": draw(st.integers(1, 9)), "bias": draw(st.sampled_from([1.0, 2.0])), **attributes})


def embedding(draw: Draw) -> Case:
    return Case("Embedding", (draw(shapes), (draw(sizes), draw(st.integers(1, 40)))), {})


def stretch(draw: Draw) -> Case:
    return Case("Range", (draw(shapes),), {"count": draw(st.integers(1, 40)), "scale": draw(finite)})


def expand(draw: Draw) -> Case:
    shape = draw(shapes)
    wanted = tuple(size if draw(st.booleans()) else 1 for size in shape)
    return Case("Expand", (broadcastable(draw, shape),), {"shape": wanted})


def tile(draw: Draw) -> Case:
    x = draw(shapes)
    return Case("Tile", (x,), {"repeats": draw(tuples(counts, len(x)))})


def triangle(draw: Draw) -> Case:
    x = (*draw(shapes)[:3], *draw(tuples(st.integers(1, 9), 2)))
    return Case("Trilu", (x,), {"upper": draw(st.booleans()), "diagonal": draw(st.integers(-11, 11))})


def reverse(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axes = tuple(draw(st.lists(st.integers(0, len(x) - 1), min_size=1, unique=True)))
    return Case("Reverse", (x,), {"axes": axes})


def integers(draw: Draw) -> Case:
    shape = draw(shapes)
    count = draw(st.sampled_from([1, math.prod(shape)]))
    values = draw(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=count, max_size=count))
    return Case("Integers", (), {"type": draw(types), "shape": shape, "values": tuple(values)})


def where(draw: Draw) -> Case:
    shape = draw(shapes)
    return Case("Where", tuple(broadcastable(draw, shape) for _ in range(3)), {})


def gather(draw: Draw) -> Case:
    x = draw(shapes_with_axis)[:3]
    return Case("Gather", (x, draw(shapes)[:2]), {"axis": axis_of(draw, x)})


def elements(draw: Draw) -> tuple[Shape, Shape, int]:
    """Shapes of x and of the indices beside it, and the axis."""
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    indices = tuple(draw(st.integers(1, 7 if place == axis else size)) for place, size in enumerate(x))
    return x, indices, axis


def gather_elements(draw: Draw) -> Case:
    x, indices, axis = elements(draw)
    return Case("GatherElements", (x, indices), {"axis": axis})


def scatter_elements(draw: Draw) -> Case:
    x, indices, axis = elements(draw)
    return Case("ScatterElements", (x, indices, indices), {"axis": axis, "reduction": draw(reductions)})


def gather_nd(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    shared = draw(st.integers(0, len(x) - 1))
    names = draw(st.integers(1, len(x) - shared))
    return Case("GatherND", (x, (*x[:shared], *draw(shapes)[:2], names)), {"axes_in_common": shared})


def scatter_nd(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    names, each = draw(st.integers(1, len(x))), draw(shapes)[:2]
    return Case("ScatterND", (x, (*each, names), (*each, *x[names:])), {"reduction": draw(reductions)})


def top(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        axis = axis_of(draw, x)
        return Case(
            operator, (x,), {"axis": axis, "count": draw(st.integers(1, x[axis])), "largest": draw(st.booleans())}
        )

    return made


def along(operator: str, *flags: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        return Case(operator, (x,), {"axis": axis_of(draw, x), **{name: draw(st.booleans()) for name in flags}})

    return made


reductions = st.sampled_from(["none", "add", "mul", "max", "min"])
types = st.sampled_from(list(map(str, ValueType)))
RECURRENT = {"Lstm": 4, "Gru": 3, "Rnn": 1}
"""Operator -> gates."""
BOUNDED = ("sigmoid", "tanh", "hard_sigmoid", "softsign")
"""Activations whose outputs are between -1 and 1, so that steps don't grow beyond all bounds."""


def recurrent(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        time, batch, size, width = (draw(st.integers(1, high)) for high in (3, 4, 5, 4))
        attributes: dict[str, Any] = {name: draw(st.booleans()) for name in ("batch_first", "reverse")}
        attributes |= {name: draw(st.sampled_from(BOUNDED)) for name in activations(operator)}
        results = ("steps", "hidden", "cell")[: 3 if operator == "Lstm" else 2]
        attributes |= {"result": draw(st.sampled_from(results)), "clip": draw(st.sampled_from([np.inf, 0.5, 0.0]))}
        flags = {"Lstm": ("coupled",), "Gru": ("reset_after",)}.get(operator, ())
        attributes |= {name: draw(st.booleans()) for name in flags}
        gates = RECURRENT[operator] * size
        projects = operator == "Lstm" and draw(st.booleans())
        width = width if projects else size
        maybe = [(gates,), *([(3, size)] if operator == "Lstm" else [])]
        operands: list[Shape | None] = [shape if draw(st.booleans()) else None for shape in maybe]
        if operator == "Lstm":
            operands.append((width, size) if projects else None)
        states = [(batch,), (batch, width), *([(batch, size)] if operator == "Lstm" else [])]
        operands += [shape if draw(st.booleans()) else None for shape in states]
        if operands[-len(states)] is None and draw(st.booleans()):
            attributes["fixed_lengths"] = tuple(draw(st.integers(0, time)) for _ in range(batch))
        while operands and operands[-1] is None:
            operands.pop()
        first = (batch, time) if attributes["batch_first"] else (time, batch)
        return Case(operator, ((*first, gates), (gates, width), *operands), attributes)

    return made


numbers = st.sampled_from([-np.inf, -2.0, -0.5, 0.0, 0.3, 1.0, 6.0, np.inf])
MAKERS: dict[str, Callable[[Draw], Case]] = {
    **{name: unary(name) for name in working(Work.ENTRYWISE)},
    **{name: binary(name) for name in working(Work.BROADCAST)},
    "Conv": conv,
    "Linear": linear,
    "MaxPool": pool("MaxPool"),
    "Reshape": reshape,
    "AdaptiveAveragePool": adaptive_pool("AdaptiveAveragePool"),
    "Concat": concat,
    "Clip": unary("Clip", minimum=numbers, maximum=numbers),
    "HardSigmoid": unary("HardSigmoid", alpha=finite, beta=finite),
    "AveragePool": pool("AveragePool"),
    "Transpose": transpose,
    "Gelu": unary("Gelu", approximate=st.sampled_from(["none", "tanh"])),
    "LayerNorm": layer_norm,
    "Quantize": quantize,
    **{name: over_axes(name) for name, operator in OPERATORS.items() if operator.shape is OPERATORS["Mean"].shape},
    "RmsNorm": rms_norm,
    "Elu": unary("Elu", alpha=finite, scale=finite, input_scale=finite),
    "ThresholdedRelu": unary("ThresholdedRelu", alpha=finite),
    "Shrink": unary("Shrink", threshold=finite, bias=finite),
    "Slice": cut,
    "Softmax": along_axis("Softmax"),
    "LogSoftmax": along_axis("LogSoftmax"),
    "LeakyRelu": unary("LeakyRelu", alpha=finite),
    "Pad": pad,
    "Resize": resize,
    "Lrn": lrn,
    "MatMul": matmul,
    "AdaptiveMaxPool": adaptive_pool("AdaptiveMaxPool"),
    "Embedding": embedding,
    "Integers": integers,
    "Cast": unary("Cast", type=types),
    **{name: binary(name) for name in ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")},
    **{name: binary(name) for name in ("And", "Or", "Xor")},
    "Not": unary("Not"),
    "IsNaN": unary("IsNaN"),
    "IsInf": unary("IsInf", positive=st.booleans(), negative=st.booleans()),
    "Where": where,
    **{operator: recurrent(operator) for operator in RECURRENT},
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Interpolate": interpolate,
    "GridSample": grid_sample,
    "RoiAlign": roi_align,
    "NonMaxSuppression": non_max_suppression,
    "FirstEntries": first_entries,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    **{name: along(name, "keepdims", "last") for name in ("ArgMax", "ArgMin")},
    **{name: top(name) for name in ("TopKValues", "TopKIndices")},
    "CumSum": along("CumSum", "exclusive", "reverse"),
    "Range": stretch,
    "Expand": expand,
    "Tile": tile,
    "Trilu": triangle,
    "Reverse": reverse,
}
"""Operator -> what draws a case of it, most of the time one that its shape rule allows."""


@st.composite
def cases(draw: Draw, operator: str) -> Case:
    case = MAKERS[operator](draw)
    try:
        made = node(operator, [None if shape is None else "x" for shape in case.shapes], "y", **case.attributes)
        OPERATORS[operator].shape(case.shapes, made.attributes)
    except GraphError:
        reject()
    return case


LARGE = [
    Case("Conv", ((2, 6, 57, 61), (8, 3, 3, 3), (8,)), {"groups": 2, "strides": (2, 1), "pads": (1, 1, 1, 1)}),
    Case("Conv", ((3, 5, 40000), (2, 5, 1)), {}),
    Case("Conv", ((1, 2, 9, 30, 31), (3, 2, 3, 3, 3)), {"pads": (1,) * 6, "dilations": (1, 2, 1)}),
    Case("Linear", ((37, 300), (200, 300), (200,)), {}),
    Case("Linear", ((300,), (2000, 300), (2000,)), {}),
    Case("Linear", ((3, 700), (99, 700)), {}),
    Case("MatMul", ((3, 70, 1100), (1100, 90)), {}),
    Case("MatMul", ((2, 1, 3, 40), (5, 40, 9000)), {}),
    Case("MatMul", ((5000, 3), (3,)), {}),
    Case("MaxPool", ((2, 7, 60, 70),), {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    *(
        Case("MaxPool", ((2, 3, 6, 7, 8),), {"kernel": kernel, "strides": strides})
        for kernel in ((1, 2, 2), (1, 3, 3), (1, 1, 2), (2, 1, 2), (1, 1, 1), (1, 2, 1))
        for strides in ((2, 2, 2), (3, 1, 2), (2, 1, 1), (1, 2, 3))
    ),
    *(
        Case("AveragePool", ((2, 3, 6, 7, 8),), {"kernel": kernel, "strides": (2, 3, 2)})
        for kernel in ((1, 2, 2), (2, 1, 2), (1, 1, 1))
    ),
    Case("Conv", ((2, 3, 6, 7, 8), (4, 3, 1, 2, 2)), {"strides": (2, 2, 2)}),
    Case("Conv", ((2, 3, 6, 7, 8), (4, 3, 1, 1, 1)), {"strides": (3, 1, 2)}),
    Case("AveragePool", ((1, 3, 50000),), {"kernel": (5,)}),
    Case("AdaptiveAveragePool", ((4, 30, 40, 41),), {"size": (1, 1)}),
    Case("AdaptiveMaxPool", ((4, 30, 40, 41),), {"size": (7, 9)}),
    Case("Concat", ((3, 9000), (3, 20), (3, 40000)), {"axis": 1}),
    Case("Concat", ((3, 9000), (2, 9000)), {"axis": 0}),
    Case("Mul", ((4, 64, 20, 21), (4, 64, 1, 1)), {}),
    Case("Add", ((1, 50001), (3, 1)), {}),
    Case("Sub", ((70, 1, 50), (40, 1)), {}),
    Case("Div", ((3, 30001), (3, 30001)), {}),
    Case("Gelu", ((70001,),), {}),
    Case("Relu", ((5, 11, 997),), {}),
    Case("Reshape", ((6, 7001),), {"shape": (7001, 6)}),
    Case("Transpose", ((3, 100, 301),), {"order": (2, 0, 1)}),
    Case("Transpose", ((50, 3, 60, 7),), {"order": (2, 1, 0, 3)}),
    Case("Transpose", ((100000, 3),), {"order": (1, 0)}),
    Case("Slice", ((3, 70001, 2),), {"axis": 1, "start": 5, "stop": 70000, "step": 3}),
    Case("Slice", ((70001,),), {"axis": 0, "start": 5, "stop": 70000, "step": 3}),
    Case("Pad", ((2, 3, 70, 71),), {"pads": (0, 1, 2, 3, 0, 2, -1, 4), "value": 1.5}),
    Case("Pad", ((2, 70, 71, 3),), {"pads": (0, 1, 2, 0, 0, 2, 1, 0), "mode": "reflect"}),
    Case("Resize", ((2, 3, 60, 61),), {"size": (120, 122)}),
    Case("Interpolate", ((2, 3, 60, 61),), {"size": (120, 122)}),
    Case("Interpolate", ((1, 2, 9000),), {"size": (20000,), "mode": "cubic"}),
    Case("GridSample", ((2, 3, 60, 61), (2, 90, 70, 2)), {"mode": "cubic"}),
    Case("NonMaxSuppression", ((2, 300, 4), (2, 5, 300)), {"count": 40, "threshold": 0.3}),
    Case("RoiAlign", ((2, 30, 40, 41), (20,), (20, 4)), {"size": (7, 7), "scale": 20.0}),
    Case("GridSample", ((1, 70, 6, 7, 8), (1, 9, 11, 70, 3)), {"padding": "reflection"}),
    Case("DepthToSpace", ((2, 36, 30, 31),), {"blocks": (2, 3)}),
    Case("SpaceToDepth", ((2, 3, 60, 93),), {"blocks": (2, 3), "order": "dcr"}),
    Case("Mean", ((30, 7, 41, 43),), {"axes": (2, 3)}),
    Case("Mean", ((30, 7, 41, 43),), {"axes": (0, 2)}),
    Case("Mean", ((3, 40001),), {"axes": (0,)}),
    Case("Softmax", ((300, 301),), {"axis": 1}),
    Case("LogSoftmax", ((20, 30, 40, 5),), {"axis": 1}),
    Case("Quantize", ((300, 301), (301,)), {"exponent": -6}),
    Case("LayerNorm", ((300, 301), (301,), (301,)), {"axis": 1}),
    Case("Lrn", ((2, 40, 30, 31),), {"size": 5}),
    Case("Embedding", ((70, 30), (500, 64)), {}),
    Case("Range", ((7, 3),), {"count": 9001, "scale": 0.3}),
    Case("Expand", ((1, 300, 1),), {"shape": (4, 1, 301)}),
    Case("Tile", ((70, 71),), {"repeats": (3, 5)}),
    Case("Trilu", ((3, 200, 301),), {"diagonal": 17}),
    Case("Trilu", ((3, 200, 301),), {"upper": True}),
    Case("Reverse", ((3, 200, 301),), {"axes": (0, 2)}),
    Case("Embedding", ((3, 1), (3, 40001)), {}),
    Case("Integers", (), {"type": "int32", "shape": (3, 20001), "values": tuple(range(60003))}),
    Case("Integers", (), {"type": "bool", "shape": (3, 20001), "values": (1,)}),
    *(Case("Cast", ((3, 20001 + more),), {"type": kind}) for more in range(4) for kind in map(str, ValueType)),
    Case("Less", ((70, 1, 50), (40, 1)), {}),
    Case("Equal", ((3, 30001), (3, 30001)), {}),
    Case("Where", ((70, 1, 50), (40, 1), (70, 40, 50)), {}),
    Case("Where", ((3, 30001), (3, 30001), (3, 1)), {}),
    Case("Where", ((3, 30001), (1, 1), (3, 30001)), {}),
    Case("Div", ((3, 30002), (3, 30002)), {}),
    Case("Transpose", ((3, 101, 301),), {"order": (2, 0, 1)}),
    Case("Gather", ((30, 70, 41), (50, 3)), {"axis": 1}),
    Case("Gather", ((30, 7001), (9001,)), {"axis": 1}),
    Case("GatherElements", ((30, 70, 41), (30, 90, 41)), {"axis": 1}),
    Case("GatherND", ((30, 70, 410), (30, 60, 1)), {"axes_in_common": 1}),
    Case("ScatterElements", ((300, 41), (300, 70), (300, 70)), {"axis": 1, "reduction": "add"}),
    Case("ScatterND", ((30, 70, 410), (60, 2), (60, 410)), {"reduction": "max"}),
    Case("ArgMax", ((30, 70, 410),), {"axis": 1}),
    Case("ArgMin", ((300, 7001),), {"axis": 1, "last": True}),
    Case("TopKIndices", ((300, 701),), {"axis": 1, "count": 50}),
    Case("TopKValues", ((3, 701, 50),), {"axis": 1, "count": 5}),
    Case("CumSum", ((30, 70, 410),), {"axis": 1}),
    Case("Transpose", ((3, 103, 301),), {"order": (2, 0, 1)}),
    Case("Lstm", ((3, 7, 80), (80, 20), (80,)), {}),
    Case("Gru", ((5, 3, 60), (60, 20), (60,)), {"batch_first": True}),
    Case("Rnn", ((3, 9, 20), (20, 20)), {"reverse": True}),
]
"""Large enough for several pieces, in each way in which work is cut."""
