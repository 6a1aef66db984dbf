"""The networks that the engine's tests in C++ run: every operator and arrangement, and some networks with depth.

python -m tests.engine.networks     writes them to engine/tests/networks, where fuzzers begin, too
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.packed.graphs import ARRANGEMENTS, random_lenet5
from tests.samples.table import SAMPLES

from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.planes import Signs, sum_of_planes
from netsurgery.graph.recognition import recognise_weights
from netsurgery.packed.writer import encode

FOLDER = Path(__file__).resolve().parents[2] / "engine" / "tests" / "networks"


class Layers:
    """Convolutions with random weights, one after another."""

    def __init__(self, channels: int, size: int) -> None:
        self.rng = np.random.default_rng(0)
        self.builder = GraphBuilder()
        self.input = self.builder.input("image", ("batch", channels, size, size))

    def conv(self, x: str, shape: tuple[int, ...], density: float, stride: int = 1, groups: int = 1) -> str:
        weight = np.where(self.rng.random(shape) < density, self.rng.normal(size=shape), 0)
        weight /= np.sqrt(density * np.prod(shape[1:]))
        side = (shape[2] - 1) // 2
        operands = [x, self.builder.constant(weight), self.builder.constant(self.rng.normal(0, 0.1, shape[0]))]
        return self.builder.node("Conv", operands, strides=(stride,) * 2, pads=(side,) * 4, groups=groups)

    def relu(self, x: str) -> str:
        return self.builder.node("Relu", [x])

    def scores(self, x: str, channels: int) -> Graph:
        x = self.builder.node("Mean", [x], axes=(2, 3), keepdims=False)
        weight = self.rng.normal(0, 0.2, (10, channels))
        return self.builder.graph([self.builder.node("Linear", [x, self.builder.constant(weight)])])


def residual() -> Graph:
    """(n, 3, 19, 19) -> (n, 10): sparse and dense convolutions, strides, a pool that pads, two residuals."""
    layers = Layers(3, 19)
    x = layers.relu(layers.conv(layers.input, (8, 3, 7, 7), 1.0, stride=2))
    x = layers.builder.node("MaxPool", [x], kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    y = layers.conv(layers.relu(layers.conv(x, (8, 8, 3, 3), 0.2)), (8, 8, 3, 3), 0.1)
    x = layers.relu(layers.builder.node("Add", [y, x]))
    y = layers.relu(layers.conv(x, (16, 8, 1, 1), 0.3, stride=2))
    y = layers.conv(y, (16, 16, 3, 3), 0.15)
    x = layers.relu(layers.builder.node("Add", [layers.conv(x, (16, 8, 1, 1), 1.0, stride=2), y]))
    return layers.scores(x, 16)


def depthwise() -> Graph:
    """(n, 3, 14, 14) -> (n, 10): inverted residuals: 1x1 sparse, 3x3 in each channel, 1x1 sparse, clipped at 6."""
    layers = Layers(3, 14)
    x = layers.builder.node("Clip", [layers.conv(layers.input, (6, 3, 3, 3), 0.8)], minimum=0.0, maximum=6.0)
    for stride in (1, 2, 1):
        y = layers.builder.node("Clip", [layers.conv(x, (18, 6, 1, 1), 0.4)], minimum=0.0, maximum=6.0)
        y = layers.builder.node("HardSwish", [layers.conv(y, (18, 1, 3, 3), 1.0, stride, groups=18)])
        y = layers.conv(y, (6, 18, 1, 1), 0.3)
        x = layers.builder.node("Add", [x, y]) if stride == 1 else y
    return layers.scores(x, 6)


def windows() -> Graph:
    """(n, 4, 17, 13) -> (n, 9, 3, 3), (n, 12, 9, 13): groups, strides and dilations of all kinds, pads on one side."""
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = builder.input("image", ("batch", 4, 17, 13))

    def conv(x: str, *shape: int, density: float = 0.5, **attributes: object) -> str:
        weight = np.where(rng.random(shape) < density, rng.normal(size=shape), 0) / np.sqrt(
            density * np.prod(shape[1:])
        )
        bias = builder.constant(rng.normal(size=shape[0]))
        return builder.node("Conv", [x, builder.constant(weight), bias], **attributes)

    x = conv(x, 12, 2, 3, 3, groups=2, strides=(2, 1), pads=(1, 1, 1, 1))
    y = conv(x, 12, 1, 5, 3, groups=12, dilations=(1, 2), pads=(2, 1, 2, 3))
    y = builder.node("LeakyRelu", [builder.node("Add", [x, y])], alpha=0.25)
    z = conv(builder.node("Concat", [y, x], axis=1), 7, 24, 2, 2, strides=(2, 2), pads=(0, 0, 1, 1), density=0.1)
    w = conv(z, 9, 7, 3, 3, strides=(2, 3), pads=(1, 1, 1, 1), density=1.0)
    return builder.graph([w, y])


def pools() -> Graph:
    """(n, 3, 15, 15) -> (n, 10): pools of both kinds that pad, round up, overlap and leave gaps; a normalisation."""
    layers = Layers(3, 15)
    builder = layers.builder
    x = layers.relu(layers.conv(layers.input, (8, 3, 3, 3), 0.5))
    x = builder.node("Lrn", [x], size=5, alpha=0.1, beta=0.75, bias=1.0)
    half = {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 0, 0, 1), "ceil_mode": True}
    most = builder.node("MaxPool", [x], **half)
    mean = builder.node("AveragePool", [x], count_include_pad=True, **half)
    x = layers.conv(builder.node("Concat", [most, mean], axis=1), (8, 16, 1, 1), 0.4)
    x = builder.node("MaxPool", [x], kernel=(2, 3), strides=(1, 1), pads=(1, 1, 0, 1), dilations=(3, 1))
    return layers.scores(layers.conv(x, (8, 8, 3, 3), 0.3), 8)


class PlaneLayers:
    """Weights that are sums of random planes."""

    def __init__(self) -> None:
        self.rng, self.builder = np.random.default_rng(0), GraphBuilder()
        self.planes: dict[str, tuple[Array, Signs]] = {}

    def weight(self, planes: int, *shape: int) -> str:
        rows, columns = shape[0], int(np.prod(shape[1:]))
        odd = self.rng.integers(0, 1024, (rows, planes)) / 8192
        scales = (np.ldexp(np.ones((rows, planes)), np.arange(planes)[::-1]) + odd).astype(np.float32)
        scales /= np.float32(2**planes * 4)
        signs = self.rng.integers(0, 2, (planes, rows, columns), np.uint8)
        name = self.builder.constant(sum_of_planes(scales, signs).reshape(shape))
        self.planes[name] = (scales, signs)
        return name


def binary_planes() -> Graph:
    """(n, 5, 9, 7) -> (n, 35): sums of one to three planes, looked up in tables where there are many outputs."""
    layers = PlaneLayers()
    builder, planes = layers.builder, layers.weight
    x = builder.input("image", ("batch", 5, 9, 7))
    near = {"pads": (1, 1, 1, 1)}
    x = builder.node("Relu", [builder.node("Conv", [x, planes(2, 33, 5, 3, 3)], **near)])
    x = builder.node("Conv", [x, planes(1, 96, 11, 1, 3)], groups=3, strides=(2, 1), pads=(0, 1, 0, 1))
    y = builder.node("Conv", [x, planes(2, 32, 96, 1, 1)], strides=(1, 2))
    y = builder.node("Add", [builder.node("Conv", [y, planes(3, 32, 32, 1, 1)]), y])
    y = builder.node("MaxPool", [y], kernel=(2, 2), strides=(2, 2))
    y = builder.node("Reshape", [y], shape=(-1, 32 * 2 * 2))
    return builder.graph([builder.node("Linear", [y, planes(3, 35, 32 * 2 * 2)])])


def volumes() -> Graph:
    """(n, 2, 6, 9, 7) -> (n, 3): convolutions and pools along three axes."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder()
    x = builder.input("film", ("batch", 2, 6, 9, 7))
    x = builder.node("Conv", [x, builder.constant(rng.normal(size=(6, 2, 3, 3, 3)))], pads=(1,) * 6)
    weight = rng.normal(size=(6, 6, 3, 2, 3)) * (rng.random((6, 6, 3, 2, 3)) < 0.2)
    y = builder.node("Conv", [builder.node("Relu", [x]), builder.constant(weight)], pads=(1, 1, 1, 1, 0, 1))
    y = builder.node("MaxPool", [builder.node("Add", [x, y])], kernel=(2, 3, 2), strides=(2, 2, 2), pads=(0, 1, 0) * 2)
    y = builder.node("AveragePool", [y], kernel=(2, 1, 2), pads=(1, 0, 0, 0, 0, 1))
    y = builder.node("Conv", [y, builder.constant(rng.normal(size=(3, 6, 1, 1, 1)))], strides=(1, 2, 1))
    return builder.graph([builder.node("Mean", [y], axes=(2, 3, 4), keepdims=False)])


