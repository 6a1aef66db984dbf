"""Networks drawn by Hypothesis from what the engine runs on vectors of lanes, and how far off rounding may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.engine.plane_files import Planes, encode_with_planes

from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.ir import Node as GraphNode
from netsurgery.graph.planes import sum_of_planes
from netsurgery.runtime.reference import run, run_node

UNIT = 2.0**-24
"""Half the distance from 1 to the next float32: what one rounding may be off by, relatively."""
LARGEST_EXACT = 2.0**22
"""Quarters of whole numbers are float32 up to here, Winograd's too; sums that stay below are exact in any order."""

FEW_PIXELS = 25
"""Pictures up to here may have many channels."""
MOST_CHANNELS = 90
"""Of an input or a convolution, where groups aren't more; some multiples of what any kernel takes at once."""

ENTRYWISE = ("HardSwish", "Sigmoid", "HardSigmoid", "Silu", "Gelu", "LeakyRelu", "Tanh")
STEEPEST = 1.5
"""No entrywise function is steeper."""
CUTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Relu", {}),
    ("Clip", {"minimum": 0.0, "maximum": 6.0}),
    ("Clip", {"minimum": -1.0, "maximum": math.inf}),
)


@dataclass
class Drawn:
    """A network, and of constants that are sums of planes what these are."""

    graph: Graph
    whole: bool
    planes: Planes = field(default_factory=dict)

    def encoded(self) -> bytes:
        return encode_with_planes(self.graph, self.planes)

    def inputs(self, batch: int, seed: int) -> dict[str, Array]:
        rng = np.random.default_rng(seed)
        return {given.name: self.numbers(rng, given.at({"batch": batch})) for given in self.graph.inputs}

    def numbers(self, rng: np.random.Generator, shape: Sequence[int]) -> Array:
        return np.asarray(rng.integers(-2, 3, shape) if self.whole else rng.normal(size=shape), np.float32)


def outputs_and_bounds(drawn: Drawn, inputs: dict[str, Array]) -> list[tuple[Array, Array]]:
    """Of each output what the reference gives, and how far off another order of sums may be.

    A value that took k roundings on its way is off by at most k UNIT / (1 - k UNIT) times what the network gives for
    magnitudes alone (Higham 2002, section 3.1): products and sums pass such bounds on with their own roundings added
    to k, and maxima, cuts and averages don't make them larger. The reference and the engine may each be off by that.
    """
    graph = drawn.graph
    wanted = run(graph, inputs)
    known: dict[str, tuple[Array, int]] = {
        name: (np.where(np.isfinite(values), np.abs(values), np.float32(0)), 0) for name, values in inputs.items()
    }
    for name, values in graph.constants.items():
        known[name] = (np.abs(values), 0)
        if name in drawn.planes:
            scales, _ = drawn.planes[name]
            parts = np.abs(scales).sum(axis=1).reshape(-1, *(1 for _ in values.shape[1:]))
            known[name] = (np.broadcast_to(parts, values.shape), scales.shape[1])
    for node in graph.nodes:
        known[node.output] = _magnitudes(node, [known[name] for name in node.given])
    pairs = []
    for name, values in zip(graph.outputs, wanted, strict=True):
        magnitudes, roundings = known[name]
        bound = 2.01 * roundings * UNIT / (1 - roundings * UNIT) * magnitudes.astype(np.float64)
        exact = drawn.whole and all(one.max(initial=0) < LARGEST_EXACT for one, _ in known.values())
        pairs.append((values, np.zeros_like(bound) if exact else bound))
    return pairs


def _magnitudes(node: GraphNode, operands: list[tuple[Array, int]]) -> tuple[Array, int]:
    """Of a node's output: a bound of its entries' magnitudes, and the roundings on the longest way to them."""
    values, counts = [one for one, _ in operands], [count for _, count in operands]
    longest, x = max(counts), values[0]
    match node.operator:
        case "Conv" | "Linear":
            made = run_node(node, values)
            if may_be_winograd(node, values[1]):
                made = np.maximum(made, winograd_magnitudes(node, *values))
            return made, sum(counts[:2]) + math.prod(values[1].shape[1:]) + 2
        case "AveragePool" | "AdaptiveAveragePool" | "Mean":
            return run_node(node, values), longest + math.prod(node.attributes.get("kernel", (1,))) + 2
        case "Add" | "Sub":
            return values[0] + values[1], longest + 1
        case "Mul":
            return values[0] * values[1], sum(counts) + 1
        case "Div":
            return values[0] / values[1], sum(counts) + 1
        case "Pad":
            return run_node(
                replace(node, attributes=node.attributes | {"value": abs(node.attributes["value"])}), values
            ), longest
        case "Clip":
            limits = [abs(node.attributes[name]) for name in ("minimum", "maximum")]
            return np.maximum(x, np.float32(max(one for one in limits if one < math.inf))), longest
        case "Lrn":  # every entry moves by at most 1 + 1.5 size times what its neighbours move by
            return np.full_like(x, x.max() * (1 + 1.5 * node.attributes["size"])), longest + node.attributes["size"] + 8
        case operator if operator in ENTRYWISE:
            return np.float32(STEEPEST) * x + np.float32(1), longest + 8
        case _:
            return run_node(node, values), longest


