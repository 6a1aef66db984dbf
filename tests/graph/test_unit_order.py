"""Units come in falling order of their connections, and a network computes what it computed.

All numbers are small and whole, so that float32 sums are exact in any order: outputs have to be equal, not close.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.passes import order_units
from netsurgery.runtime.reference import run


class Net:
    """A builder whose weights have rows with few and many connections, but not in falling order."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = GraphBuilder()

    def input(self, *shape: int) -> str:
        return self.builder.input("x", ("batch", *shape))

    def numbers(self, *shape: int) -> Array:
        size = int(np.prod(shape[1:]))
        counts = np.roll(np.linspace(1, size, shape[0]).astype(int), self.rng.integers(shape[0]))
        kept = [self.rng.permutation(size) < count for count in counts]
        return (self.rng.choice([-2, -1, 1, 2], shape) * np.reshape(kept, shape)).astype(np.float32)

    def constant(self, *shape: int) -> str:
        return self.builder.constant(self.numbers(*shape))

    def layer(self, operator: str, x: str, name: str, *shape: int, bias: bool = True, **attributes: object) -> str:
        weight = self.builder.constant(self.numbers(*shape), f"{name}.weight")
        given = [x, weight, *([self.builder.constant(self.numbers(shape[0]), f"{name}.bias")] if bias else [])]
        return self.builder.node(operator, given, name, **attributes)

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        return self.builder.node(operator, inputs, **attributes)

    def end(self, x: str, features: int) -> Graph:
        return self.builder.graph([self.layer("Linear", x, "end", 5, features)])


def chain(net: Net) -> Graph:
    x = net.node("Relu", net.layer("Linear", net.input(6), "one", 9, 6))
    return net.end(net.node("LeakyRelu", net.layer("Linear", x, "two", 8, 9, bias=False), alpha=0.5), 8)


def conv_pool_flatten(net: Net) -> Graph:
    x = net.layer("Conv", net.input(2, 8, 8), "one", 6, 2, 3, 3)
    x = net.node("MaxPool", net.node("Relu", x), kernel=(2, 2), strides=(2, 2))
    x = net.layer("Conv", x, "two", 7, 6, 2, 2, strides=(1, 1))
    return net.end(net.node("Reshape", x, shape=(-1, 28)), 28)


def residual(net: Net) -> Graph:
    skip = net.layer("Conv", net.input(2, 4, 4), "one", 6, 2, 1, 1)
    x = net.layer("Conv", net.node("Relu", skip), "inside", 4, 6, 3, 3, pads=(1,) * 4)
    x = net.node("Add", skip, net.layer("Conv", x, "one_too", 6, 4, 1, 1))
    return net.end(net.node("Reshape", x, shape=(-1, 96)), 96)


def depthwise(net: Net) -> Graph:
    x = net.layer("Conv", net.input(2, 4, 4), "one", 6, 2, 1, 1)
    x = net.layer("Conv", x, "one_too", 6, 1, 3, 3, groups=6, pads=(1,) * 4)
    x = net.node("AdaptiveMaxPool", net.layer("Conv", x, "two", 7, 6, 1, 1), size=(1, 1))
    return net.end(net.node("Mean", x, axes=(2, 3), keepdims=False), 7)


def pairs_made_one(net: Net) -> Graph:
    """Each group reads two channels, which lie side by side, and makes one."""
    x = net.layer("Conv", net.input(2, 4, 4), "pairs", 10, 2, 1, 1)
    x = net.layer("Conv", x, "one", 5, 2, 3, 3, groups=5)
    return net.end(net.node("Reshape", x, shape=(-1, 20)), 20)


def concat(net: Net) -> Graph:
    x = net.input(2, 3, 3)
    parts = [
        net.layer("Conv", x, name, size, 2, 3, 3, pads=(1,) * 4)
        for name, size in (("one", 5), ("two", 3), ("three", 4))
    ]
    x = net.node("Relu", net.node("Concat", *parts, axis=1))
    x = net.layer("Conv", x, "four", 6, 12, 3, 3)
    return net.end(net.node("Reshape", x, shape=(-1, 6)), 6)


