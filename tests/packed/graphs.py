"""Small graphs that together show every operator, attribute and arrangement that a file can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from tests.samples.table import SAMPLES

from netsurgery.graph import examples
from netsurgery.graph.extents import axis
from netsurgery.graph.ir import Array, Graph, GraphBuilder, Input, Node, node
from netsurgery.graph.planes import sum_of_planes
from netsurgery.graph.recognition import recognise_weights
from netsurgery.graph.value_types import ValueType


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
    """Every sample with an open and with a fixed batch, and every arrangement, by name."""
    graphs = {arrangement.__name__: arrangement() for arrangement in ARRANGEMENTS}
    for operator, samples in SAMPLES.items():
        for number, one in enumerate(samples.files, 1):
            for batch in ("batch", 1, 3):
                graphs[f"{operator}-{number:02}-{batch}"] = one.graph(operator, batch)
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
