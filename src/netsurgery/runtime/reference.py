"""The meaning of each operator, in NumPy: short and plain; what runs faster is compared with it.

Products are summed in float32 by BLAS. Everything else that rounds more than once works in float64 and rounds once, at
the end, so that an element is off by little more than half a unit in its last place. NaN and infinity pass through as
IEEE 754 says; the sign of a zero that Relu, Clip or pooling picks among equals is open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.errors import GraphError, InputError
from netsurgery.graph import shapes as rule
from netsurgery.graph.ir import Array, Graph, Node, named_sizes
from netsurgery.graph.shapes import filled
from netsurgery.runtime.inputs import checked_sizes
from netsurgery.runtime.windows import inside, taps

Operands: TypeAlias = Sequence[Any]  # of Array, or None where an optional operand is left out
Attributes: TypeAlias = Mapping[str, Any]
Kernel: TypeAlias = Callable[[Operands, Attributes], Any]
Doubles: TypeAlias = npt.NDArray[np.float64]


def run(
    graph: Graph, inputs: Mapping[str, Array], watch: Callable[[str, Array], None] | None = None
) -> tuple[Array, ...]:
    """The graph's outputs, in their order, for arrays by input name; sizes of open axes are those of the arrays.

    A value is dropped once its last reader has run. watch: called with the name of each value that a node makes, and
    the value. Raises InputError for arrays that the network doesn't take, or if it can't run at these sizes.
    """
    sizes = checked_sizes(graph.inputs, inputs)
    try:
        graph.shapes(sizes)
    except GraphError as error:
        raise InputError(f"the network can't run at {named_sizes(sizes)}: {error}") from error
    values: dict[str, Array] = {**{name: weights.values for name, weights in graph.constants.items()}, **inputs}
    last_use = {
        name: index
        for index, node in enumerate(graph.nodes)
        for name in (*node.inputs, node.output)
        if name is not None
    }
    for index, node in enumerate(graph.nodes):
        values[node.output] = run_node(node, [None if name is None else values[name] for name in node.inputs])
        if watch is not None:
            watch(node.output, values[node.output])
        for name in {*node.inputs, node.output} - {*graph.outputs}:
            if name is not None and last_use[name] == index:
                del values[name]
    return tuple(values[name].copy() for name in graph.outputs)


def run_node(node: Node, operands: Sequence[Array | None]) -> Array:
    """The node's output for arrays that fit its shape rule; None where an optional operand is left out."""
    with np.errstate(all="ignore"):
        return np.asarray(KERNELS[node.operator](operands, node.attributes), np.float32, order="C")