def four_planes() -> Graph:
    """(n, 6, 9, 7) -> (n, 35): as many planes as tables take."""
    layers = PlaneLayers()
    builder, planes = layers.builder, layers.weight
    x = builder.input("image", ("batch", 6, 9, 7))
    x = builder.node("Conv", [x, planes(4, 66, 3, 3, 3)], groups=2, strides=(2, 1), pads=(1, 1, 1, 1))
    y = builder.node("Conv", [builder.node("Relu", [x]), planes(4, 66, 66, 1, 1)])
    y = builder.node("MaxPool", [builder.node("Add", [x, y])], kernel=(4, 7))
    y = builder.node("Reshape", [y], shape=(-1, 66 * 2))
    return builder.graph([builder.node("Linear", [y, planes(4, 35, 66 * 2)])])


def scaled_channels() -> Graph:
    """(n, 3, 14, 14) -> (n, 10): norms that no convolution in front can take, before sparse and dense layers of single
    pixels; squeeze-and-excite.
    """
    layers = Layers(3, 14)
    node, constant = layers.builder.node, layers.builder.constant

    def normal(x: str, channels: int) -> str:
        for operator in ("Mul", "Add"):
            x = node(operator, [x, constant(layers.rng.normal(size=(channels, 1, 1)))])
        return layers.relu(x)

    seen = [layers.relu(layers.conv(layers.input, (8, 3, 3, 3), 1.0))]
    for density in (0.3, 1.0):
        x = node("Concat", seen, axis=1) if len(seen) > 1 else seen[0]
        channels = 4 + 4 * len(seen)
        x = layers.conv(layers.relu(layers.conv(normal(x, channels), (8, channels, 1, 1), density)), (4, 8, 3, 3), 0.3)
        seen.append(x)
    x = node("Concat", seen, axis=1)
    share = node("AdaptiveAveragePool", [x], size=(1, 1))
    share = node("Sigmoid", [layers.conv(share, (16, 16, 1, 1), 0.4)])
    x = layers.conv(node("Mul", [x, share]), (6, 16, 1, 1), 0.4)
    return layers.scores(layers.relu(x), 6)


