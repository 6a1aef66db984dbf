"""Small valid .nsm files to begin with: every operator, every encoding, names or none, batch open or fixed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from tests.samples.table import SAMPLES

from netsurgery.graph.extents import axis, larger
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.recognition import recognise_weights
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode


@lru_cache
def corpus() -> tuple[bytes, ...]:
    """The files, the same ones every time."""
    rng = np.random.default_rng(0)
    files: list[bytes] = []
    for operator, samples in SAMPLES.items():
        for sample in samples.files:
            files.append(encode(sample.graph(operator, "batch"), names=False))
            files.append(encode(sample.graph(operator, 1), names=True))
    files += [encode(recognise_weights(_one_constant(weight))) for weight in _weights(rng)]
    files += [encode(_network(rng), names=names) for names in (False, True)]
    files += [encode(_axes(), names=names) for names in (False, True)]
    return tuple(files)


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
