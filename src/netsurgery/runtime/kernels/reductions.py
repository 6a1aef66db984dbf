"""Sums along axes: means, normalisation, softmax and the Walsh-Hadamard transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netsurgery.runtime.kernels.kernel import Attributes, Doubles, Kernel, Operands, elementwise, mean


def _layer_norm(operands: Operands, attributes: Attributes) -> Doubles:
    x, scale, bias = (*operands, None, None)[:3]
    axes = tuple(range(attributes["axis"], x.ndim))
    centred = x - mean(x, axis=axes, keepdims=True)
    variance = mean(centred**2, axis=axes, keepdims=True)
    result: Doubles = centred / np.sqrt(variance + attributes["epsilon"])
    result = result if scale is None else result * scale
    return result if bias is None else result + bias


def _rms_norm(operands: Operands, attributes: Attributes) -> Doubles:
    x, scale = (*operands, None)[:2]
    axes = tuple(range(attributes["axis"], x.ndim))
    wide: Doubles = x.astype(np.float64)
    result: Doubles = wide / np.sqrt(np.mean(wide**2, axis=axes, keepdims=True) + attributes["epsilon"])
    return result if scale is None else result * scale


def _over_axes(function: Callable[..., Any]) -> Kernel:
    """A reduction, which gets float64."""
    return lambda operands, a: function(operands[0].astype(np.float64), axis=a["axes"], keepdims=a["keepdims"])


def _sum_of_squares(x: Doubles, **axes: Any) -> Doubles:
    result: Doubles = np.square(x).sum(**axes)
    return result


def _softmax(x: Doubles, attributes: Attributes) -> Doubles:
    powers: Doubles = np.exp(x - x.max(attributes["axis"], keepdims=True))
    total: Doubles = powers.sum(attributes["axis"], keepdims=True)
    return powers / total


def _log_softmax(x: Doubles, attributes: Attributes) -> Doubles:
    shifted: Doubles = x - x.max(attributes["axis"], keepdims=True)
    total: Doubles = np.exp(shifted).sum(attributes["axis"], keepdims=True)
    return shifted - np.log(total)


def _lrn(x: Doubles, attributes: Attributes) -> Doubles:
    size, channels = attributes["size"], x.shape[1]
    before, after = (size - 1) // 2, size // 2
    sums = np.empty_like(x)
    for c in range(channels):
        sums[:, c] = np.square(x[:, max(0, c - before) : c + after + 1]).sum(1)
    scale: Doubles = (attributes["bias"] + attributes["alpha"] / size * sums) ** attributes["beta"]
    return x / scale


def _walsh_hadamard(x: Doubles, axis: int) -> Doubles:
    """log2(size) times sums and differences of pairs, half as far apart each time."""
    size = x.shape[axis]
    result = np.moveaxis(x, axis, -1)
    shape, half = result.shape, size // 2
    while half:
        pairs = result.reshape(*shape[:-1], -1, 2, half)
        first, second = pairs[..., 0, :], pairs[..., 1, :]
        result = np.stack([first + second, first - second], axis=-2)
        half //= 2
    return np.moveaxis(result.reshape(shape), -1, axis)


KERNELS: dict[str, Kernel] = {
    "LayerNorm": _layer_norm,
    "Mean": lambda operands, a: mean(operands[0], axis=a["axes"], keepdims=a["keepdims"]),
    "ReduceSum": _over_axes(np.sum),
    "ReduceMax": _over_axes(np.max),
    "ReduceMin": _over_axes(np.min),
    "ReduceProd": _over_axes(np.prod),
    "ReduceSumSquare": _over_axes(_sum_of_squares),
    "ReduceL2": _over_axes(lambda x, **axes: np.sqrt(_sum_of_squares(x, **axes))),
    "RmsNorm": _rms_norm,
    "Softmax": elementwise(_softmax),
    "LogSoftmax": elementwise(_log_softmax),
    "Lrn": elementwise(_lrn),
    "WalshHadamard": elementwise(lambda x, a: _walsh_hadamard(x, a["axis"])),
}
