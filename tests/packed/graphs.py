"""Small graphs that together show every operator, attribute and arrangement that a file can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from netsurgery.graph import examples
from netsurgery.graph.extents import axis
from netsurgery.graph.ir import Array, Graph, GraphBuilder, Input, Node, node
from netsurgery.graph.operators import OPERATORS, Work, working
from netsurgery.graph.operators.recurrent import ACTIVATIONS, activations
from netsurgery.graph.planes import sum_of_planes
from netsurgery.graph.recognition import recognise_weights
from netsurgery.graph.value_types import ValueType


class Value(NamedTuple):
    """An operand that is an input of the graph, of this shape behind the batch."""

    shape: tuple[int, ...]


class Numbers(NamedTuple):
    """An operand that is an input of whole numbers, or of bools."""

    shape: tuple[int, ...]
    type: ValueType = ValueType.INT64


class Constant(NamedTuple):
    """An operand that is a constant of this shape."""

    shape: tuple[int, ...]


class Known(NamedTuple):
    """An operand that is whole numbers of the graph itself."""

    values: tuple[int, ...]


Operand = Value | Numbers | Constant | Known | None
WHOLE_ROW, SHORT_ROW, BOOLS = Numbers((6,)), Numbers((6,), ValueType.INT32), Numbers((6,), ValueType.BOOL)
ROW, LINE, IMAGE, BOX = Value((6,)), Value((4, 9)), Value((4, 7, 9)), Value((2, 4, 3, 5))

REDUCTIONS = ("none", "add", "mul", "max", "min")

CASES: list[tuple[str, tuple[Operand, ...], dict[str, Any]]] = [
    (
        "Conv",
        (IMAGE, Constant((6, 2, 3, 2)), Constant((6,))),
        {"strides": (2, 1), "pads": (1, 0, 2, 3), "dilations": (2, 3), "groups": 2},
    ),
    ("Conv", (LINE, Constant((3, 4, 3))), {"pads": (1, 1)}),
    ("Conv", (BOX, Constant((4, 1, 2, 2, 2)), Constant((4,))), {"groups": 2, "dilations": (1, 2, 2)}),
    ("Relu", (IMAGE,), {}),
    ("Linear", (ROW, Constant((5, 6)), Constant((5,))), {}),
    ("Linear", (IMAGE, Constant((5, 9))), {}),
    ("MaxPool", (IMAGE,), {"kernel": (3, 2), "strides": (2, 3), "pads": (1, 0, 2, 1), "dilations": (2, 1)}),
    ("MaxPool", (LINE,), {"kernel": (2,), "strides": (2,), "ceil_mode": True}),
    ("Reshape", (IMAGE,), {"shape": (-1, 252)}),
    ("Reshape", (IMAGE,), {"shape": (-1, 7, 3, 3, 4)}),
    ("Reshape", (Constant(()),), {"shape": (1, 1)}),
    ("Add", (IMAGE, IMAGE), {}),
    ("Add", (Constant((4, 1, 9)), IMAGE), {}),
    ("AdaptiveAveragePool", (IMAGE,), {"size": (2, 5)}),
    ("AdaptiveAveragePool", (BOX,), {"size": (1, 1, 1)}),
    ("Mul", (ROW, Constant((6,))), {}),
    ("Mul", (Constant((2, 3)), Constant(())), {}),
    ("Concat", (IMAGE, Value((2, 7, 9)), IMAGE), {"axis": 1}),
    ("Concat", (Constant((1, 6)), ROW, Constant((2, 6))), {"axis": 0}),
    ("Concat", (ROW,), {"axis": 1}),
    ("Clip", (ROW,), {"minimum": -0.5, "maximum": 6.0}),
    ("Clip", (ROW,), {"minimum": -0.0}),
    ("HardSwish", (ROW,), {}),
    ("Sigmoid", (ROW,), {}),
    ("HardSigmoid", (ROW,), {"alpha": 0.2, "beta": 0.25}),
    ("Silu", (ROW,), {}),
    (
        "AveragePool",
        (IMAGE,),
        {
            "kernel": (2, 3),
            "strides": (3, 2),
            "pads": (1, 1, 1, 1),
            "dilations": (1, 2),
            "ceil_mode": True,
            "count_include_pad": True,
        },
    ),
    ("Transpose", (IMAGE,), {"order": (0, 2, 3, 1)}),
    ("Transpose", (ROW,), {"order": (1, 0)}),
    ("Gelu", (ROW,), {"approximate": "tanh"}),
    ("Gelu", (ROW,), {}),
    ("LayerNorm", (IMAGE, Constant((7, 9)), Constant((7, 9))), {"axis": 2, "epsilon": 0.5}),
    ("LayerNorm", (IMAGE, None, Constant((9,))), {"axis": 3}),
    ("LayerNorm", (ROW, Constant((6,))), {"axis": 1}),
    ("LayerNorm", (ROW,), {"axis": 1}),
    ("Quantize", (IMAGE, Constant((4,)), Constant((4,))), {"exponent": -7, "bits": 12, "signed": False}),
    ("Quantize", (ROW, None, Constant((6,))), {"exponent": 3}),
    ("Quantize", (ROW,), {"exponent": -100, "bits": 25, "axis": 0}),
    ("Mean", (IMAGE,), {"axes": (2, 3), "keepdims": False}),
    ("Mean", (IMAGE,), {"axes": (1,)}),
    ("Slice", (IMAGE,), {"axis": 3, "start": 1, "stop": 8, "step": 3}),
    ("Slice", (IMAGE,), {"axis": 1, "stop": 2}),
    ("Softmax", (IMAGE,), {"axis": 1}),
    ("LogSoftmax", (ROW,), {"axis": 1}),
    ("LeakyRelu", (ROW,), {"alpha": 0.25}),
    ("Sub", (Constant(()), ROW), {}),
    ("Div", (ROW, Constant((1, 1))), {}),
    ("Pad", (IMAGE,), {"pads": (0, 0, 1, 2, 0, 0, 1, -2), "value": -3.5}),
    ("Pad", (ROW,), {"pads": (0, 1, 0, 1), "value": -0.0}),
    *(("Pad", (IMAGE,), {"pads": (0, 0, 1, 2, 0, 0, 1, 3), "mode": mode}) for mode in ("reflect", "edge", "wrap")),
    ("Resize", (IMAGE,), {"size": (14, 5), "scales": (2.0, 0.625), "coordinates": "half_pixel"}),
    *(
        ("Resize", (LINE,), {"size": (13,), "coordinates": coordinates, "rounding": rounding})
        for coordinates, rounding in (
            ("asymmetric", "floor"),
            ("pytorch_half_pixel", "ceil"),
            ("align_corners", "round_prefer_floor"),
            ("half_pixel_symmetric", "round_prefer_ceil"),
        )
    ),
    ("Tanh", (ROW,), {}),
    ("Lrn", (IMAGE,), {"size": 3, "alpha": 0.5, "beta": 0.5, "bias": 2.0}),
    ("Lrn", (IMAGE,), {"size": 2**31 - 1}),
    ("MatMul", (LINE, Constant((9, 2))), {}),
    ("MatMul", (Constant((3, 4)), LINE), {}),
    ("AdaptiveMaxPool", (IMAGE,), {"size": (3, 4)}),
    ("Embedding", (Numbers((3, 2)), Constant((5, 4))), {}),
    ("Embedding", (Numbers((), ValueType.INT32), Constant((4, 3))), {}),
    *(("Integers", (), {"type": kind, "shape": (2,), "values": (3, -1)}) for kind in map(str, ValueType)),
    ("Integers", (), {"type": "int64", "shape": (), "values": (-(2**31) + 1,)}),
    ("Integers", (), {"type": "int32", "shape": (3, 40), "values": tuple(range(-60, 60))}),
    ("Integers", (), {"type": "int32", "shape": (3, 40), "values": (7,)}),
    *(("Cast", (one,), {"type": kind}) for one in (ROW, SHORT_ROW, WHOLE_ROW, BOOLS) for kind in map(str, ValueType)),
    *((name, (ROW, Constant((1, 6))), {}) for name in ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater")),
    ("GreaterOrEqual", (Constant((6,)), ROW), {}),
    ("Equal", (BOOLS, BOOLS), {}),
    ("Less", (WHOLE_ROW, WHOLE_ROW), {}),
    *((name, (BOOLS, Numbers((1,), ValueType.BOOL)), {}) for name in ("And", "Or", "Xor")),
    ("Not", (BOOLS,), {}),
    ("IsNaN", (ROW,), {}),
    ("IsInf", (ROW,), {}),
    ("IsInf", (ROW,), {"positive": False, "negative": True}),
    ("IsInf", (ROW,), {"negative": False}),
    ("Where", (BOOLS, ROW, Constant(())), {}),
    ("Where", (Numbers((1,), ValueType.BOOL), WHOLE_ROW, WHOLE_ROW), {}),
    ("Gather", (Constant((4, 3)), Numbers((2,))), {"axis": 1}),
    ("Gather", (Constant((4, 3)), Numbers((), ValueType.INT32)), {"axis": 0}),
    ("GatherElements", (IMAGE, Numbers((9, 7, 9))), {"axis": 1}),
    ("GatherND", (Constant((4, 3, 2)), Numbers((5, 2))), {}),
    ("GatherND", (BOX, Numbers((2, 2), ValueType.INT32)), {"axes_in_common": 1}),
    *(("ScatterElements", (ROW, WHOLE_ROW, ROW), {"axis": 1, "reduction": kind}) for kind in REDUCTIONS),
    *(("ScatterND", (Constant((4, 3)), Numbers((2,)), Value(())), {"reduction": kind}) for kind in REDUCTIONS),
    ("ArgMax", (IMAGE,), {"axis": 2}),
    ("ArgMax", (SHORT_ROW,), {"axis": 1, "keepdims": False, "last": True}),
    ("ArgMin", (IMAGE,), {"axis": 1}),
    ("ArgMin", (WHOLE_ROW,), {"axis": 1, "keepdims": False, "last": True}),
    ("TopKValues", (IMAGE,), {"axis": 3, "count": 4}),
    ("TopKValues", (WHOLE_ROW,), {"axis": 1, "count": 6, "largest": False}),
    ("TopKIndices", (IMAGE,), {"axis": 1, "count": 2}),
    ("TopKIndices", (SHORT_ROW,), {"axis": 1, "count": 3, "largest": False}),
    ("CumSum", (IMAGE,), {"axis": 2, "exclusive": True}),
    ("CumSum", (WHOLE_ROW,), {"axis": 1, "reverse": True}),
    *((name, (SHORT_ROW, SHORT_ROW), {}) for name in ("Add", "Sub", "Mul", "Div")),
    ("Concat", (BOOLS, BOOLS), {"axis": 1}),
    ("Transpose", (WHOLE_ROW,), {"order": (1, 0)}),
    ("Slice", (BOOLS,), {"axis": 1, "start": 1, "stop": 5, "step": 2}),
    ("Pad", (WHOLE_ROW,), {"pads": (0, 1, 0, 2), "value": -7.0}),
    ("Reshape", (BOOLS,), {"shape": (-1, 2, 3)}),
    ("Resize", (IMAGE,), {"scales": (2.0, 0.5)}),
    ("DepthToSpace", (Value((12, 3, 5)),), {"blocks": (2, 3)}),
    ("DepthToSpace", (LINE,), {"blocks": (4,), "order": "dcr"}),
    ("SpaceToDepth", (Value((2, 6, 4)),), {"blocks": (3, 2)}),
    ("SpaceToDepth", (Value((1, 2, 2, 4)),), {"blocks": (2, 1, 4), "order": "dcr"}),
    ("Interpolate", (IMAGE,), {"size": (11, 4)}),
    ("GridSample", (IMAGE, Value((5, 3, 2))), {}),
    ("NonMaxSuppression", (Value((9, 4)), Value((2, 9))), {"count": 4, "threshold": 0.25, "minimum": -0.5}),
    ("NonMaxSuppression", (Value((9, 4)), Value((2, 9))), {"count": 99, "order": "center"}),
    ("NonMaxSuppression", (Value((9, 4)), Value((1, 9))), {"count": 3, "result": "count"}),
    ("FirstEntries", (LINE, Known((1,))), {"axis": 1}),
    ("RoiAlign", (Constant((2, 4, 7, 9)), Numbers(()), Value((4,))), {"size": (2, 3), "scale": 3.0}),
    (
        "RoiAlign",
        (Constant((2, 3, 5, 4)), Numbers((), ValueType.INT32), Value((4,))),
        {"size": (1, 2), "count": 2, "coordinates": "asymmetric", "mode": "max"},
    ),
    ("GridSample", (LINE, Value((11, 1))), {"mode": "cubic", "padding": "border", "coordinates": "align_corners"}),
    ("GridSample", (BOX, Value((2, 1, 3, 3))), {"mode": "nearest", "padding": "reflection"}),
    *(
        ("Interpolate", (LINE,), {"size": (13,), "coordinates": coordinates})
        for coordinates in ("asymmetric", "pytorch_half_pixel", "half_pixel_symmetric")
    ),
    ("Interpolate", (LINE,), {"scales": (1.75,), "coordinates": "align_corners", "mode": "cubic", "alpha": -0.5}),
    ("Interpolate", (BOX,), {"scales": (0.5, 2.0, 0.6), "antialias": True, "exclude_outside": True}),
    (
        "Interpolate",
        (IMAGE,),
        {"size": (5, 6), "coordinates": "tf_crop_and_resize", "roi": (0.1, -0.5, 0.9, 1.5), "value": 2.5},
    ),
    ("Reshape", (IMAGE,), {"shape": (0, 7, -1)}),
    ("Reshape", (Constant((2, 3)),), {"shape": (2, 3)}),
    ("Pad", (Constant((2, 3)),), {"pads": (0, 1, 1, 1)}),
    ("Elu", (ROW,), {"alpha": 0.5, "scale": 2.0, "input_scale": 0.25}),
    ("ThresholdedRelu", (ROW,), {"alpha": 0.25}),
    ("Shrink", (ROW,), {"threshold": 0.25, "bias": 0.5}),
    ("PRelu", (IMAGE, Constant((4, 1, 1))), {}),
    ("RmsNorm", (IMAGE, Constant((7, 9))), {"axis": 2, "epsilon": 0.5}),
    ("RmsNorm", (ROW,), {"axis": 1}),
    ("ReduceMax", (IMAGE,), {"axes": (2, 3), "keepdims": False}),
    ("ReduceSum", (IMAGE,), {"axes": (1,)}),
    ("Conv", (Constant((1, 2, 5)), Constant((4, 1, 2)), Constant((4,))), {"pads": (0, 1), "groups": 2}),
    ("Range", (ROW,), {"count": 5, "scale": -0.25}),
    ("Expand", (IMAGE,), {"shape": (3, 1, 1, 1, 1)}),
    ("Tile", (IMAGE,), {"repeats": (1, 2, 1, 3)}),
    ("Trilu", (IMAGE,), {"diagonal": 2}),
    ("Trilu", (ROW,), {"upper": True, "diagonal": -1}),
    ("Reverse", (IMAGE,), {"axes": (1, 3)}),
]
STEPS = Value((3, 12))
CASES += [
    ("Lstm", (STEPS, Constant((12, 3)), Constant((12,))), {}),
    (
        "Lstm",
        (
            *(STEPS, Constant((12, 2)), None, Constant((3, 3)), Constant((2, 3))),
            *(Numbers(()), Value((2,)), Value((3,))),
        ),
        {"batch_first": True, "result": "cell", "coupled": True, "reverse": True, "clip": 1.5},
    ),
    ("Lstm", (STEPS, Constant((12, 3))), {"result": "hidden", "fixed_lengths": (1, 0, 1)}),
    (
        "Lstm",
        (STEPS, Constant((12, 3))),
        {"cell_activation": "hard_sigmoid", "alphas": (0, 0, 0.5), "betas": (0, 0, 0.25)},
    ),
    ("Gru", (STEPS, Constant((12, 4)), Constant((12,)), None, Value((4,))), {"batch_first": True}),
    ("Gru", (STEPS, Constant((12, 4)), None, Numbers((), ValueType.INT32)), {"batch_first": True, "result": "hidden"}),
    (
        "Gru",
        (STEPS, Constant((12, 4))),
        {"reset_after": False, "clip": 0.5, "alphas": (0, 2), "betas": (0, 1), "fixed_lengths": (1, 1, 1)},
    ),
    ("Gru", (STEPS, Constant((12, 4))), {"reverse": True}),
    ("Rnn", (STEPS, Constant((12, 12)), Constant((12,)), None, Value((12,))), {"batch_first": True, "reverse": True}),
    ("Rnn", (STEPS, Constant((12, 12)), None, Numbers(())), {"batch_first": True, "result": "hidden"}),
    ("Rnn", (STEPS, Constant((12, 12))), {"alphas": (0.5,), "betas": (0.25,), "clip": 0.5, "fixed_lengths": (0, 1, 1)}),
]
CASES += [
    (operator, (STEPS, Constant((12, 12 // gates))), dict.fromkeys(activations(operator), activation))
    for operator, gates in (("Lstm", 4), ("Gru", 3), ("Rnn", 1))
    for activation in ACTIVATIONS
]
_GIVEN = {case[0] for case in CASES}
CASES += [(name, (ROW,), {}) for name in working(Work.ENTRYWISE) if name not in _GIVEN]
CASES += [(name, (IMAGE, Constant((4, 1, 1))), {}) for name in working(Work.BROADCAST) if name not in _GIVEN]
CASES += [
    (name, (IMAGE,), {"axes": (1, 3), "keepdims": keepdims})
    for keepdims in (True, False)
    for name, operator in OPERATORS.items()
    if operator.shape is OPERATORS["Mean"].shape
]
"""Operator, its operands, its attributes."""


def one_node(operator: str, operands: tuple[Operand, ...], attributes: dict[str, Any], batch: int | str) -> Graph:
    """The graph of a case. A node without a value among its operands gets an input beside it."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder()
    inputs: list[str | None] = []
    for operand in operands:
        if isinstance(operand, Value | Numbers):
            kind = operand.type if isinstance(operand, Numbers) else ValueType.FLOAT32
            inputs.append(builder.input("x", (batch, *operand.shape), kind))
        elif isinstance(operand, Known):
            inputs.append(builder.integers(operand.values, ValueType.INT64))
        else:
            value = None if operand is None else rng.normal(size=operand.shape)
            inputs.append(None if value is None else builder.constant(value))
    if not any(isinstance(operand, Value | Numbers) for operand in operands):
        builder.input("x", (batch, 2))
    made = builder.node(operator, inputs, **attributes)
    return builder.graph([made])


