"""Translations of ONNX's Fourier transforms, as products with tables of sines, and the windows and scales around them.

Complex numbers are pairs along a last axis; a real signal has one number there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.from_onnx.traced import Traced
from netsurgery.graph.waves import times_counted, waves

Doubles = npt.NDArray[np.float64]


def dft(call: Call) -> Value:
    """DFT along one axis: one product, with both parts of each number side by side."""
    x, rank = call.x, len(call.x.shape)
    axis = _axis(call)
    size, parts = _fixed(x.shape[axis]), int(x.shape[-1])
    inverse, half = bool(call.attributes.get("inverse", 0)), bool(call.attributes.get("onesided", 0))
    default = 2 * (size - 1) if inverse and half else size
    count = int(call.array(1, "dft_length").item()) if call.given(1) else default
    if count < 1:
        raise UnsupportedOperatorError(f"transforms {count} entries; at least 1 is needed")
    table = _to_reals(size, parts, count) if inverse and half else _table(size, parts, count, inverse, half)
    rows, pair = table.shape[0], table.shape[1]
    order = [*(place for place in range(rank - 1) if place != axis), axis, rank - 1]
    outer = tuple(x.shape[place] for place in order[:-2])
    y = x if order == list(range(rank)) else call.node("Transpose", [x], order=tuple(order))
    y = call.reshaped(y, (*outer, size * parts))
    weight = known(table.reshape(rows * pair, size * parts).astype(np.float32), f"{call.where or 'dft'}.waves")
    y = call.reshaped(call.node("Linear", [y, weight]), (*outer, rows, pair))
    if order == list(range(rank)):
        return y
    return call.node("Transpose", [y], order=tuple(order.index(place) for place in range(rank)))


def _axis(call: Call) -> int:
    """An attribute before opset 20 (default 1), an operand since (default -2); the last axis holds the parts."""
    rank = len(call.x.shape)
    if call.opset < 20:
        axis = call.attributes.get("axis", 1)
    else:
        axis = int(call.array(2, "axis").item()) if call.given(2) else -2
    axis = from_front(axis, rank)
    if axis == rank - 1:
        raise UnsupportedOperatorError("transforms along the axis of the real and imaginary parts")
    return axis


def _fixed(size: int) -> int:
    if isinstance(size, Traced):
        raise UnsupportedOperatorError("transforms along an open axis; fix its size (input_shapes=, --input-shape)")
    return int(size)


def _table(size: int, parts: int, count: int, inverse: bool, half: bool) -> Doubles:
    """(rows, 2, size, parts): what each part of each row takes of each part of each entry. What is missing is 0."""
    rows = count // 2 + 1 if half else count
    cosines, sines = waves(rows, count)
    if inverse:
        cosines, sines = cosines / count, -sines / count
    kept = min(size, count)
    table = np.zeros((rows, 2, size, parts))
    table[:, 0, :kept, 0], table[:, 1, :kept, 0] = cosines[:, :kept], -sines[:, :kept]
    if parts == 2:
        table[:, 0, :kept, 1], table[:, 1, :kept, 1] = sines[:, :kept], cosines[:, :kept]
    return table


def _to_reals(size: int, parts: int, count: int) -> Doubles:
    """(count, 1, size, parts): back from the first half of a real signal's transform."""
    kept = min(size, count // 2 + 1)
    cosines, sines = (wave.T * times_counted(kept, count) / count for wave in waves(kept, count))
    table = np.zeros((count, 1, size, parts))
    table[:, 0, :kept, 0] = cosines
    if parts == 2:
        table[:, 0, :kept, 1] = -sines
    return table


def stft(call: Call) -> Value:
    """STFT (signal, frame_step, window, frame_length): a convolution by windowed sines, a frame at each step."""
    x, step = call.x, int(call.array(1, "frame_step").item())
    window = call.floats(2, "window") if call.given(2) else None
    count = int(call.array(3, "frame_length").item()) if call.given(3) else None
    if count is None:
        if window is None:
            raise UnsupportedOperatorError("has neither a window nor a frame_length")
        count = len(window)
    shape = x.shape if len(x.shape) == 3 else (*x.shape, 1)
    batch, size, parts = shape
    half = bool(call.attributes.get("onesided", 1))
    if half and parts == 2:
        raise UnsupportedOperatorError("takes one side of a complex signal's transform, which needs both")
    table = _table(count, parts, count, inverse=False, half=half)
    if window is not None:
        table = table * window.reshape(-1, 1)
    weight = table.reshape(-1, count, parts).swapaxes(1, 2).astype(np.float32)
    x = call.node("Transpose", [x], order=(0, 2, 1)) if parts == 2 else call.reshaped(x, (batch, 1, size))
    y = call.node("Conv", [x, known(weight, f"{call.where or 'stft'}.waves")], strides=(step,))
    y = call.node("Transpose", [y], order=(0, 2, 1))
    return call.reshaped(y, (*y.shape[:2], table.shape[0], 2))


# What is known beforehand


def window(*shares: float) -> Callable[[Call], AnyArray]:
    """HannWindow, HammingWindow, BlackmanWindow: sums of cosines, by the share of each."""

    def fold(call: Call) -> AnyArray:
        size = int(call.array(0, "size").item())
        period = size if call.attributes.get("periodic", 1) else size - 1
        angles = np.arange(size) * (2 * np.pi / max(period, 1))
        values = sum(share * np.cos(times * angles) for times, share in enumerate(shares))
        return np.asarray(values, _kind(call))

    return fold


def mel_weights(call: Call) -> AnyArray:
    """MelWeightMatrix (bands, dft_length, sample_rate, lowest and highest frequency): (bins, bands), triangles."""
    bands, count, rate = (int(call.array(place, "size").item()) for place in range(3))
    lowest, highest = (float(call.array(place, "edge").item()) for place in (3, 4))
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (lowest, highest))
    mels = low + np.arange(bands + 2) * ((high - low) / (bands + 2))
    edges = ((count + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate).astype(np.int64)
    bins = np.arange(count // 2 + 1)[:, None]
    before, middle, behind = edges[:-2], edges[1:-1], edges[2:]
    rising = np.where(middle > before, (bins - before) / np.maximum(middle - before, 1), 1.0)
    falling = (behind - bins) / np.maximum(behind - middle, 1)
    up = (bins >= before) & (bins <= middle)
    down = (bins >= middle) & (bins < behind)
    return np.asarray(np.where(down, falling, np.where(up, rising, 0.0)), _kind(call))


def _kind(call: Call) -> np.dtype[Any]:
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(call.attributes.get("output_datatype", 1)))