def tied(net: Net) -> Graph:
    """The same layer, weight and bias, three times: what it reads and what it makes has one order."""
    x = net.layer("Linear", net.input(4), "before", 7, 4)
    weight, bias = net.constant(7, 7), net.constant(7)
    for _ in range(3):
        x = net.node("Relu", net.node("Linear", x, weight, bias))
    return net.end(x, 7)


def scaled_and_shifted(net: Net) -> Graph:
    x = net.layer("Conv", net.input(2, 3, 3), "one", 6, 2, 2, 2)
    x = net.node("Add", net.constant(1, 6, 1, 1), net.node("Mul", x, net.constant(6, 1, 1)))
    x = net.node("Sub", net.constant(6, 2, 2), net.node("Mul", x, net.constant(1, 1)))
    x = net.layer("Linear", net.node("Reshape", x, shape=(-1, 24)), "two", 8, 24)
    return net.end(net.node("Mul", net.node("Add", x, net.constant(8)), net.constant(1, 8)), 8)


def one_scale_for_two_layers(net: Net) -> Graph:
    """A constant whose two readers need it in two orders."""
    x, scale, bias = net.input(4), net.constant(6), net.constant(6)
    for name, size in (("one", 4), ("two", 6)):
        x = net.node("Linear", x, net.builder.constant(net.numbers(6, size), f"{name}.weight"), bias)
        x = net.node("Relu", net.node("Mul", x, scale))
    return net.end(x, 6)


def gate(net: Net) -> Graph:
    x = net.layer("Conv", net.input(2, 4, 4), "one", 6, 2, 1, 1)
    small = net.layer("Conv", net.node("AdaptiveMaxPool", x, size=(1, 1)), "small", 3, 6, 1, 1)
    x = net.node("Mul", net.layer("Conv", small, "one_too", 6, 3, 1, 1), x)
    return net.end(net.node("Reshape", x, shape=(-1, 96)), 96)


def channels_last(net: Net) -> Graph:
    x = net.layer("Conv", net.input(2, 2, 3), "one", 6, 2, 1, 1)
    x = net.layer("Linear", net.node("Transpose", x, order=(0, 2, 3, 1)), "two", 7, 6)
    x = net.node("Add", x, net.constant(7))
    return net.end(net.node("Reshape", net.node("Transpose", x, order=(0, 3, 1, 2)), shape=(-1, 42)), 42)


ORDERED: dict[Callable[[Net], Graph], list[tuple[str, ...]]] = {
    chain: [("one",), ("two",)],
    conv_pool_flatten: [("one",), ("two",)],
    residual: [("one", "one_too"), ("inside",)],
    depthwise: [("one", "one_too"), ("two",)],
    pairs_made_one: [("one",)],
    concat: [("one",), ("two",), ("three",), ("four",)],
    tied: [("before", "linear", "linear_2", "linear_3")],
    scaled_and_shifted: [("one",), ("two",)],
    one_scale_for_two_layers: [("linear",), ("linear_2",)],
    gate: [("one", "one_too"), ("small",)],
    channels_last: [("one",), ("two",)],
}
"""Network -> its hidden layers, those together that have one order."""


def connections(graph: Graph, layers: tuple[str, ...]) -> Array:
    weights = [weight.values for node, _, weight in graph.weights() if node.output in layers]
    return np.sum([np.count_nonzero(weight.reshape(len(weight), -1), 1) for weight in weights], axis=0)


