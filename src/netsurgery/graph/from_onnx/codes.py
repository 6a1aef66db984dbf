"""Translations of ONNX Runtime's operators whose weights are codes of few bits: these are exactly what they mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.from_onnx.tensors import gather


def product_by_codes(call: Call) -> Value:
    """com.microsoft.MatMulNBits (x, codes, scales, zero points, groups, bias): weights are exactly what they mean."""
    given = call.attributes
    inputs, outputs, bits, block = (given[name] for name in ("K", "N", "bits", "block_size"))
    if bits not in (2, 4, 8):
        raise UnsupportedOperatorError(f"has weights of {bits} bits; 2, 4 and 8 are what there is")
    if call.given(4):
        raise UnsupportedOperatorError("has its columns in another order (g_idx)")
    blocks = -(-inputs // block)
    codes = _codes(call.array(1, "weights"), bits).reshape(outputs, blocks * block)
    scales = call.floats(2, "scales").reshape(outputs, blocks)
    zeros: Any = float(2 ** (bits - 1))
    if call.given(3):
        array = call.array(3, "zero points")
        if array.dtype == np.uint8:
            zeros = _codes(array.reshape(outputs, -1), bits)[:, :blocks].astype(np.float64)
        else:
            zeros = np.asarray(array, np.float64).reshape(outputs, blocks)
        zeros = zeros[..., None]
    meant = (codes.reshape(outputs, blocks, block) - zeros) * scales[..., None]
    weight = known(meant.reshape(outputs, -1)[:, :inputs].astype(np.float32), f"{call.operand(1).name}.meant")
    return call.node("Linear", [call.x, weight, call.operand(5) if call.given(5) else None])


def _codes(packed: Any, bits: int) -> Any:
    """Numbers of some bits from bytes, whose lowest bits come first: (rows, as many as there are)."""
    rows = packed.reshape(len(packed), -1).astype(np.uint8)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((rows[..., None] >> shifts) & np.uint8(2**bits - 1)).reshape(len(packed), -1)


def product_by_levels(call: Call) -> Value:
    """com.microsoft.MatMulBnb4 (x, codes, largest magnitudes): weights are levels of FP4 or NF4, scaled in blocks.

    Blocks follow one another through the rows of the weight (N, K), from one row into the next.
    """
    given = call.attributes
    inputs, outputs, block, kind = (given[name] for name in ("K", "N", "block_size", "quant_type"))
    if kind not in _LEVELS:
        raise UnsupportedOperatorError(f"has weights of quant_type {kind}; 0 (FP4) and 1 (NF4) are what there is")
    if given.get("transB", 1) != 1:
        raise UnsupportedOperatorError("has weights that aren't transposed (transB=0)")
    packed = call.array(1, "weights").reshape(-1).astype(np.uint8)
    codes = np.stack([packed >> 4, packed & 15], axis=1).reshape(-1)[: inputs * outputs]
    scales = np.repeat(call.floats(2, "scales").reshape(-1), block)[: codes.size]
    meant = np.asarray(_LEVELS[kind], np.float32)[codes] * scales.astype(np.float32)
    weight = known(meant.reshape(outputs, inputs).astype(np.float32), f"{call.operand(1).name}.meant")
    return call.node("Linear", [call.x, weight])


_FP4 = (0, 5.208333333e-03, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25)
_NF4 = (
    -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
)  # fmt: skip
_LEVELS: dict[int, tuple[float, ...]] = {0: (*_FP4, *(-level for level in _FP4)), 1: _NF4}
"""quant_type -> what each code means: bitsandbytes' floats of four bits, and quantiles of a normal distribution."""


def rows_of_codes(call: Call) -> Value:
    """com.microsoft.GatherBlockQuantized (codes, indices, scales, zero points): entries of a table along an axis."""
    given, codes = call.attributes, call.array(0, "table")
    in_bytes = codes.dtype == np.uint8
    bits = given.get("bits", 4) if in_bytes else 4
    if bits not in (2, 4, 8):
        raise UnsupportedOperatorError(f"has a table of {bits} bits; 2, 4 and 8 are what there is")
    axis = from_front(given.get("quantize_axis", 1), codes.ndim)
    whole = _last_axis_codes(codes, bits) if in_bytes else codes.astype(np.float64)
    scales = call.floats(2, "scales")
    zeros: Any = float(2 ** (bits - 1)) if in_bytes else 0.0
    if call.given(3):
        array = call.array(3, "zero points")
        zeros = _last_axis_codes(array, bits) if array.dtype == np.uint8 else array.astype(np.float64)
        zeros = _in_blocks(zeros[..., : scales.shape[-1]], axis, given.get("block_size", 128), whole.shape)
    meant = (whole - zeros) * _in_blocks(scales, axis, given.get("block_size", 128), whole.shape)
    table = known(meant.astype(np.float32), f"{call.x.name}.meant")
    looked_up = replace(
        call, operands=[table, call.operand(1)], attributes={"axis": given.get("gather_axis", 0)}
    )  # which answers with nodes of this call
    return gather(looked_up)


def _last_axis_codes(packed: AnyArray, bits: int) -> Any:
    """Numbers of some bits from bytes, of which several lie along the last axis."""
    return _codes(packed.reshape(-1, packed.shape[-1]), bits).reshape(*packed.shape[:-1], -1).astype(np.float64)


def _in_blocks(given: AnyArray, axis: int, block: int, shape: tuple[int, ...]) -> AnyArray:
    """A number for each block of entries along an axis, repeated for each of them."""
    cut = (slice(None),) * axis + (slice(shape[axis]),)
    return np.repeat(given, block, axis)[cut]