def no_nodes() -> Graph:
    return Graph((Input("x", ("batch", 3)),), (), ("x",), {})


def input_of_rank_zero() -> Graph:
    builder = GraphBuilder()
    return builder.graph([builder.node("Add", [builder.input("x", ()), builder.input("y", ("batch",))])])


def several_in_and_out() -> Graph:
    """Open and fixed batches side by side; an output that is an input, one that comes twice, one in the middle."""
    builder = GraphBuilder()
    a, b, c = (builder.input(name, shape) for name, shape in (("a", ("batch", 3)), ("b", (1, 3)), ("c", (2, 5, 5))))
    total = builder.node("Add", [a, b])
    product = builder.node("Mul", [total, total])
    return builder.graph([product, c, total, a, total])


def constants_everywhere() -> Graph:
    """Tied weights, one constant twice in a node, in the first place, in a node of constants alone."""
    rng = np.random.default_rng(1)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 4))
    weight, row = builder.constant(rng.normal(size=(4, 4))), builder.constant(rng.normal(size=4))
    x = builder.node("Linear", [x, weight, row])
    x = builder.node("Linear", [builder.node("Relu", [x]), weight])
    x = builder.node("Add", [row, x])
    twice = builder.node("Mul", [builder.constant([3.0, 0.0, -1.0, 2.0])] * 2)
    new_twice = builder.node("Linear", [builder.constant(rng.normal(size=(3, 3)))] * 2)
    stack = builder.node("Concat", [x, weight, x, builder.constant(np.zeros((2, 4))), weight], axis=0)
    return builder.graph([builder.node("Sub", [stack, twice]), new_twice])