def _conv(operands: Operands, attributes: Attributes) -> Array:
    """The sum over the places of the kernel: weight (G, O/G, C/G) there times what the windows see there."""
    x, weight, bias = (*operands, None)[:3]
    batch, channels, *windows = rule.conv([x.shape, weight.shape], attributes)
    groups, kernel = attributes["groups"], weight.shape[2:]
    split = weight.reshape(groups, channels // groups, weight.shape[1], math.prod(kernel))
    by_place = np.ascontiguousarray(split.transpose(3, 0, 1, 2)).reshape(*kernel, *split.shape[:3])
    total = np.zeros((batch, groups, channels // groups, math.prod(windows)), np.float32)
    for place, seen in taps(x, kernel, tuple(windows), attributes, 0.0):
        total += by_place[place] @ seen.reshape(batch, groups, weight.shape[1], -1)
    result = total.reshape(batch, channels, *windows)
    return result if bias is None else result + bias.reshape(-1, *[1] * len(windows))


def _linear(operands: Operands, _: Attributes) -> Array:
    x, weight, bias = (*operands, None)[:3]
    result: Array = x @ weight.T
    return result if bias is None else result + bias


def _max_pool(operands: Operands, attributes: Attributes) -> Array:
    x, kernel = operands[0], attributes["kernel"]
    windows = rule.pool([x.shape], attributes)[2:]
    return reduce(np.maximum, (seen for _, seen in taps(x, kernel, windows, attributes, -math.inf)))


def _average_pool(operands: Operands, attributes: Attributes) -> Doubles:
    x, kernel = operands[0], attributes["kernel"]
    shape = rule.pool([x.shape], attributes)
    ones, seen_by = inside(x.shape[2:], attributes)
    total, count = np.zeros(shape), np.zeros((1, 1, *shape[2:]))
    for _, seen in taps(x, kernel, shape[2:], attributes, 0.0):
        total += seen
    for _, seen in taps(ones, kernel, shape[2:], seen_by, 0.0):
        count += seen
    return total / count


def _adaptive_pool(of_window: Callable[..., Any]) -> Kernel:
    def kernel(operands: Operands, attributes: Attributes) -> Doubles:
        x, size = operands[0], attributes["size"]
        result = np.empty(rule.adaptive_pool([x.shape], attributes))
        for place in np.ndindex(*size):
            window = x
            for axis, (i, parts) in enumerate(zip(place, size, strict=True), start=2):
                begin, end = i * x.shape[axis] // parts, -(-(i + 1) * x.shape[axis] // parts)
                window = _cut(window, axis, begin, end)
            here = (..., *place)
            result[here] = of_window(window, axis=tuple(range(2, x.ndim)))
        return result

    return kernel


_mean = partial(np.mean, dtype=np.float64)


def _leaky_relu(operands: Operands, attributes: Attributes) -> Array:
    x: Array = operands[0]
    return np.where(x >= 0, x, np.float32(attributes["alpha"]) * x)


def _elementwise(function: Callable[[Doubles, Attributes], Doubles]) -> Kernel:
    """A kernel of one operand, which it gets as float64."""
    return lambda operands, attributes: function(operands[0].astype(np.float64), attributes)


def _gelu(x: Doubles, attributes: Attributes) -> Doubles:
    """Phi(x) is erfc(-x / sqrt 2) / 2, and 1/2 + tanh(y) / 2 is 1 / (1 + exp(-2y)): neither cancels for x < 0."""
    if attributes["approximate"] == "tanh":
        falling: Doubles = np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        return x / (1 + falling)
    tails = map(math.erfc, (x / -math.sqrt(2)).ravel().tolist())
    doubled_phi: Doubles = np.fromiter(tails, np.float64, x.size).reshape(x.shape)
    return x / 2 * doubled_phi


def _softmax(x: Doubles, attributes: Attributes) -> Doubles:
    powers: Doubles = np.exp(x - x.max(attributes["axis"], keepdims=True))
    total: Doubles = powers.sum(attributes["axis"], keepdims=True)
    return powers / total


def _log_softmax(x: Doubles, attributes: Attributes) -> Doubles:
    shifted: Doubles = x - x.max(attributes["axis"], keepdims=True)
    total: Doubles = np.exp(shifted).sum(attributes["axis"], keepdims=True)
    return shifted - np.log(total)


def _pad(operands: Operands, attributes: Attributes) -> Array:
    """Cuts what is negative first, then pads what is left."""
    left: Array = operands[0]
    mode = attributes["mode"]
    pads = filled(attributes["pads"], 2 * left.ndim, 0, "pads")
    sides = list(zip(pads[: left.ndim], pads[left.ndim :], strict=True))
    for axis, (before, after) in enumerate(sides):
        left = _cut(left, axis, max(0, -before), left.shape[axis] + min(after, 0))
    if not sides:  # of which np.pad makes an error
        return left
    fill = {"constant_values": attributes["value"]} if mode == "constant" else {}
    result: Array = np.pad(left, [(max(before, 0), max(after, 0)) for before, after in sides], mode=mode, **fill)
    return result


def _slice(operands: Operands, attributes: Attributes) -> Array:
    return _cut(operands[0], attributes["axis"], attributes["start"], attributes["stop"], attributes["step"])


def _cut(x: Array, axis: int, start: int, stop: int, step: int = 1) -> Array:
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


def _embedding(operands: Operands, _: Attributes) -> Array:
    x, weight = operands
    odd = np.argwhere((x < -len(weight)) | (x >= len(weight)))
    if len(odd):
        place = tuple(odd[0].tolist())
        raise InputError(outside_of_table(int(x[place]), place, len(weight)))
    rows: Array = weight[x]
    return rows


def outside_of_table(number: int, place: tuple[int, ...], rows: int) -> str:
    """What is said of a whole number that is no row of a table."""
    return f"{number} at place {place} is none of the table's {rows} rows: 0 to {rows - 1} are, or -{rows} to -1."


def _lrn(x: Doubles, attributes: Attributes) -> Doubles:
    size, channels = attributes["size"], x.shape[1]
    before, after = (size - 1) // 2, size // 2
    sums = np.empty_like(x)
    for c in range(channels):
        sums[:, c] = np.square(x[:, max(0, c - before) : c + after + 1]).sum(1)
    scale: Doubles = (attributes["bias"] + attributes["alpha"] / size * sums) ** attributes["beta"]
    return x / scale


def _layer_norm(operands: Operands, attributes: Attributes) -> Doubles:
    x, scale, bias = (*operands, None, None)[:3]
    axes = tuple(range(attributes["axis"], x.ndim))
    centred = x - _mean(x, axis=axes, keepdims=True)
    variance = _mean(centred**2, axis=axes, keepdims=True)
    result: Doubles = centred / np.sqrt(variance + attributes["epsilon"])
    result = result if scale is None else result * scale
    return result if bias is None else result + bias


_ROUNDING: dict[str, Callable[[Doubles], Doubles]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda position: np.ceil(position - 0.5),
    "round_prefer_ceil": lambda position: np.floor(position + 0.5),
}


def _resize(operands: Operands, attributes: Attributes) -> Array:
    x: Array = operands[0]
    for axis, new in enumerate(attributes["size"]):
        old, scale = x.shape[2 + axis], attributes["scales"][axis] if attributes["scales"] else None
        position = _ROUNDING[attributes["rounding"]](_positions(old, new, scale, attributes["coordinates"]))
        x = x.take(np.clip(position, 0, old - 1).astype(np.intp), axis=2 + axis)
    return x


def _positions(old: int, new: int, scale: float | None, coordinates: str) -> Doubles:
    """Where each of `new` entries lies among the `old` ones: ONNX's equations for coordinate_transformation_mode.

    An exact quotient of whole numbers, rounded once, never crosses a whole number, as i / (new / old) would.
    """
    i = np.arange(new, dtype=np.float64)

    def unscaled(place: Doubles) -> Doubles:
        return place * old / new if scale is None else place / scale

    if coordinates == "align_corners":
        return i * (old - 1) / max(new - 1, 1)
    if coordinates == "asymmetric":
        return unscaled(i)
    if coordinates == "pytorch_half_pixel" and new == 1:
        return i
    if coordinates == "half_pixel_symmetric" and scale is not None:
        # ONNX adds old / 2 * (1 - new / (scale * old)) to half_pixel; as one quotient it is rounded once.
        return (2 * i + 1 - new + (old - 1) * scale) / (2 * scale)
    return unscaled(i + 0.5) - 0.5


KERNELS: dict[str, Kernel] = {
    "Conv": _conv,
    "Linear": _linear,
    "MatMul": lambda operands, _: np.matmul(*operands),
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "AdaptiveAveragePool": _adaptive_pool(_mean),
    "AdaptiveMaxPool": _adaptive_pool(np.max),
    "Relu": lambda operands, _: np.maximum(operands[0], 0),
    "Clip": lambda operands, a: np.minimum(np.maximum(operands[0], a["minimum"]), a["maximum"]),
    "LeakyRelu": _leaky_relu,
    "Sigmoid": _elementwise(lambda x, _: 1 / (1 + np.exp(-x))),
    "HardSigmoid": _elementwise(lambda x, a: np.clip(a["alpha"] * x + a["beta"], 0, 1)),
    "HardSwish": _elementwise(lambda x, _: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Silu": _elementwise(lambda x, _: x / (1 + np.exp(-x))),
    "Gelu": _elementwise(_gelu),
    "Tanh": _elementwise(lambda x, _: np.tanh(x)),
    "Abs": lambda operands, _: np.abs(operands[0]),
    "Softmax": _elementwise(_softmax),
    "LogSoftmax": _elementwise(_log_softmax),
    "Add": lambda operands, _: np.add(*operands),
    "Sub": lambda operands, _: np.subtract(*operands),
    "Mul": lambda operands, _: np.multiply(*operands),
    "Div": lambda operands, _: np.divide(*operands),
    "Concat": lambda operands, a: np.concatenate(operands, a["axis"]),
    "Reshape": lambda operands, a: operands[0].reshape(rule.reshape([operands[0].shape], a)),
    "Transpose": lambda operands, a: operands[0].transpose(a["order"]),
    "Pad": _pad,
    "Slice": _slice,
    "Mean": lambda operands, a: _mean(operands[0], axis=a["axes"], keepdims=a["keepdims"]),
    "Lrn": _elementwise(_lrn),
    "Embedding": _embedding,
    "LayerNorm": _layer_norm,
    "Resize": _resize,
}
"""Operator name -> function (operands, attributes) -> the output, as float32 or as float64 that `run_node` rounds."""
