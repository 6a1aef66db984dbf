"""Networks of Quantize, built by hand: grids of any width and place, and every number at the ends of its grid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from netsurgery.graph.fixed_point import EXACT, HIGHEST_POWER, Grid
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.shapes import FARTHEST_EXPONENT
from netsurgery.graph.weights import Planes

Sizes = tuple[int, ...]
LARGEST = float(np.finfo(np.float32).max)


@dataclass
class _Value:
    name: str
    shape: Sizes  # the batch left out
    grid: Grid


@dataclass
class _Drawing:
    """A network while it grows. Nothing on the way rounds but Quantize, however far its scales and grids go."""

    rng: np.random.Generator
    far: bool  # exponents and scales at the ends of what there is
    builder: GraphBuilder = field(default_factory=GraphBuilder)
    values: list[_Value] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # values that are outputs alone

    def exponent(self, near: int) -> int:
        if self.far and self.rng.random() < 0.4:
            return int(self.rng.choice([-FARTHEST_EXPONENT, FARTHEST_EXPONENT]))
        return int(np.clip(near + self.rng.integers(-4, 5), -FARTHEST_EXPONENT, FARTHEST_EXPONENT))

    def quantize(
        self, name: str, shape: Sizes, near: int, numbers: bool, scale: float = 1.0, planes: int | None = None
    ) -> _Value:
        """near: the exponent of x. scale: of x as a count, so that results fill their grid. shape: of what is made."""
        rng = self.rng
        bits, signed = int(rng.choice([1, 2, 4, 8, 8, 8, 12, 15, 16])), bool(rng.random() < 0.5)
        bits = max(bits, 2) if signed else bits
        exponent = self.exponent(near)
        highest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        inputs: list[str | None] = [name]
        rows = shape[0] * (planes or 1)
        if numbers:
            power = np.clip(np.log2(scale * highest) + exponent - near + rng.normal(0, 1, rows), -140, 127)
            signs = rng.choice([-1.0, 1.0, 1.0], rows)
            # Numbers of few bits make ties.
            values = signs * np.exp2(np.rint(power) if rng.random() < 0.5 else power)
            shift = np.rint(rng.normal(0, highest / 4 + 1, shape[0]) * 2) / 2
            shifts = np.clip(np.ldexp(shift, exponent), -LARGEST, LARGEST).astype(np.float32)
            scaled = planes is not None or rng.random() < 0.9
            inputs.append(self.builder.constant(values.astype(np.float32), "scale") if scaled else None)
            inputs.append(self.builder.constant(shifts, "shift") if rng.random() < 0.8 else None)
            while inputs[-1] is None:
                inputs.pop()
        if planes is None:
            made = self.builder.node("Quantize", inputs, exponent=exponent, bits=bits, signed=signed)
        else:
            made = self.builder.node(
                "QuantizePlanes", inputs, exponent=exponent, bits=bits, signed=signed, planes=planes
            )
        return _Value(made, shape, Grid(exponent, -highest if signed else 0, highest))

    def any_value(self) -> _Value:
        return self.values[-1 - int(self.rng.integers(0, len(self.values)) * self.rng.random())]

    def weight(self, shape: Sizes, largest: int) -> tuple[Array, float]:
        """0 and ±2^k whose sums with inputs of that magnitude stay exact, and the largest of those sums."""
        rng = self.rng
        kept = rng.random(shape) < rng.choice([0.03, 0.2, 0.5])
        room = EXACT // max(largest, 1) // int(max(1, kept.reshape(shape[0], -1).sum(axis=1).max()))
        highest = min(HIGHEST_POWER, room.bit_length() - 2, int(rng.integers(0, HIGHEST_POWER + 1)))
        if highest < 0:
            return np.zeros(shape, np.float32), 1.0
        powers = rng.integers(max(0, highest - int(rng.integers(0, 8))), highest + 1, shape)
        signs = rng.choice([-1.0, 1.0], shape) if rng.random() < 0.7 else np.full(shape, rng.choice([-1.0, 1.0]))
        values = np.where(kept, signs * np.exp2(powers), 0.0).astype(np.float32)
        return values, float(max(1.0, np.abs(values).reshape(shape[0], -1).sum(axis=1).max()) * largest)

    def signs(self, shape: Sizes, planes: int, seen: Grid) -> tuple[Planes | Array, float]:
        """±1, so many rows for each; zeros where sums of those wouldn't be exact."""
        columns = int(np.prod(shape[1:]))
        shape = (shape[0] * planes, *shape[1:])
        if columns * seen.largest >= EXACT:
            return np.zeros(shape, np.float32), 1.0
        signs = self.rng.integers(0, 2, (1, *shape), np.uint8)
        return Planes(np.ones((shape[0], 1), np.float32), signs), float(max(1, columns * seen.largest))

    def convolution(self) -> None:
        x = self.any_value()
        rng = self.rng
        channels, *sizes = x.shape
        groups = int(rng.choice([1, 1, 1, channels]))
        rows = groups * int(rng.integers(1, 5 if groups > 1 else 30))
        same = self.values[-1].shape[0]
        if rng.random() < 0.4 and same % groups == 0:
            rows = same
        count = len(sizes)
        kernel = [int(rng.choice([1, 1, 3, 3, 2, 5])) for _ in sizes]
        strides = [int(rng.choice([1, 1, 1, 2, 3])) for _ in sizes]
        dilations = [int(rng.choice([1, 1, 1, 2])) for _ in sizes]
        reach = [(side - 1) * apart + 1 for side, apart in zip(kernel, dilations, strict=True)]
        pads = [side // 2 for side in reach * 2]
        if rng.random() < 0.3:
            pads = [int(one) for one in rng.integers(0, 3, 2 * count)]
        free = [sizes[i] + pads[i] + pads[count + i] - reach[i] for i in range(count)]
        if min(free) < 0:
            return
        after = [one // stride + 1 for one, stride in zip(free, strides, strict=True)]
        planes = int(rng.integers(1, 6)) if rng.random() < 0.25 else None
        shape = (rows, channels // groups, *kernel)
        weight, largest = self.weight(shape, x.grid.largest) if planes is None else self.signs(shape, planes, x.grid)
        operands = [x.name, self.builder.constant(weight, "w")]
        made = self.builder.node("Conv", operands, strides=strides, pads=pads, dilations=dilations, groups=groups)
        if rng.random() < 0.1:
            self.others.append(made)
        scale = float(rng.choice([0.3, 1, 3])) / largest
        self.values.append(self.added(self.quantize(made, (rows, *after), x.grid.exponent, True, scale, planes)))

    def added(self, value: _Value) -> _Value:
        """To another one of its shape, now and then."""
        rng = self.rng
        twins = [one for one in self.values if one.shape == value.shape]
        if not twins or rng.random() < 0.6:
            return value
        other = twins[int(rng.integers(0, len(twins)))]
        names = [value.name, other.name]
        total = self.builder.node("Add", names if rng.random() < 0.5 else names[::-1])
        near = max(value.grid.exponent, other.grid.exponent)
        return self.quantize(total, value.shape, near, bool(rng.random() < 0.1))

    def pool(self) -> None:
        x = self.any_value()
        rng = self.rng
        channels, *sizes = x.shape
        count = len(sizes)
        kernel = [int(one) for one in rng.integers(1, 4, count)]
        dilations = [int(rng.choice([1, 1, 1, 2, 4])) for _ in sizes]
        reach = [(side - 1) * apart + 1 for side, apart in zip(kernel, dilations, strict=True)]
        strides = [int(one) for one in rng.integers(1, 4, count)]
        pads = [int(rng.integers(0, side)) if rng.random() < 0.5 else 0 for side in reach * 2]
        ceil = bool(rng.random() < 0.3)
        after = []
        for i in range(count):
            free = sizes[i] + pads[i] + pads[count + i] - reach[i]
            if free < 0:
                return
            windows = (-(-free // strides[i]) if ceil else free // strides[i]) + 1
            after.append(windows - (ceil and (windows - 1) * strides[i] >= sizes[i] + pads[i]))
        windows_of = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": dilations, "ceil_mode": ceil}
        made = self.builder.node("MaxPool", [x.name], **windows_of)
        if any(apart > size for apart, size in zip(dilations, sizes, strict=True)):
            # A window may see nothing: -infinity, which no layer may see, as 0 times it is NaN for some of them.
            self.others.append(made)
        else:
            self.values.append(_Value(made, (channels, *after), x.grid))

    def concatenation(self) -> None:
        x = self.any_value()
        parts = [one for one in self.values if one.shape[1:] == x.shape[1:] and one.grid.exponent == x.grid.exponent]
        chosen = [parts[int(place)] for place in self.rng.integers(0, len(parts), int(self.rng.integers(2, 4)))]
        channels = sum(one.shape[0] for one in chosen)
        if channels <= 100:
            grid = chosen[0].grid
            for one in chosen[1:]:
                grid = grid.joined(one.grid)
            made = self.builder.node("Concat", [one.name for one in chosen], axis=1)
            self.values.append(_Value(made, (channels, *x.shape[1:]), grid))

    def cut(self) -> None:
        x = self.any_value()
        if x.shape[0] < 2:
            return
        start = int(self.rng.integers(0, x.shape[0] - 1))
        stop = int(self.rng.integers(start + 1, x.shape[0] + 1))
        made = self.builder.node("Slice", [x.name], axis=1, start=start, stop=stop)
        self.values.append(_Value(made, (stop - start, *x.shape[1:]), x.grid))

    def relu(self) -> None:
        x = self.any_value()
        made = self.builder.node("Relu", [x.name])
        self.values.append(_Value(made, x.shape, Grid(x.grid.exponent, max(x.grid.low, 0), x.grid.high)))

    def again(self) -> None:
        x = self.any_value()
        numbers = bool(self.rng.random() < 0.5)
        self.values.append(self.quantize(x.name, x.shape, x.grid.exponent, numbers, 1 / x.grid.largest))


def drawn(seed: int) -> Graph:
    """A network whose outputs are the same everywhere; its batch is open. One in four has far exponents and scales."""
    rng = np.random.default_rng(seed)
    drawing = _Drawing(rng, far=seed % 4 == 3)
    spatial = int(rng.choice([1, 2, 2, 2, 2, 3]))
    sizes = tuple(int(one) for one in rng.integers(1, {1: 40, 2: 17, 3: 6}[spatial], spatial))
    shape = (int(rng.integers(1, 20)), *sizes)
    x = drawing.builder.input("x", ("batch", *shape))
    drawing.values.append(drawing.quantize(x, shape, 0, bool(rng.random() < 0.3)))
    growing = [drawing.convolution] * 6 + [drawing.pool] * 2
    growing += [drawing.concatenation, drawing.cut, drawing.relu, drawing.again]
    drawing.convolution()
    for _ in range(int(rng.integers(1, 9))):
        growing[int(rng.integers(0, len(growing)))]()
    names = [one.name for one in drawing.values]
    outputs = {names[-1], *(str(one) for one in rng.choice(names, int(rng.integers(0, 2))))}
    return drawing.builder.graph([name for name in names if name in outputs] + drawing.others)


def inputs_of(graph: Graph, batch: int, seed: int) -> Array:
    """Numbers of every magnitude, many beyond the first grid, ties, and some that are infinite or none."""
    rng = np.random.default_rng(seed)
    shape = graph.inputs[0].at({"batch": batch})
    exponent = next(node.attributes["exponent"] for node in graph.nodes if node.operator == "Quantize")
    counts = rng.choice([-1.0, 1.0], shape) * np.exp2(rng.uniform(-2, 18, shape))
    counts = np.where(rng.random(shape) < 0.3, np.rint(counts) + 0.5, counts)
    odd = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], shape)
    x = np.where(rng.random(shape) < 0.02, odd, np.ldexp(counts, exponent))  # type: ignore[arg-type]
    return np.asarray(x, np.float32)