def unread_constant() -> Graph:
    return Graph((Input("x", ("batch", 3)),), (node("Relu", ["x"], "y"),), ("y",), {"z": np.ones(3, np.float32)})


def masked() -> Graph:
    """Whole numbers -> those moved by one, what is no padding, and rows of a table where it isn't: (n, time, 4)."""
    rng, builder = np.random.default_rng(4), GraphBuilder()
    ids = builder.input("ids", ("batch", "time"), ValueType.INT64)
    kept = builder.node("NotEqual", [ids, builder.integers(0, ValueType.INT64)])
    moved = builder.node("Sub", [ids, builder.node("Cast", [kept], type="int64")])
    rows = builder.node("Embedding", [moved, builder.constant(rng.normal(size=(9, 4)))])
    shown = builder.node("Reshape", [kept], shape=(0, -1, 1))
    return builder.graph([moved, kept, builder.node("Where", [shown, rows, builder.constant(np.zeros(()))])])


def whole_numbers() -> Graph:
    """(n, 1, 6, 6) -> (n, 3): convolution, pool, flattening, linear layer. All weights are whole numbers."""
    builder = GraphBuilder()
    numbers = np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3)
    x = builder.input("image", ("batch", 1, 6, 6))
    x = builder.node("Conv", [x, builder.constant((numbers % 5 - 2) * (numbers % 3 > 0)), builder.constant([1, -1])])
    x = builder.node("MaxPool", [builder.node("Relu", [x])], kernel=(2, 2), strides=(2, 2))
    x = builder.node("Reshape", [x], shape=(-1, 8))
    weight = (np.arange(24) % 7 - 3).reshape(3, 8)
    return builder.graph([builder.node("Linear", [x, builder.constant(weight)], "scores")])