def may_be_winograd(node: GraphNode, weight: Array) -> bool:
    """Whether the engine may run a node that way."""
    if node.operator != "Conv" or weight.ndim < 4:
        return False
    strides, dilations = (node.attributes.get(name) or (1, 1) for name in ("strides", "dilations"))
    return (weight.shape[-2:], strides[-2:], dilations[-2:]) == ((3, 3), (1, 1), (1, 1))


def winograd_magnitudes(node: GraphNode, x: Array, weight: Array, *bias: Array) -> Array:
    """What F(2 x 2, 3 x 3) gives for magnitudes alone, wherever the blocks of 2 x 2 outputs begin.

    Each output takes part in sums of its whole block, of pixels too that its own window doesn't see.
    """
    b = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]], np.float32)
    g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]], np.float32)
    a = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], np.float32)
    axes = weight.ndim - 2
    pads = tuple(node.attributes.get("pads") or (0,) * 2 * axes)
    before, after = pads[axes - 2 : axes], pads[2 * axes - 2 :]
    around = [(0, 0)] * (x.ndim - 2) + [(first + 1, last + 1) for first, last in zip(before, after, strict=True)]
    seen = np.pad(x, around)  # one more on each side: blocks begin where the first or the last output is their second
    height, width = seen.shape[-2] - 3, seen.shape[-1] - 3
    rest = (*pads[: axes - 2], 0, 0, *pads[axes : 2 * axes - 2], 0, 0)
    product = replace(node, attributes=node.attributes | {"pads": rest})
    sums: dict[tuple[int, int], Array] = {}
    for i in range(4):
        for j in range(4):
            inputs = sum(
                b[i, y] * b[j, x] * seen[..., y : y + height, x : x + width] for y in range(4) for x in range(4)
            )
            weights = np.einsum("y,x,...yx->...", g[i], g[j], weight)[..., None, None]
            sums[i, j] = run_node(product, [inputs, weights, *bias])
    largest = []
    for y in range(2):
        for x_ in range(2):
            made = sum(a[y, i] * a[x_, j] * sums[i, j] for i in range(4) for j in range(4))
            largest.append(made[..., 1 - y : height - y, 1 - x_ : width - x_])
    return np.asarray(np.maximum.reduce(largest), np.float32)


