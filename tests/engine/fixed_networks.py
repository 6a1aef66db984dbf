"""Random networks whose weights are powers of two or binary planes, and the same in fixed point."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from netsurgery.deployment.calibration import FixedPoint, calibrated
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.passes import simplify
from netsurgery.graph.planes import on_grid
from netsurgery.graph.weights import Planes
from netsurgery.runtime import reference

Shape = tuple[int, ...]


@dataclass
class _Drawing:
    """A network while it grows: its values with their shapes, the batch left out."""

    rng: np.random.Generator
    builder: GraphBuilder = field(default_factory=GraphBuilder)
    values: list[tuple[str, Shape]] = field(default_factory=list)

    def any_value(self, spatial: bool) -> tuple[str, Shape] | None:
        fitting = [one for one in self.values if (len(one[1]) > 1) is spatial]
        # Late ones more often, so that networks get deep.
        return fitting[-1 - int(self.rng.integers(0, len(fitting)) * self.rng.random())] if fitting else None

    def weight(self, shape: Shape) -> str:
        """Powers of two of some exponents, some of them times a number for each row, as batch norm leaves them; or
        binary planes."""
        rng = self.rng
        if rng.random() < 0.25:
            return self.planes(shape)
        levels = int(rng.integers(1, 8))
        exponents = rng.integers(-levels - 2, -2, shape)
        kept = rng.random(shape) < rng.choice([0.05, 0.2, 0.5, 1.0])
        values = np.where(kept, rng.choice([-1.0, 1.0], shape) * np.exp2(exponents), 0.0)
        if rng.random() < 0.5:
            values *= rng.normal(1, 0.5, (shape[0], *[1] * (len(shape) - 1))).astype(np.float32)
        return self.builder.constant(values.astype(np.float32), "w")

    def planes(self, shape: Shape) -> str:
        rng, count = self.rng, int(self.rng.integers(1, 6))
        scales = rng.normal(0, 0.3, (shape[0], count)) * (rng.random((shape[0], count)) < 0.9)
        return self.builder.constant(Planes(on_grid(scales), rng.integers(0, 2, (count, *shape), np.uint8)), "w")

    def bias(self, rows: int) -> list[str]:
        return [self.builder.constant(self.rng.normal(0, 0.2, rows).astype(np.float32), "b")] * bool(
            self.rng.integers(0, 2)
        )

    def put(self, operator: str, inputs: list[str], gives: Shape, /, **attributes: object) -> str:
        name = self.builder.node(operator, inputs, **attributes)
        self.values.append((name, gives))
        return name

    def convolution(self) -> None:
        found = self.any_value(spatial=True)
        if found is None:
            return
        name, (channels, *sizes) = found
        rng = self.rng
        groups = int(rng.choice([1, 1, 1, channels]))
        rows = groups * int(rng.integers(1, 5 if groups > 1 else 40))
        if rng.random() < 0.3:  # something to add it to
            rows = next((shape[0] for _, shape in reversed(self.values) if len(shape) > 1), rows)
            rows = max(rows // groups, 1) * groups
        kernel = [int(rng.choice([1, 1, 3, 3, 2, 5])) for _ in sizes]
        strides = [int(rng.choice([1, 1, 1, 2])) for _ in sizes]
        pads = [int(rng.integers(0, 1 + side // 2)) if rng.random() < 0.3 else side // 2 for side in kernel]
        after = [
            (size + 2 * pad - side) // stride + 1
            for size, pad, side, stride in zip(sizes, pads, kernel, strides, strict=True)
        ]
        if min(after) < 1:
            return
        operands = [name, self.weight((rows, channels // groups, *kernel)), *self.bias(rows)]
        made = self.put("Conv", operands, (rows, *after), strides=strides, pads=(*pads, *pads), groups=groups)
        self.cut_off(made, (rows, *after))

    def depthwise(self) -> None:
        """As mobile networks have them: square windows of odd sides, one output for each channel."""
        found = self.any_value(spatial=True)
        if found is None:
            return
        name, (channels, *sizes) = found
        side, stride, dilation = int(self.rng.choice([3, 3, 5, 7])), int(self.rng.choice([1, 1, 2])), 1
        if self.rng.random() < 0.2:
            dilation = 2
        pad = int(self.rng.choice([dilation * (side // 2)] * 3 + [0]))
        after = [(size + 2 * pad - dilation * (side - 1) - 1) // stride + 1 for size in sizes]
        if min(after) < 1:
            return
        rank = len(sizes)
        operands = [name, self.weight((channels, 1, *[side] * rank)), *self.bias(channels)]
        attributes = {"strides": [stride] * rank, "pads": [pad] * (2 * rank), "dilations": [dilation] * rank}
        made = self.put("Conv", operands, (channels, *after), **attributes, groups=channels)
        self.cut_off(made, (channels, *after))

    def cut_off(self, x: str, shape: Shape) -> None:
        """A Relu, a cut from both sides at a number of any grid or of few, or neither."""
        kind = self.rng.random()
        if kind < 0.4:
            self.put("Relu", [x], shape)
        elif kind < 0.7:
            low, high = self.rng.choice([0.0, 0.0, -0.5]), self.rng.choice([6.0, 0.5, 0.3, np.inf])
            self.put("Clip", [x], shape, minimum=float(low), maximum=float(high))

    def addition(self) -> None:
        name, shape = self.values[-1]
        others = [other for other, its in self.values[:-1] if its == shape]
        if others:
            total = self.put("Add", [name, str(self.rng.choice(others))], shape)
            if self.rng.random() < 0.7:
                self.put("Relu", [total], shape)

    def shortcut(self) -> None:
        """A convolution of every other pixel beside these pixels, with zeros around their channels."""
        found = self.any_value(spatial=True)
        if found is None:
            return
        name, (channels, *sizes) = found
        rng, rank = self.rng, len(sizes)
        rows, after = channels + int(rng.integers(0, 6)), [(size + 1) // 2 for size in sizes]
        weight = self.weight((rows, channels, *[3] * rank))
        made = self.builder.node("Conv", [name, weight], strides=[2] * rank, pads=[1] * (2 * rank))
        for axis, size in enumerate(sizes, 2):
            name = self.builder.node("Slice", [name], axis=axis, start=0, stop=size, step=2)
        before, around = int(rng.integers(0, rows - channels + 1)), (0,) * rank
        if rows > channels:
            name = self.builder.node("Pad", [name], pads=(0, before, *around, 0, rows - channels - before, *around))
        made = self.put("Add", [made, name], (rows, *after))
        self.cut_off(made, (rows, *after))

    def average(self) -> None:
        """Of pictures, in front of a layer."""
        name, (channels, *sizes) = self.values[-1]
        if sizes:
            self.put("Mean", [name], (channels,), axes=tuple(range(2, 2 + len(sizes))), keepdims=False)

    def pool(self) -> None:
        found = self.any_value(spatial=True)
        if found is None or min(found[1][1:]) < 2:
            return
        name, (channels, *sizes) = found
        strides = [int(self.rng.integers(1, 3)) for _ in sizes]
        after = [(size - 2) // stride + 1 for size, stride in zip(sizes, strides, strict=True)]
        operator = str(self.rng.choice(["MaxPool", "MaxPool", "AveragePool"]))
        self.put(operator, [name], (channels, *after), kernel=[2] * len(sizes), strides=strides)

    def concatenation(self) -> None:
        found = self.any_value(spatial=True)
        if found is None:
            return
        _, (_, *sizes) = found
        parts = [one for one in self.values if len(one[1]) > 1 and list(one[1][1:]) == sizes]
        chosen = [parts[int(place)] for place in self.rng.integers(0, len(parts), int(self.rng.integers(2, 4)))]
        channels = sum(shape[0] for _, shape in chosen)
        if channels <= 120:
            self.put("Concat", [name for name, _ in chosen], (channels, *sizes), axis=1)

    def cut(self) -> None:
        found = self.any_value(spatial=True)
        if found is None or found[1][0] < 2:
            return
        name, (channels, *sizes) = found
        start = int(self.rng.integers(0, channels - 1))
        stop = int(self.rng.integers(start + 1, channels + 1))
        self.put("Slice", [name], (stop - start, *sizes), axis=1, start=start, stop=stop)

    def linear(self) -> None:
        name, shape = self.values[-1]
        if len(shape) > 1:
            size = int(np.prod(shape))
            if size > 4000:
                return
            name = self.put("Reshape", [name], (size,), shape=(-1, size))
            shape = (size,)
        rows = int(self.rng.integers(1, 50))
        made = self.put("Linear", [name, self.weight((rows, shape[0])), *self.bias(rows)], (rows,))
        if self.rng.random() < 0.6:
            self.put("Relu", [made], (rows,))


def drawn(seed: int) -> Graph:
    """A network of some layers, with whatever stands between them; its batch is open."""
    drawing = _Drawing(np.random.default_rng(seed))
    rng = drawing.rng
    spatial = int(rng.choice([0, 1, 2, 2, 2, 2, 3]))
    sizes = tuple(int(one) for one in rng.integers(1, {1: 40, 2: 17, 3: 6}.get(spatial, 2), spatial))
    channels = int(rng.integers(1, 20))
    shape = (channels, *sizes)
    drawing.values.append((drawing.builder.input("x", ("batch", *shape)), shape))
    (drawing.convolution if spatial else drawing.linear)()
    growing = [drawing.convolution] * 4 + [drawing.addition] * 2
    growing += [drawing.depthwise, drawing.pool, drawing.concatenation, drawing.cut, drawing.shortcut]
    if not spatial:
        growing = [drawing.linear] * 2 + [drawing.addition]
    for _ in range(int(rng.integers(1, 9))):
        growing[int(rng.integers(0, len(growing)))]()
    if rng.random() < 0.3:
        drawing.average()
    while rng.random() < 0.5:  # behind pictures, too
        drawing.linear()
    if len(drawing.values) == 1:  # nothing fitted
        drawing.put("Relu", [drawing.values[0][0]], shape)
    names = [name for name, _ in drawing.values[1:]]
    outputs = {names[-1], *(str(one) for one in rng.choice(names, int(rng.integers(0, 2))))}
    return drawing.builder.graph(sorted(outputs, key=names.index))


def inputs_of(graph: Graph, batch: int, seed: int) -> Array:
    """Numbers of the kind that the networks are calibrated on, and some that lie far beyond."""
    rng = np.random.default_rng(seed)
    shape = graph.inputs[0].at({"batch": batch})
    far = rng.random(shape) < 0.02
    return np.asarray(np.where(far, rng.choice([-1e4, 1e4], shape), rng.normal(size=shape)), np.float32)


def in_fixed_point(seed: int) -> FixedPoint:
    """The network of a seed, calibrated on some inputs. Raises SettingError where none of its layers is fit."""
    graph = simplify(drawn(seed), reference.run_node)
    rng = np.random.default_rng(seed)
    batch = np.asarray(rng.normal(size=graph.inputs[0].at({"batch": 8})), np.float32)
    return calibrated(graph, [[batch]], ends="fixed")