def assert_same_outputs(changed: Graph, graph: Graph) -> None:
    assert (changed.inputs, changed.outputs) == (graph.inputs, graph.outputs)
    changed.check()
    for batch in (1, 3):
        rng = np.random.default_rng(batch)
        inputs = {one.name: rng.integers(-2, 3, one.at({"batch": batch})).astype(np.float32) for one in graph.inputs}
        for ours, theirs in zip(run(changed, inputs), run(graph, inputs), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("network", ORDERED, ids=lambda network: network.__name__)
def test_hidden_units_come_in_falling_order_of_connections_and_outputs_stay(network, seed: int) -> None:
    graph = network(Net(seed))
    changed = order_units(graph)
    for layers in ORDERED[network]:
        before, after = connections(graph, layers), connections(changed, layers)
        assert (np.diff(before) > 0).any(), "the case says nothing"
        assert (np.diff(after) <= 0).all()
        np.testing.assert_array_equal(np.sort(before), np.sort(after))
    assert_same_outputs(changed, graph)
    assert order_units(changed) is changed


@pytest.mark.parametrize("network", ORDERED, ids=lambda network: network.__name__)
def test_the_graph_and_what_a_caller_sees_keep_their_order(network) -> None:
    graph = network(Net(1))
    kept = {name: value.values.copy() for name, value in graph.constants.items()}
    changed = order_units(graph)
    for name, value in kept.items():
        np.testing.assert_array_equal(graph.constants[name].values, value)
    assert [node.output for node in changed.nodes] == [node.output for node in graph.nodes]
    np.testing.assert_array_equal(connections(changed, ("end",)), connections(graph, ("end",)))
    np.testing.assert_array_equal(changed.constants["end.bias"].values, graph.constants["end.bias"].values)


def test_units_with_equally_many_connections_stay_as_they_are() -> None:
    net = Net()
    weight = np.array([[1, 0, 0], [1, 1, 1], [0, 2, 0], [0, -1, 3], [0, 0, 3]], np.float32)
    graph = net.end(net.node("Linear", net.input(3), net.builder.constant(weight, "weight")), 5)
    np.testing.assert_array_equal(order_units(graph).constants["weight"].values, weight[[1, 3, 0, 2, 4]])


def test_a_row_of_negative_zeros_has_no_connections() -> None:
    net = Net()
    weight = np.array([[-0.0, -0.0], [0, 1]], np.float32)
    graph = net.end(net.node("Linear", net.input(2), net.builder.constant(weight, "weight")), 2)
    np.testing.assert_array_equal(order_units(graph).constants["weight"].values, weight[::-1])


def swapped_halves(net: Net) -> Graph:
    x = net.input(4)
    a, b = (net.layer("Linear", x, name, 3, 4) for name in "ab")
    return net.end(net.node("Add", net.node("Concat", a, b, axis=1), net.node("Concat", b, a, axis=1)), 6)


def overlapping_sums(net: Net) -> Graph:
    """Two sums that begin at different units: no layer's units are alone."""
    x = net.input(4)
    a, b, c, d = (net.layer("Linear", x, name, size, 4) for name, size in zip("abcd", (2, 4, 4, 2), strict=True))
    return net.end(net.node("Add", net.node("Concat", a, b, axis=1), net.node("Concat", c, d, axis=1)), 6)


def one_part_twice(net: Net) -> Graph:
    x = net.layer("Linear", net.input(4), "one", 6, 4)
    return net.end(net.node("Concat", x, net.node("Relu", x), axis=1), 12)


def also_an_output(net: Net) -> Graph:
    hidden = net.layer("Linear", net.input(4), "one", 6, 4)
    graph = net.end(net.node("Relu", hidden), 6)
    return graph.replaced(outputs=(hidden, *graph.outputs))


def added_to_an_input(net: Net) -> Graph:
    x = net.input(4)
    return net.end(net.node("Add", net.layer("Linear", x, "one", 4, 4), x), 4)


def without_the_first(net: Net) -> Graph:
    x = net.layer("Linear", net.input(4), "one", 6, 4)
    return net.end(net.node("Slice", x, axis=1, start=1, stop=6), 5)


def over_all_channels(net: Net) -> Graph:
    x = net.layer("Linear", net.input(4), "one", 6, 4)
    return net.end(net.node("Relu", net.node("Mean", x, axes=(1,))), 1)


def weight_that_is_added_too(net: Net) -> Graph:
    weight = net.constant(4, 4)
    x = net.node("Reshape", net.node("Linear", net.input(4), weight), shape=(-1, 1, 4))
    return net.end(net.node("Add", x, weight), 4)


def regrouped(net: Net) -> Graph:
    x = net.layer("Linear", net.input(4), "one", 6, 4)
    return net.end(net.node("Reshape", net.node("Reshape", x, shape=(-1, 2, 3)), shape=(-1, 6)), 6)


@pytest.mark.parametrize(
    "network",
    [
        *(swapped_halves, one_part_twice, also_an_output, added_to_an_input, without_the_first),
        *(over_all_channels, weight_that_is_added_too, regrouped),
    ],
)
def test_units_that_are_seen_from_outside_or_arranged_otherwise_stay(network) -> None:
    for seed in range(3):
        graph = network(Net(seed))
        assert order_units(graph) is graph


def test_sums_that_overlap_move_only_what_lies_alone() -> None:
    for seed in range(3):
        graph = overlapping_sums(Net(seed))
        changed = order_units(graph)
        assert_same_outputs(changed, graph)
        assert order_units(changed) is changed


class RandomGraph:
    """Any value may be read again by any step: maps (N, C, 4, 4) or (N, C, 2, 2), rows (N, F)."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.builder = GraphBuilder()
        self.values = [(self.builder.input("x", ("batch", 2, 4, 4)), (2, 4, 4))]
        self.constants: dict[tuple[int, ...], list[str]] = {}

    def constant(self, *shape: int) -> str:
        """Every third time one that was there before, whatever its role."""
        known = self.constants.setdefault(shape, [])
        if known and self.rng.random() < 0.3:
            return known[self.rng.integers(len(known))]
        densities = self.rng.random((shape[0], *[1] * (len(shape) - 1)))
        value = self.rng.choice([-1, 1], shape) * (self.rng.random(shape) < densities)
        known.append(self.builder.constant(value))
        return known[-1]

    def pick(self, *ranks: int, like: tuple[int, ...] | None = None) -> tuple[str, tuple[int, ...]]:
        """A value of a rank (without the batch), or of the same spatial shape or number of features as another."""
        fitting = [
            value
            for value in self.values
            if len(value[1]) in ranks and (like is None or (len(value[1]) == len(like) and value[1][1:] == like[1:]))
        ]
        assume(fitting)
        return fitting[self.rng.integers(len(fitting))]

    def add(self, shape: tuple[int, ...], operator: str, *inputs: str | None, **attributes: object) -> None:
        self.values.append((self.builder.node(operator, inputs, **attributes), shape))

    def conv(self) -> None:
        x, (channels, side, _) = self.pick(3)
        divisors = [group for group in (1, 2, 3, channels) if channels % group == 0]
        groups = int(self.rng.choice(divisors)) if self.rng.random() < 0.4 else 1
        made = groups * int(self.rng.integers(1, 3)) if groups > 1 else int(self.rng.choice([2, 3, 4, 6]))
        kernel, pads = ((1, 1), ()) if self.rng.random() < 0.5 else ((3, 3), (1,) * 4)
        weight = self.constant(made, channels // groups, *kernel)
        bias = self.constant(made) if self.rng.random() < 0.5 else None
        self.add((made, side, side), "Conv", x, weight, bias, groups=groups, pads=pads)

    def linear(self) -> None:
        x, shape = self.pick(1, 1, 3)
        made = shape[-1] if self.rng.random() < 0.4 else int(self.rng.choice([2, 4, 6, 8]))
        made = shape[-1] if len(shape) == 3 else made
        self.add((*shape[:-1], made), "Linear", x, self.constant(made, shape[-1]), self.constant(made))

    def clip(self) -> None:
        x, shape = self.pick(1, 3)
        self.add(shape, "Clip", x, minimum=-2.0, maximum=4.0)

    def total(self) -> None:
        a, shape = self.pick(1, 3)
        others = [name for name, other in self.values if other == shape]
        b = others[self.rng.integers(len(others))]
        self.add(shape, str(self.rng.choice(["Add", "Sub", "Mul"])), a, b)

    def concat(self) -> None:
        parts = [self.pick(1, 3)]
        parts += [self.pick(len(parts[0][1]), like=parts[0][1]) for _ in range(self.rng.integers(1, 3))]
        channels = sum(shape[0] for _, shape in parts)
        assume(channels <= 64)
        self.add((channels, *parts[0][1][1:]), "Concat", *(name for name, _ in parts), axis=1)

    def pool(self) -> None:
        x, (channels, side, _) = self.pick(3)
        assume(side == 4)
        self.add((channels, 2, 2), "MaxPool", x, kernel=(2, 2), strides=(2, 2))

    def flatten(self) -> None:
        x, shape = self.pick(3)
        assume(shape[0] <= 16)
        self.values.append((self.builder.node("Reshape", [x], shape=(-1, int(np.prod(shape)))), (int(np.prod(shape)),)))

    def unflatten(self) -> None:
        x, (features,) = self.pick(1)
        assume(features % 4 == 0)
        self.values.append((self.builder.node("Reshape", [x], shape=(-1, features // 4, 2, 2)), (features // 4, 2, 2)))

    def gate(self) -> None:
        x, (channels, side, _) = self.pick(3)
        largest = self.builder.node("AdaptiveMaxPool", [x], size=(1, 1))
        weight = self.constant(channels, channels, 1, 1)
        self.add((channels, side, side), "Mul", x, self.builder.node("Conv", [largest, weight]))

    def scale(self) -> None:
        x, shape = self.pick(1, 3)
        small = tuple(size if self.rng.random() < 0.7 else 1 for size in shape)
        operands = [x, self.constant(*([1] if self.rng.random() < 0.3 else []), *small)]
        self.rng.shuffle(operands)
        self.add(shape, str(self.rng.choice(["Add", "Sub", "Mul"])), *operands)

    def turn(self) -> None:
        x, shape = self.pick(3)
        order = self.rng.permutation(3)
        axes = (0, *(int(axis) + 1 for axis in order))
        turned = tuple(shape[axis] for axis in order)
        there = self.builder.node("Transpose", [x], order=axes)
        assume(turned[1] == turned[2])
        self.values.append((there, turned))

    def cut(self) -> None:
        x, shape = self.pick(1, 3)
        assume(shape[0] > 1)
        self.add((shape[0] - 1, *shape[1:]), "Slice", x, axis=1, start=1, stop=shape[0])

    def graph(self) -> Graph:
        outputs = {self.values[-1][0], *(name for name, _ in self.values[1:] if self.rng.random() < 0.1)}
        return self.builder.graph(sorted(outputs))


STEPS = (
    *(RandomGraph.conv,) * 4,
    *(RandomGraph.linear, RandomGraph.clip, RandomGraph.total, RandomGraph.concat, RandomGraph.scale) * 2,
    *(RandomGraph.pool, RandomGraph.flatten, RandomGraph.unflatten, RandomGraph.gate, RandomGraph.turn),
    RandomGraph.cut,
)


@st.composite
def random_graphs(draw: st.DrawFn) -> Graph:
    drawn = RandomGraph(draw)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=4, max_size=24)):
        step(drawn)
    graph = drawn.graph()
    assume(largest_number(graph) < 2**24)
    return graph


def largest_number(graph: Graph) -> float:
    """No value, and no part of a sum that makes one, is larger: the network of magnitudes, run on magnitudes."""
    nodes = tuple(replace(node, operator="Add") if node.operator == "Sub" else node for node in graph.nodes)
    constants = {name: np.abs(value) for name, value in graph.constants.items()}
    everything = graph.replaced(nodes=nodes, constants=constants, outputs=tuple(node.output for node in nodes))
    return max(float(value.max()) for value in run(everything, {"x": np.full((1, 2, 4, 4), 2, np.float32)}))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(graph=random_graphs())
def test_any_network_computes_the_same_and_is_ordered_once(graph: Graph) -> None:
    changed = order_units(graph)
    assert_same_outputs(changed, graph)
    assert order_units(changed) is changed


def test_sixty_layers_that_all_read_each_other_take_seconds() -> None:
    net = Net()
    x, channels = net.layer("Conv", net.input(3, 4, 4), "first", 24, 3, 1, 1), 24
    for number in range(60):
        inside = net.node("Relu", net.node("Mul", x, net.constant(channels, 1, 1)))
        inside = net.layer("Conv", inside, f"narrow_{number}", 48, channels, 1, 1)
        inside = net.layer("Conv", net.node("Relu", inside), f"wide_{number}", 12, 48, 3, 3, pads=(1,) * 4)
        x, channels = net.node("Concat", x, inside, axis=1), channels + 12
    graph = net.end(net.node("Mean", x, axes=(2, 3), keepdims=False), channels)
    before = time.process_time()  # of this process alone: others may be busy
    changed = order_units(graph)
    assert time.process_time() - before < 60  # what grows with the paths through the layers would take hours
    for number in range(60):
        assert (np.diff(connections(changed, (f"wide_{number}",))) <= 0).all()
