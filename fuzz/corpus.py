"""Small valid .nsm files to begin with: every operator, every encoding, names or none, batch open or fixed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from netsurgery.graph.extents import axis, larger
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.operators import OPERATORS, Work, working
from netsurgery.graph.recognition import recognise_weights
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode

Shape = tuple[int, ...]
PICTURE = (1, 2, 4, 4)
ROW = (1, 6)
STEPS = (1, 2, 12)

ONE_NODE: dict[str, tuple[list[Shape], list[Shape | None], dict[str, Any]]] = {
    **{name: ([ROW], [], {}) for name in working(Work.ENTRYWISE)},
    **{name: ([ROW, ROW], [], {}) for name in working(Work.BROADCAST)},
    **{
        name: ([PICTURE], [], {"axes": (1, 3)})
        for name, operator in OPERATORS.items()
        if operator.shape is OPERATORS["Mean"].shape
    },
    "RmsNorm": ([PICTURE], [(4,)], {"axis": 3, "epsilon": 1e-3}),
    "Elu": ([ROW], [], {"alpha": 0.5, "scale": 2.0, "input_scale": 0.25}),
    "Shrink": ([ROW], [], {"threshold": 0.25, "bias": 0.5}),
    "ThresholdedRelu": ([ROW], [], {"alpha": 0.25}),
    "PRelu": ([PICTURE], [(2, 1, 1)], {}),
    "Conv": ([PICTURE], [(4, 1, 3, 2), (4,)], {"pads": (1, 0, 1, 1), "strides": (2, 1), "groups": 2}),
    "Linear": ([ROW], [(3, 6), (3,)], {}),
    "MaxPool": ([PICTURE], [], {"kernel": (3, 2), "pads": (1, 1, 1, 0), "strides": (2, 2), "ceil_mode": True}),
    "Reshape": ([PICTURE], [], {"shape": (-1, 4, 8)}),
    "Add": ([ROW, ROW], [], {}),
    "AdaptiveAveragePool": ([PICTURE], [], {"size": (1, 3)}),
    "Mul": ([ROW], [(6,)], {}),
    "Concat": ([ROW, ROW, ROW], [(2, 6), (1, 6)], {"axis": 0}),
    "Clip": ([ROW], [], {"minimum": 0.0, "maximum": 6.0}),
    "HardSigmoid": ([ROW], [], {"alpha": 0.2}),
    "AveragePool": ([(1, 1, 5)], [], {"kernel": (2,), "dilations": (2,), "pads": (1, 1), "count_include_pad": True}),
    "Transpose": ([PICTURE], [], {"order": (0, 2, 3, 1)}),
    "Gelu": ([ROW], [], {"approximate": "tanh"}),
    "LayerNorm": ([PICTURE], [None, (4,)], {"axis": 3, "epsilon": 1e-3}),
    "Quantize": ([ROW], [None, (6,)], {"exponent": -4, "signed": False}),
    "Mean": ([PICTURE], [], {"axes": (2, 3), "keepdims": False}),
    "Slice": ([ROW], [], {"axis": 1, "start": 1, "stop": 6, "step": 2}),
    "Softmax": ([ROW], [], {"axis": 1}),
    "LogSoftmax": ([ROW], [], {"axis": 1}),
    "LeakyRelu": ([ROW], [], {"alpha": 0.25}),
    "Sub": ([ROW], [()], {}),
    "Div": ([ROW], [(1, 1)], {}),
    "Pad": ([PICTURE], [], {"pads": (0, 0, 1, -1, 0, 0, 2, 0), "mode": "reflect"}),
    "Resize": ([PICTURE], [], {"size": (8, 6), "scales": (2.0, 1.5), "coordinates": "half_pixel", "rounding": "ceil"}),
    "Lrn": ([PICTURE], [], {"size": 3, "beta": 0.5, "bias": 2.0}),
    "MatMul": ([ROW], [(6, 2)], {}),
    "AdaptiveMaxPool": ([PICTURE], [], {"size": (2, 1)}),
    "Embedding": ([ROW], [(7, 3)], {}),
    "Integers": ([], [], {"type": "int64", "shape": (2, 3), "values": (1, -2, 300, 4, 4, 2**31 - 1)}),
    "Cast": ([ROW], [], {"type": "int32"}),
    **{name: ([ROW, ROW], [], {}) for name in ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater")},
    **{name: ([ROW, ROW], [], {}) for name in ("GreaterOrEqual", "And", "Or", "Xor")},
    **{name: ([ROW], [], {}) for name in ("Not", "IsNaN")},
    "IsInf": ([ROW], [], {"negative": False}),
    "Where": ([ROW, ROW], [(6,)], {}),
    "Lstm": ([STEPS], [(12, 2), (12,), (3, 3), (2, 3)], {"alphas": (0.0, 0.5, 1.0), "cell_activation": "elu"}),
    "Gru": ([STEPS], [(12, 4), (12,)], {"batch_first": True, "result": "hidden", "reverse": True}),
    "Rnn": ([STEPS], [(12, 12)], {"candidate_activation": "affine", "alphas": (0.5,), "betas": (0.25,), "clip": 3.0}),
    "DepthToSpace": ([(1, 12, 2, 1)], [], {"blocks": (2, 3), "order": "dcr"}),
    "SpaceToDepth": ([PICTURE], [], {"blocks": (2, 4)}),
    "Interpolate": (
        [PICTURE],
        [],
        {"scales": (1.5, 0.5), "coordinates": "tf_crop_and_resize", "roi": (-0.5, 0.0, 1.0, 0.5), "mode": "cubic"},
    ),
    "GridSample": ([PICTURE, (1, 3, 2, 2)], [], {"mode": "cubic", "padding": "reflection"}),
    "RoiAlign": ([PICTURE, (3,), (3, 4)], [], {"size": (2, 3), "scale": 2.5, "mode": "max"}),
    "NonMaxSuppression": ([(1, 5, 4), (1, 2, 5)], [], {"count": 3, "threshold": 0.5, "minimum": 0.25}),
    "FirstEntries": ([ROW, (1,)], [], {"axis": 1}),
    "Gather": ([PICTURE, ROW], [], {"axis": 2}),
    "GatherElements": ([ROW, ROW], [], {"axis": 1}),
    "GatherND": ([PICTURE, (1, 3)], [], {}),
    "ScatterElements": ([ROW, ROW, ROW], [], {"axis": 1, "reduction": "add"}),
    "ScatterND": ([PICTURE, (1, 4), (1,)], [], {}),
    "ArgMax": ([PICTURE], [], {"axis": 2}),
    "ArgMin": ([ROW], [], {"axis": 1, "keepdims": False, "last": True}),
    "TopKValues": ([ROW], [], {"axis": 1, "count": 3}),
    "TopKIndices": ([ROW], [], {"axis": 1, "count": 6, "largest": False}),
    "CumSum": ([PICTURE], [], {"axis": 3, "reverse": True}),
    "Range": ([ROW], [], {"count": 3, "scale": 0.5}),
    "Expand": ([(4, 1, 6)], [], {"shape": (1, 3, 1)}),
    "Tile": ([ROW], [], {"repeats": (1, 2)}),
    "Trilu": ([PICTURE], [], {"upper": True, "diagonal": -1}),
    "Reverse": ([PICTURE], [], {"axes": (1, 3)}),
}
"""Operator -> shapes of its inputs, shapes of the constants behind them (None: left out), attributes."""

WITHOUT_BATCH = {("FirstEntries", 1)}
"""Operator and the number of an input whose first axis is never the batch."""


@lru_cache
def corpus() -> tuple[bytes, ...]:
    """The files, the same ones every time."""
    rng = np.random.default_rng(0)
    files = []
    for operator in OPERATORS:
        for dynamic, names in ((True, False), (False, True)):
            files.append(encode(_one_node(operator, dynamic, rng), names=names))
    files += [encode(recognise_weights(_one_constant(weight))) for weight in _weights(rng)]
    files += [encode(_network(rng), names=names) for names in (False, True)]
    files += [encode(_axes(), names=names) for names in (False, True)]
    return tuple(files)


def _one_node(operator: str, dynamic: bool, rng: np.random.Generator) -> Graph:
    shapes, constants, attributes = ONE_NODE[operator]
    builder = GraphBuilder()
    operands: list[str | None] = [
        builder.input(
            f"given {number}",
            ("batch" if dynamic and (operator, number) not in WITHOUT_BATCH else shape[0], *shape[1:]),
            type_of_operand(operator, number),
        )
        for number, shape in enumerate(shapes)
    ]
    if not shapes:
        builder.input("beside", ("batch" if dynamic else 1,))
    operands += [
        None if shape is None else builder.constant(rng.standard_normal(shape), "weight") for shape in constants
    ]
    return builder.graph([builder.node(operator, operands, **attributes)])


def type_of_operand(operator: str, place: int) -> ValueType:
    """float32 where an operand may be that, else the last of the types that it may have."""
    types = OPERATORS[operator].operand(place).types
    return ValueType.FLOAT32 if ValueType.FLOAT32 in types else types[-1]


def _one_constant(weight: np.ndarray) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", weight.shape[1]))
    return builder.graph([builder.node("Linear", [x, builder.constant(weight)])])


def _weights(rng: np.random.Generator) -> list[np.ndarray]:
    """Matrices that are written in every way there is."""
    powers = rng.choice([-0.5, 0.25, 1.0, -2.0], (4, 12))
    plain = rng.standard_normal((4, 12)).astype(np.float32)
    signs = np.where(rng.random((2, 8, 64)) < 0.5, np.float32(-1), np.float32(1))
    scales = rng.random((2, 8, 1)).astype(np.float32)
    dead_columns = plain.copy()
    dead_columns[:, 3:] = 0
    return [
        np.zeros((3, 4)),
        plain,
        powers,
        powers * rng.random((4, 1)),  # a mantissa for each row
        plain * (rng.random((4, 12)) < 0.3),  # a mask
        dead_columns,
        rng.choice(plain[0, :5], (8, 16)),  # a codebook
        rng.choice(plain[0, :5], (8, 16)) * (rng.random((8, 16)) < 0.5),
        signs[0] * scales[0],  # binary planes
        signs[0] * scales[0] + signs[1] * scales[1],
        (rng.integers(-127, 128, (6, 40)) * scales[0, :6].astype(np.float64)).astype(np.float32),  # and a scale a row
        np.full((2, 3), -0.0),
        np.float32(2.0) ** rng.integers(-149, 128, (4, 9)),
    ]


def _network(rng: np.random.Generator) -> Graph:
    """Two inputs, two outputs, a tied weight, a picture flattened, a constant in the first place."""
    builder = GraphBuilder()
    x, y = builder.input("x", ("batch", 1, 6, 6)), builder.input("y", ("batch", 4))
    weight = rng.standard_normal((2, 1, 3, 3)) * (rng.random((2, 1, 3, 3)) < 0.6)
    x = builder.node("Conv", [x, builder.constant(weight), builder.constant(np.zeros(2))])
    x = builder.node("MaxPool", [builder.node("Relu", [x])], kernel=(2, 2), strides=(2, 2))
    x = builder.node("Reshape", [x], shape=(-1, 8))
    x = builder.node("Linear", [x, builder.constant(rng.standard_normal((4, 8)) * (rng.random((4, 8)) < 0.4))])
    tied = builder.constant(rng.standard_normal((4, 4)))
    for _ in range(2):
        x = builder.node("Add", [builder.node("Linear", [x, tied]), y])
    z = builder.node("Sub", [builder.constant(np.ones(4)), x])
    return builder.graph([x, z])


def _axes() -> Graph:
    """Whole numbers with two open axes, a picture with two others that have to be longer than one."""
    rng, builder = np.random.default_rng(1), GraphBuilder()
    ids = builder.input("ids", ("batch", "time"), ValueType.INT32)
    rows = builder.node("Embedding", [ids, builder.constant(rng.standard_normal((5, 4)))])
    split = builder.node("Reshape", [rows], shape=(0, -1, 2, 2))
    picture = builder.input("picture", ("batch", 1, "height", "width"))
    kernel = builder.constant(rng.standard_normal((2, 1, 3, 2)))
    maps = builder.node("Conv", [picture, kernel], strides=(2, 1))
    time, height = axis("time"), axis("height")
    places = builder.node("Slice", [builder.constant(rng.standard_normal((40, 4)))], axis=0, start=0, stop=time)
    last = builder.node("Slice", [builder.node("Add", [rows, places])], axis=1, start=time - 1, stop=time)
    half = builder.node("Slice", [maps], axis=2, start=0, stop=(height // 2 + 1) // 2)
    flat = builder.node("Reshape", [rows], shape=(axis("batch") * time, larger(4 - 2 * time, 2) * 2))
    return builder.graph([split, maps, last, half, flat])