class Drawing:
    """Builds a network, choosing by `draw`; values are followed by name, with their shapes behind the batch."""

    def __init__(self, draw: st.DrawFn, batch: int | str, whole: bool, complete: bool) -> None:
        self.draw = draw
        self.batch = batch
        self.complete = complete  # no weight is zero
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.builder = GraphBuilder()
        self.drawn = Drawn(Graph((), (), (), {}), whole)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def input(self, shape: tuple[int, ...]) -> str:
        name = self.builder.input("x", (self.batch, *shape))
        self.shapes[name] = shape
        return name

    def node(self, operator: str, inputs: Sequence[str | None], **attributes: Any) -> str:
        name = self.builder.node(operator, inputs, **attributes)
        graph = self.builder.graph([name])
        self.shapes[name] = graph.shapes({"batch": 2})[name][1:]
        return name

    def of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def up_to(self, most: int, least: int = 1) -> int:
        return self.draw(st.integers(least, most))

    def weight(self, shape: tuple[int, ...]) -> str:
        """Sparse with any density, rows without any weight too; or binary planes."""
        rows, columns = shape[0], math.prod(shape[1:])
        planes = self.of(0, 0, 0, 1, 2, 3, 4) if columns > 1 else 0
        if planes:
            # Each is larger than all smaller ones together, so that no sum is zero and every sum is one of these alone.
            scales = np.ldexp(np.ones((rows, planes), np.float32), np.arange(planes)[::-1])
            if not self.drawn.whole:
                scales = (scales + self.rng.integers(0, 1024, scales.shape) / 8192).astype(np.float32) / np.float32(8)
            bits = self.rng.integers(0, 2, (planes, rows, columns), np.uint8)
            name = self.builder.constant(sum_of_planes(scales, bits).reshape(shape))
            self.drawn.planes[name] = (scales, bits)
            return name
        values = self.drawn.numbers(self.rng, shape)
        if self.complete:
            return self.builder.constant(np.where(values == 0, np.float32(1), values))
        values = values * (self.rng.random(shape) < self.of(0.0, 0.05, 0.3, 0.7, 0.9, 1.0))
        values[self.rng.random(rows) < self.of(0.0, 0.0, 0.3)] = 0
        return self.builder.constant(values)

    def bias(self, channels: int) -> str | None:
        return self.builder.constant(self.drawn.numbers(self.rng, (channels,))) if self.of(True, False) else None

    def channels_of(self, pixels: int) -> int:
        """Of an input: few, or many where that takes the reference no time."""
        return self.up_to(self.of(6, MOST_CHANNELS) if pixels <= FEW_PIXELS else 6)

    def channels_for(self, groups: int, pixels: int) -> int:
        """Few, about as many in a group as tables pay for, or many; seldom a multiple of what kernels take at once."""
        few, some, many = (max(1, 12 // groups), 1), (36, 28), (max(1, MOST_CHANNELS // groups), 1)
        if groups * some[0] > 2 * MOST_CHANNELS:  # what follows has weights for each pair of channels
            some = few
        return groups * self.up_to(*self.of(few, few, some, many if pixels <= FEW_PIXELS else few))

    def windows(self, shape: tuple[int, ...], largest: int) -> dict[str, Any]:
        """Kernel, strides, dilations and pads, all sides by themselves, such that a window fits."""
        kernel, dilations, before, after = [], [], [], []
        for size in shape[1:]:
            taps = self.up_to(largest)
            pads = [self.up_to(taps - 1, 0), self.up_to(taps - 1, 0)] if self.of(True, False) else [(taps - 1) // 2] * 2
            if size + sum(pads) < taps:
                taps, pads = 1, [0, 0]
            most = (size + sum(pads) - 1) // (taps - 1) if taps > 1 else 3
            kernel.append(taps)
            dilations.append(min(self.of(1, 1, 1, 2, 3), most))
            before.append(pads[0])
            after.append(pads[1])
        strides = [self.of(1, 1, 2, 3) for _ in kernel]
        return {
            "kernel": tuple(kernel),
            "strides": tuple(strides),
            "dilations": tuple(dilations),
            "pads": (*before, *after),
        }

    def convolution(self, x: str, channels: int | None = None, **given: Any) -> str:
        shape = self.shapes[x]
        windows = given or self.windows(shape, 5)
        groups = self.of(1, 1, shape[0], math.gcd(shape[0], 2), math.gcd(shape[0], 12)) if channels is None else 1
        channels = channels or self.channels_for(groups, math.prod(shape[1:]))
        kernel = windows.pop("kernel")
        weight = self.weight((channels, shape[0] // groups, *kernel))
        return self.node("Conv", [x, weight, self.bias(channels)], groups=groups, **windows)

    def kept(self, x: str, channels: int, taps: int, stride: int = 1) -> str:
        """A convolution whose output is as large as its input, or a fraction of it."""
        axes = len(self.shapes[x]) - 1
        sizes = {"kernel": (taps,) * axes, "strides": (stride,) * axes, "pads": (taps // 2,) * (2 * axes)}
        return self.convolution(x, channels, **sizes)

    def pool(self, x: str) -> str:
        windows = self.windows(self.shapes[x], 3)
        axes = len(windows["kernel"])
        # A window may begin in the padding, never lie there as a whole: half a window is allowed at most, and no tap
        # that jumps over the picture.
        windows["pads"] = tuple(
            min(pad, taps // 2) for pad, taps in zip(windows["pads"], windows["kernel"] * 2, strict=True)
        )
        windows["dilations"] = tuple(map(min, windows["dilations"], self.shapes[x][1:]))
        for axis, size in enumerate(self.shapes[x][1:]):
            room = size + windows["pads"][axis] + windows["pads"][axis + axes]
            if (windows["kernel"][axis] - 1) * windows["dilations"][axis] >= room:
                windows["dilations"] = (1,) * axes
            if windows["kernel"][axis] > room:
                return x
        if self.drawn.whole or self.of(True, False):
            return self.node("MaxPool", [x], ceil_mode=self.of(True, False), **windows)
        flags = {"ceil_mode": self.of(True, False), "count_include_pad": self.of(True, False)}
        return self.node("AveragePool", [x], **flags, **windows)

    def cut(self, x: str) -> str:
        operator, attributes = self.of(*CUTS)
        return self.node(operator, [x], **attributes)

    def entrywise(self, x: str) -> str:
        return self.cut(x) if self.drawn.whole else self.node(self.of(*ENTRYWISE), [x])

    def residual(self, x: str) -> str:
        stride, channels = self.of(1, 1, 2), self.up_to(12)
        y = self.kept(x, channels if stride > 1 else self.shapes[x][0], 3, stride)
        if self.of(True, False):
            y = self.kept(self.cut(y), self.shapes[y][0], self.of(1, 3))
        other = x
        if stride > 1:
            thins = channels >= self.shapes[x][0] and self.of(True, False)
            other = self.thinned(x, channels, stride) if thins else self.kept(x, channels, 1, stride)
        total = self.node("Add", [y, other] if self.of(True, False) else [other, y])
        return self.cut(total) if self.of(True, False) else total

    def thinned(self, x: str, channels: int, stride: int) -> str:
        """Some pixels, and zeros around the channels: a shortcut without weights."""
        seen, *sizes = self.shapes[x]
        for axis, size in enumerate(sizes, 2):
            x = self.node("Slice", [x], axis=axis, start=0, stop=size, step=stride)
        before, around = self.of(0, (channels - seen) // 2, channels - seen), (0,) * len(sizes)
        if channels == seen and self.of(True, False):
            return x
        return self.node("Pad", [x], pads=(0, before, *around, 0, channels - seen - before, *around))

    def added(self, x: str) -> str:
        """To itself, or to an input."""
        other = x if self.of(True, False) else self.input(self.shapes[x])
        return self.node("Add" if self.drawn.whole else self.of("Add", "Sub"), [x, other])

    def joined(self, x: str) -> str:
        """Channels of branches, of the value itself, and of an input."""
        branches = [self.kept(x, self.up_to(6), self.of(1, 3)), x]
        if self.of(True, False):
            branches.append(self.cut(self.kept(x, self.up_to(6), 5)))
        if self.of(True, False):
            branches.append(self.input((self.up_to(3), *self.shapes[x][1:])))
        return self.node("Concat", self.draw(st.permutations(branches)), axis=1)

    def dense_block(self, x: str) -> str:
        """Each layer sees all that came before it, through a scale, a shift and a cut of its own."""
        seen = [x]
        for _ in range(self.up_to(3)):
            y = self.node("Concat", seen, axis=1) if len(seen) > 1 else x
            seen.append(self.kept(self.normed(y), self.up_to(6), self.of(1, 3)))
        return self.node("Concat", seen, axis=1)

    def normed(self, x: str) -> str:
        """As a batch norm does it, and what may follow."""
        for operator in ("Mul", "Add"):
            numbers = self.drawn.numbers(self.rng, (self.shapes[x][0], *(1 for _ in self.shapes[x][1:])))
            numbers = np.where(numbers == 0, np.float32(1), numbers)
            x = self.node(operator, [x, self.builder.constant(numbers)])
        return self.of(self.cut, self.entrywise, lambda made: made)(x)

    def parted(self, x: str) -> str:
        """Some channels go on alone, and come back beside all that became of them."""
        channels = self.shapes[x][0]
        cut = self.up_to(channels - 1) if channels > 1 else 1
        parts = [self.node("Slice", [x], axis=1, start=0, stop=cut)]
        parts.append(self.node("Slice", [x], axis=1, start=min(cut, channels - 1), stop=channels))
        for _ in range(self.up_to(2)):
            parts.append(self.kept(parts[-1], self.up_to(6), 3))
        order = self.of(parts, parts[1:], [*parts, x], self.draw(st.permutations(parts)))
        return self.node("Concat", order, axis=1)

    def repeated(self, x: str) -> str:
        """Each pixel some times, beside channels of such a picture."""
        sizes = self.shapes[x][1:]
        times = [self.of(1, 2, 3) if math.prod(sizes) <= 300 else 1 for _ in sizes]
        size = tuple(one * other for one, other in zip(sizes, times, strict=True))
        y = self.node("Resize", [x], size=size)
        return self.node("Concat", [y, self.kept(y, self.up_to(4), 3)], axis=1) if self.of(True, False) else y

    def unfolded(self, x: str) -> str:
        """Channels that become pixels, as behind transposed convolutions: perhaps with some cut off or added around."""
        axes = len(self.shapes[x]) - 1
        blocks = tuple(self.of(1, 2, 2, 3) if math.prod(self.shapes[x][1:]) <= 1000 else 1 for _ in range(axes))
        y = self.kept(x, self.up_to(6) * math.prod(blocks), self.of(1, 3))
        y = self.node("DepthToSpace", [y], blocks=blocks, order=self.of("crd", "dcr"))
        return self.padded(y) if self.of(True, False) else y

    def padded(self, x: str) -> str:
        sizes = self.shapes[x][1:]
        before = tuple(self.of(0, 1, 2, -min(1, size - 1)) for size in sizes)
        after = tuple(
            self.of(0, 1, -min(1, size - 1 + min(first, 0))) for size, first in zip(sizes, before, strict=True)
        )
        return self.node("Pad", [x], pads=(0, 0, *before, 0, 0, *after), value=self.of(0.0, 2.0))

    def scaled(self, x: str) -> str:
        """By a number for each channel, that comes first or second."""
        channels, *sizes = self.shapes[x]
        shape = self.of((channels, *(1 for _ in sizes)), (1, channels, *(1 for _ in sizes)), ())
        constant = self.drawn.numbers(self.rng, shape)
        constant = self.builder.constant(np.where(constant == 0, np.float32(1), constant))
        operator = (
            self.of("Mul", "Add", "Sub") if self.drawn.whole or self.complete else self.of("Mul", "Add", "Sub", "Div")
        )
        return self.node(operator, [x, constant] if operator == "Div" or self.of(True, False) else [constant, x])

    def excited(self, x: str) -> str:
        """Channels by what an average of the picture says."""
        y = self.averaged(x, True)
        y = self.kept(self.node("Relu", [self.kept(y, self.up_to(4), 1)]), self.shapes[x][0], 1)
        return self.node("Mul", [x, self.node(self.of("Sigmoid", "HardSigmoid"), [y])])

    def averaged(self, x: str, keeps: bool) -> str:
        axes = len(self.shapes[x]) - 1
        if keeps and self.of(True, False):
            return self.node("AdaptiveAveragePool", [x], size=(1,) * axes)
        return self.node("Mean", [x], axes=tuple(range(2, 2 + axes)), keepdims=keeps)

    def normalised(self, x: str) -> str:
        return self.node("Lrn", [x], size=self.up_to(5), alpha=0.1, beta=self.of(0.75, 0.5), bias=1.0)

    def layers(self, x: str) -> str:
        """Fully connected: of the picture as a row, or of a row."""
        if len(self.shapes[x]) > 1:
            x = self.node(
                "Reshape", [x], shape=(self.batch if isinstance(self.batch, int) else -1, math.prod(self.shapes[x]))
            )
        for channels in [self.of(1, 7, 16, 33, 40, 70) for _ in range(self.up_to(2))]:
            x = self.node("Linear", [x, self.weight((channels, *self.shapes[x])), self.bias(channels)])
            x = self.cut(x) if self.of(True, False) else x
        return x


@st.composite
def networks(
    draw: st.DrawFn, batch: int | str = "batch", whole: bool = False, complete: bool = False, least: int = 1
) -> Drawn:
    """A convolution, what may follow it, and perhaps an ending that sees the whole picture.

    batch: the one the network is made for; "batch": any. whole: all numbers are whole, and so are all results.
    complete: no weight is zero. least: pixels on each side of the picture or
    volume.
    """
    drawing = Drawing(draw, batch, whole, complete)
    side = st.one_of(*(st.integers(least, max(least, most)) for most in (5, 12, 40)))
    short = st.integers(least, max(least, 9))
    sides = draw(st.lists(side, min_size=1, max_size=2) | st.lists(short, min_size=3, max_size=3))
    x = drawing.input((drawing.channels_of(math.prod(sides)), *sides))
    made = [x, drawing.convolution(x)]
    steps = [drawing.convolution, drawing.pool, drawing.cut, drawing.residual, drawing.added, drawing.joined]
    steps += [drawing.scaled, drawing.entrywise, drawing.unfolded, drawing.padded]
    steps += [drawing.dense_block, drawing.parted, drawing.repeated]
    if not whole:
        steps.append(drawing.normalised)
        steps += [] if complete else [drawing.excited]
    for step in draw(st.lists(st.sampled_from(steps), max_size=4)):
        made.append(step(made[-1]))
    ends = [lambda x: x, drawing.layers] + ([] if whole else [lambda x: drawing.averaged(x, False)])
    made.append(draw(st.sampled_from(ends))(made[-1]))
    outputs = [made[-1], *draw(st.lists(st.sampled_from(made), max_size=2))]
    drawing.drawn.graph = drawing.builder.graph(draw(st.permutations(outputs)))
    return drawing.drawn