def every_encoding() -> Graph:
    """Constants as zeros, floats, powers of two, scaled ones, a codebook, planes; a mask without and with live columns.

    All of it is computed from whole numbers, so that no release of NumPy changes it.
    """
    rows, columns = np.mgrid[:6, :40]
    dice = (rows * 40 + columns + 1) * 2654435761 % 2**32 >> 16
    sign = 1 - 2 * (dice % 2)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 40))
    values = [
        np.zeros((6, 40)),
        sign * (1 + rows / 8 + columns / 1024),
        sign * 2.0 ** (dice // 2 % 3),
        sign * 2.0 ** (dice // 2 % 5) * (1 + np.array([[1], [5], [3], [7], [2], [6]]) / 11),
        np.array([0.1, 0.7, -0.3])[dice % 3],
        sum_of_planes(
            np.array([[1.1, 0.5]] * 6, np.float32) * (1 + rows[:, :1].astype(np.float32) / 7),
            np.stack([dice % 2, dice // 2 % 2]).astype(np.uint8),
        ),
        np.where(dice % 5 == 0, sign * (1 + columns / 64), 0),
        np.where((dice % 2 == 0) & (columns % 8 == 3), sign * (1 + dice // 16 % 8 / 8), 0),
    ]
    return recognise_weights(builder.graph([builder.node("Linear", [x, builder.constant(value)]) for value in values]))


def random_lenet5(seed: int) -> Graph:
    """LeNet-5 with 0.9 % of its connections."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder()

    def layer(operator: str, x: str, density: float, *shape: int) -> str:
        weight = rng.normal(0, 0.1, shape) * (rng.random(shape) < density)
        return builder.node(operator, [x, builder.constant(weight), builder.constant(rng.normal(0, 0.1, shape[0]))])

    x = builder.input("image", ("batch", 1, 28, 28))
    x = builder.node("MaxPool", [layer("Conv", x, 0.14, 20, 1, 5, 5)], kernel=(2, 2), strides=(2, 2))
    x = builder.node("MaxPool", [layer("Conv", x, 0.03, 50, 20, 5, 5)], kernel=(2, 2), strides=(2, 2))
    x = builder.node("Reshape", [x], shape=(-1, 800))
    x = builder.node("Relu", [layer("Linear", x, 0.007, 500, 800)])
    return builder.graph([layer("Linear", x, 0.04, 10, 500)])


def open_axes() -> Graph:
    """Words as whole numbers, and a picture: five open axes, some of which have to be longer than one."""
    rng, builder = np.random.default_rng(2), GraphBuilder()
    ids = builder.input("ids", ("batch", "time"), ValueType.INT64)
    rows = builder.node("Embedding", [ids, builder.constant(rng.normal(size=(9, 8)))])
    heads = builder.node("Transpose", [builder.node("Reshape", [rows], shape=(0, 0, 2, 4))], order=(0, 2, 1, 3))
    turned = builder.node("Transpose", [heads], order=(0, 1, 3, 2))
    weights = builder.node("Softmax", [builder.node("MatMul", [heads, turned])], axis=3)
    joined = builder.node("Transpose", [builder.node("MatMul", [weights, heads])], order=(0, 2, 1, 3))
    words = builder.node(
        "Linear", [builder.node("Reshape", [joined], shape=(0, -1, 8)), builder.constant(rng.normal(size=(3, 8)))]
    )
    picture = builder.input("picture", ("batch", 2, "height", "width"))
    x = builder.node(
        "Conv", [picture, builder.constant(rng.normal(size=(4, 2, 3, 5)))], strides=(2, 2), pads=(1, 0, 0, 0)
    )
    x = builder.node("AdaptiveAveragePool", [builder.node("Relu", [x])], size=(1, 1))
    tail = builder.node("Slice", [builder.input("tail", ("batch", "rest"))], axis=1, start=2, stop=4)
    return builder.graph([words, builder.node("Reshape", [x], shape=(-1, 4)), tail])


def words() -> Graph:
    """(n, time) whole numbers -> (n, time, 5): looked up, then a layer; the batch can be cut."""
    rng, builder = np.random.default_rng(3), GraphBuilder()
    rows = builder.node(
        "Embedding",
        [builder.input("ids", ("batch", "time"), ValueType.INT32), builder.constant(rng.normal(size=(9, 8)))],
    )
    return builder.graph([builder.node("Linear", [rows, builder.constant(rng.normal(size=(5, 8)))])])


def multiples() -> Graph:
    """A picture is halved twice, and doubled again: its sizes are multiples of 4, each with its place in a table."""
    rng, builder = np.random.default_rng(4), GraphBuilder()
    picture = builder.input("picture", ("batch", 2, "height", "width"))
    half = builder.node("MaxPool", [picture], kernel=(2, 2), strides=(2, 2))
    weight = builder.constant(rng.normal(size=(2, 2, 2, 2)))
    x = builder.node("Resize", [builder.node("Conv", [half, weight], strides=(2, 2))], scales=(2.0, 2.0))
    x = builder.node("Resize", [builder.node("Add", [x, half])], scales=(2.0, 2.0))
    joined = builder.node("Concat", [x, picture], axis=1)
    places = builder.node("Slice", [builder.constant(rng.normal(size=(40, 1)))], axis=0, stop=axis("height") // 4)
    lines = builder.node("Conv", [joined, builder.constant(rng.normal(size=(1, 4, 4, 4)))], strides=(4, 4))
    return builder.graph([joined, builder.node("Add", [lines, places])], {"height": 4, "width": 8})


ARRANGEMENTS: tuple[Callable[[], Graph], ...] = (
    *(no_nodes, input_of_rank_zero, several_in_and_out, constants_everywhere, unread_constant),
    *(whole_numbers, every_encoding, open_axes, words, masked, multiples),
)


@cache
def all_graphs() -> dict[str, Graph]:
    """Every case with an open and with a fixed batch, and every arrangement, by name."""
    graphs = {arrangement.__name__: arrangement() for arrangement in ARRANGEMENTS}
    for number, (operator, operands, attributes) in enumerate(CASES):
        for batch in ("batch", 1, 3):
            graphs[f"{operator}-{number}-{batch}"] = one_node(operator, operands, attributes, batch)
    return {name: recognise_weights(graph) for name, graph in graphs.items()}


def random_inputs(graph: Graph, sizes: Mapping[str, int]) -> dict[str, Array]:
    return dict(zip((given.name for given in graph.inputs), examples.random_inputs(graph, sizes, 0), strict=True))


def numbered(graph: Graph) -> tuple[Any, ...]:
    """All of a graph but its names, its places and constants that nothing reads: equal for the same network."""
    read = dict.fromkeys(name for made in graph.nodes for name in made.given if name in graph.constants)
    every = [*(given.name for given in graph.inputs), *(made.output for made in graph.nodes), *read]
    number = {name: place for place, name in enumerate(every)}
    return (
        [(given.shape, given.type) for given in graph.inputs],
        [_numbered_node(made, number) for made in graph.nodes],
        [number[name] for name in graph.outputs],
        [(graph.constants[name].shape, graph.constants[name].values.tobytes()) for name in read],
    )


def _numbered_node(made: Node, number: dict[str, int]) -> tuple[Any, ...]:
    inputs = [None if name is None else number[name] for name in made.inputs]
    return made.operator, inputs, {name: _with_sign(value) for name, value in made.attributes.items()}


def _with_sign(value: Any) -> Any:
    """-0.0 and 0.0 told apart."""
    return (value, math.copysign(1, value)) if isinstance(value, float) else value