def attended() -> Graph:
    """(n, 20, 8) -> (n, 20, 8): two heads of attention, and a factor of what each query sees."""
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = builder.input("tokens", ("batch", 20, 8))

    def heads() -> str:
        made = builder.node("Linear", [x, builder.constant(rng.normal(size=(8, 8)))])
        return builder.node("Transpose", [builder.node("Reshape", [made], shape=(-1, 20, 2, 4))], order=(0, 2, 1, 3))

    query, key, value = heads(), heads(), heads()
    factor = builder.node("ReduceMax", [value], axes=(3,), keepdims=True)
    scores = builder.node("MatMul", [query, builder.node("Transpose", [key], order=(0, 1, 3, 2))])
    made = builder.node("MatMul", [builder.node("Softmax", [scores], axis=3), value])
    made = builder.node("Transpose", [builder.node("Mul", [made, factor])], order=(0, 2, 1, 3))
    return builder.graph([builder.node("Reshape", [made], shape=(-1, 20, 8))])


def lenet5() -> Graph:
    graph = random_lenet5(0)
    # Half of what it lacks is -0, which a file keeps; here it is to be small.
    positive = {name: values + np.float32(0) for name, values in graph.constants.items()}
    return Graph(graph.inputs, graph.nodes, graph.outputs, positive)


def all_files() -> dict[str, bytes]:
    """By name."""
    networks = {arrangement.__name__: arrangement() for arrangement in ARRANGEMENTS}
    for operator, samples in SAMPLES.items():
        for number, one in enumerate(samples.files, 1):
            networks[f"{operator}-{number:02}"] = one.graph(operator, "batch")
    for network in (
        *(lenet5, residual, depthwise, windows, pools, volumes, binary_planes, four_planes),
        *(scaled_channels, attended),
    ):
        networks[network.__name__] = network()
    return {f"{name}.nsm": encode(recognise_weights(graph)) for name, graph in networks.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.nsm"):
        old.unlink()
    for name, content in all_files().items():
        (FOLDER / name).write_bytes(content)
