"""Constants that are quantised, and what they stand for."""

from __future__ import annotations

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, from_front
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.from_onnx.folders_of_moves import entries


def dequantized(call: Call) -> AnyArray:
    """DequantizeLinear: (x - zero point) * scale, the scale one number, one for each place of an axis, or of blocks."""
    x, scale = entries(call, 0), entries(call, 1)
    zero = entries(call, 2) if call.given(2) else np.zeros_like(scale, x.dtype)
    kind = call.attributes.get("output_dtype", 0)
    result = scale.dtype if not kind else onnx.helper.tensor_dtype_to_np_dtype(kind)
    # In float64 the difference of any two whole numbers of 32 bits, and its product with a float32, are exact.
    steps = _spread(call, scale, x).astype(np.float64)
    return ((x.astype(np.float64) - _spread(call, zero, x).astype(np.float64)) * steps).astype(result)


_WHOLE = {np.dtype(name) for name in ("int8", "uint8", "int16", "uint16")}


def quantized(call: Call) -> AnyArray:
    """QuantizeLinear: x / scale rounded to the nearest, halves to even, plus the zero point, kept within the type."""
    x, scale = entries(call, 0), entries(call, 1)
    to = call.attributes.get("output_dtype", 0)
    asked = np.dtype(np.uint8) if not to else onnx.helper.tensor_dtype_to_np_dtype(to)
    zero = entries(call, 2) if call.given(2) else np.zeros_like(scale, asked)
    if zero.dtype not in _WHOLE:
        raise UnsupportedOperatorError(f"quantises a constant to {zero.dtype}; whole numbers of 8 or 16 bits are had")
    bounds = np.iinfo(zero.dtype)
    nearest = np.rint((x / _spread(call, scale, x)).astype(x.dtype)).astype(np.float64)
    moved = nearest + _spread(call, zero, x).astype(np.float64)
    return np.asarray(np.clip(moved, bounds.min, bounds.max), zero.dtype)


def _spread(call: Call, given: AnyArray, x: AnyArray) -> AnyArray:
    """Scales or zero points, so that they broadcast to x: along an axis since opset 13, in blocks since 21."""
    if given.size == 1:
        return given.reshape(())
    if call.opset < 13:
        raise UnsupportedOperatorError("has scales for an axis, which is no part of ONNX before opset 13")
    axis, block = from_front(call.attributes.get("axis", 1), x.ndim), call.attributes.get("block_size", 0)
    if block:
        repeated = np.repeat(given, block, axis)
        return repeated[tuple(slice(size) for size in x.shape)]
    return given.reshape([-1 if one == axis else 1 for one in range(x.ndim)])
