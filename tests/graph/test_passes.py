"""What every pass promises, on random pruned networks whose numbers float32 holds exactly.

Weights, biases, scales and inputs are small whole numbers and windows of means have 4 entries, so all sums are exact in
any order: outputs have to be equal, not close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.passes import ALL_PASSES, simplify
from netsurgery.runtime.reference import run, run_node

Step = Callable[["RandomNetwork"], None]


class RandomNetwork:
    """A network that grows by one step after the other: `x` is (N, C, S, S) or, once flattened, (N, C)."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = GraphBuilder()
        self.x = self.builder.input("image", ("batch", 2, 6, 6))
        self.channels, self.side = 2, 6
        self.outputs: list[str] = []
        self.binary_places = 0  # no value has more binary digits behind the point

    def constant(self, shape: tuple[int, ...], name: str, density: float = 0.5) -> str:
        """Whole numbers; whole rows and columns of a weight are zero, and some zeros are negative."""
        value = self.rng.choice([-2, -1, 1, 2], shape) * (self.rng.random(shape) < density)
        if len(shape) > 1:
            value[self.rng.random(shape[0]) < 0.4] = 0
            value[:, self.rng.random(shape[1]) < 0.3] = 0
        return self.builder.constant(np.where(self.rng.random(shape) < 0.5, 1.0, -1.0) * value, name)

    def bias(self) -> str | None:
        return None if self.rng.random() < 0.3 else self.constant((self.channels,), "bias", 0.6)

    def add(self, operator: str, *more: str | None, **attributes: object) -> None:
        self.x = self.builder.node(operator, [self.x, *more], **attributes)

    def conv(self, kernel: int, pad: int = 0, groups: int = 1, channels: int | None = None) -> None:
        read, self.channels = self.channels, channels or int(self.rng.integers(1, 6))
        weight = self.constant((self.channels, read // groups, kernel, kernel), "weight")
        self.add("Conv", weight, self.bias(), pads=(pad,) * 4, groups=groups)
        self.side += 2 * pad - kernel + 1

    def graph(self) -> Graph:
        return self.builder.graph([*dict.fromkeys([*self.outputs, self.x])])


def conv(net: RandomNetwork) -> None:
    if net.side >= 3:
        net.conv(int(net.rng.choice([1, 2, 3])))


def padded_conv(net: RandomNetwork) -> None:
    if net.side:
        net.conv(3, pad=1)


def depthwise(net: RandomNetwork) -> None:
    if net.side:
        net.conv(3, pad=1, groups=net.channels, channels=net.channels)


def in_two_groups(net: RandomNetwork) -> None:
    if net.side and net.channels % 2 == 0:
        net.conv(1, groups=2, channels=net.channels + 2)


def linear(net: RandomNetwork) -> None:
    if not net.side:
        read, net.channels = net.channels, int(net.rng.integers(1, 6))
        weight = net.constant((net.channels, read), "weight")
        net.add("Linear", weight, net.bias())


def tied_twice(net: RandomNetwork) -> None:
    if not net.side:
        weight = net.constant((net.channels, net.channels), "tied")
        for _ in range(2):
            net.add("Linear", weight, net.bias())
            net.add("Relu")


def residual(net: RandomNetwork) -> None:
    if net.side:
        skip, channels = net.x, net.channels
        net.conv(3, pad=1)
        net.add("Relu")
        net.conv(1, channels=channels)
        net.add("Add", skip)


def branches(net: RandomNetwork) -> None:
    if net.side:
        start, channels = net.x, net.channels
        net.conv(1)
        left, count = net.x, net.channels
        net.x, net.channels = start, channels
        net.conv(3, pad=1)
        net.add("Concat", left, axis=1)
        net.channels += count


def gate(net: RandomNetwork) -> None:
    """x times the maximum of each of its channels, as squeeze and excitation does."""
    if net.side:
        x, side = net.x, net.side
        net.add("AdaptiveMaxPool", size=(1, 1))
        net.conv(1, channels=net.channels)
        net.add("Mul", x)
        net.side = side
        net.binary_places *= 2


def relu(net: RandomNetwork) -> None:
    net.add("Relu")


def clip(net: RandomNetwork) -> None:
    net.add("Clip", minimum=-1.0, maximum=6.0)


def scale(net: RandomNetwork) -> None:
    net.add("Mul", net.constant((net.channels, *[1] * (2 if net.side else 0)), "scale", 0.8))


def shift(net: RandomNetwork) -> None:
    net.add("Add", net.constant((1, net.channels, *[1] * (2 if net.side else 0)), "shift", 0.6))


def subtract(net: RandomNetwork) -> None:
    shape = (net.channels, *[1] * (2 if net.side else 0))
    net.x = net.builder.node("Sub", [net.constant(shape, "minuend"), net.x])


def halve(net: RandomNetwork) -> None:
    net.add("Div", net.builder.constant(-2.0))
    net.binary_places += 1


def position_bias(net: RandomNetwork) -> None:
    if net.side:
        net.add("Add", net.constant((net.channels, net.side, net.side), "position"))


def max_pool(net: RandomNetwork) -> None:
    if net.side >= 2:
        net.add("MaxPool", kernel=(2, 2), strides=(2, 2))
        net.side //= 2


def average_pool(net: RandomNetwork) -> None:
    if net.side >= 2:
        net.add("AveragePool", kernel=(2, 2), pads=(1,) * 4, strides=(2, 2), count_include_pad=True)
        net.side = net.side // 2 + 1
        net.binary_places += 2


def flatten(net: RandomNetwork) -> None:
    if net.side:
        net.channels *= net.side**2
        net.side = 0
        net.add("Reshape", shape=(-1, net.channels))


def unflatten(net: RandomNetwork) -> None:
    if not net.side and net.channels % 4 == 0:
        net.channels, net.side = net.channels // 4, 2
        net.add("Reshape", shape=(-1, net.channels, 2, 2))


def there_and_back(net: RandomNetwork) -> None:
    if net.side:
        net.add("Transpose", order=(0, 2, 3, 1))
        net.add("Linear", net.constant((net.channels, net.channels), "weight"))
        net.add("Transpose", order=(0, 3, 1, 2))


def frame(net: RandomNetwork) -> None:
    if net.side:
        net.add("Pad", pads=(0, 0, 1, 0, 0, 0, 0, 1))
        net.side += 1


def cut(net: RandomNetwork) -> None:
    if net.side > 1:
        net.add("Slice", axis=2, start=1, stop=net.side)
        net.add("Slice", axis=3, start=0, stop=net.side - 1)
        net.side -= 1


def without_first_channel(net: RandomNetwork) -> None:
    if net.channels > 1:
        net.add("Slice", axis=1, start=1, stop=net.channels)
        net.channels -= 1


def enlarge(net: RandomNetwork) -> None:
    if 0 < net.side < 4:
        net.side *= 2
        net.add("Resize", size=(net.side, net.side))


def tell(net: RandomNetwork) -> None:
    net.outputs.append(net.x)


STEPS: tuple[Step, ...] = (
    *(conv, padded_conv, depthwise, in_two_groups, linear, tied_twice, residual, branches, gate),
    *(relu, clip, scale, shift, subtract, halve, position_bias, max_pool, average_pool),
    *(flatten, unflatten, there_and_back, frame, cut, without_first_channel, enlarge, tell),
)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    net = RandomNetwork(draw(st.integers(0, 2**32 - 1)))
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=3, max_size=12)):
        step(net)
    graph = net.graph()
    assume(graph.nodes and largest_number(graph) * 2.0**net.binary_places < 2**24)
    return graph


def largest_number(graph: Graph) -> float:
    """No value, and no part of a sum that makes one, is larger: the network of magnitudes, run on magnitudes."""
    nodes = tuple(replace(node, operator="Add") if node.operator == "Sub" else node for node in graph.nodes)
    constants = {name: np.abs(value) for name, value in graph.constants.items()}
    everything = graph.replaced(nodes=nodes, constants=constants, outputs=tuple(node.output for node in nodes))
    return max(float(value.max()) for value in run(everything, {"image": np.full((1, 2, 6, 6), 2, np.float32)}))


def assert_same_network(changed: Graph, graph: Graph) -> None:
    changed.check()
    assert changed.inputs == graph.inputs
    assert changed.outputs == graph.outputs
    for batch in (1, 3):
        image = np.random.default_rng(batch).integers(-2, 3, (batch, 2, 6, 6)).astype(np.float32)
        for ours, theirs in zip(run(changed, {"image": image}), run(graph, {"image": image}), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ALL_PASSES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(graph=networks())
def test_a_pass_keeps_outputs_and_finds_nothing_more_to_do_the_second_time(name: str, graph: Graph) -> None:
    changed = ALL_PASSES[name](graph, run_node)
    assert_same_network(changed, graph)
    if name != "remove_dead_units" or all(node.attributes.get("groups", 1) == 1 for node in graph.nodes):
        assert ALL_PASSES[name](changed, run_node) is changed  # a Conv whose last group is left is an ordinary one


@settings(max_examples=80, deadline=None, derandomize=True)
@given(graph=networks())
def test_simplify_keeps_outputs_never_grows_and_is_idempotent(graph: Graph) -> None:
    simple = simplify(graph, run_node)
    assert_same_network(simple, graph)
    assert len(simple.nodes) <= len(graph.nodes)
    assert sum(value.size for value in simple.constants.values()) <= sum(v.size for v in graph.constants.values())
    assert simplify(simple, run_node) is simple
