"""The table of ONNX operators that are computed where all their operands are known, in whatever type these have.

Beside them, whatever is translated is folded by what its nodes compute (`folding.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from netsurgery.graph.from_onnx import determinants
from netsurgery.graph.from_onnx import folders_of_moves as move
from netsurgery.graph.from_onnx import folders_of_numbers as number
from netsurgery.graph.from_onnx import folders_of_quantised as quantised
from netsurgery.graph.from_onnx import signals as signal
from netsurgery.graph.from_onnx import tensors as tensor
from netsurgery.graph.from_onnx.call import Call
from netsurgery.graph.from_onnx.constants import AnyArray

Folder: TypeAlias = Callable[[Call], "AnyArray | list[AnyArray]"]

FOLDERS: dict[str, Folder] = {
    "Abs": number.entrywise(np.abs),
    "Add": number.binary(np.add),
    "And": number.binary(np.logical_and),
    "ArgMax": number.largest_place,
    "ArgMin": number.smallest_place,
    "BitShift": number.shifted,
    "BitwiseAnd": number.binary(np.bitwise_and),
    "BitwiseNot": number.entrywise(np.invert),
    "BitwiseOr": number.binary(np.bitwise_or),
    "BitwiseXor": number.binary(np.bitwise_xor),
    "BlackmanWindow": signal.window(0.42, -0.5, 0.08),
    "Cast": number.cast,
    "CastLike": number.cast_like,
    "Ceil": number.entrywise(np.ceil),
    "Clip": number.clip,
    "Compress": move.compress,
    "Concat": move.concat,
    "ConstantOfShape": move.constant_of_shape,
    "Cos": number.entrywise(np.cos),
    "CumSum": number.running_sum,
    "DequantizeLinear": quantised.dequantized,
    "Det": determinants.of_known,
    "Div": number.binary(number.quotient),
    "Equal": number.binary(np.equal),
    "Erf": number.entrywise(number.error_function),
    "Exp": number.entrywise(np.exp),
    "Expand": move.expand,
    "EyeLike": number.eye_like,
    "Flatten": move.flatten,
    "Floor": number.entrywise(np.floor),
    "Gather": move.gather,
    "GatherElements": move.gather_elements,
    "GatherND": move.gather_nd,
    "Greater": number.binary(np.greater),
    "GreaterOrEqual": number.binary(np.greater_equal),
    "HammingWindow": signal.window(25 / 46, -21 / 46),
    "HannWindow": signal.window(0.5, -0.5),
    "Identity": move.same,
    "IsInf": number.is_infinite,
    "IsNaN": lambda call: np.isnan(move.entries(call, 0)),
    "Less": number.binary(np.less),
    "LessOrEqual": number.binary(np.less_equal),
    "Log": number.entrywise(np.log),
    "Max": number.several(np.maximum),
    "MelWeightMatrix": signal.mel_weights,
    "Min": number.several(np.minimum),
    "Mod": number.remainder,
    "Mul": number.binary(np.multiply),
    "Neg": number.entrywise(np.negative),
    "NonZero": move.non_zero,
    "Not": lambda call: np.logical_not(move.entries(call, 0)),
    "OneHot": number.one_hot,
    "Or": number.binary(np.logical_or),
    "Pow": number.binary(number.power),
    "QuantizeLinear": quantised.quantized,
    "Range": number.stretch,
    "Reciprocal": number.entrywise(np.reciprocal),
    "ReduceL1": number.reduction(lambda x, **axes: np.abs(x).sum(**axes)),
    "ReduceL2": number.reduction(lambda x, **axes: np.sqrt(np.square(x).sum(**axes))),
    "ReduceLogSumExp": number.reduction(number.log_sum_exp),
    "ReduceMax": number.reduction(np.max),
    "ReduceMin": number.reduction(np.min),
    "ReduceProd": number.reduction(np.prod),
    "ReduceSum": number.reduction(np.sum, operand_from=13),
    "ReduceSumSquare": number.reduction(lambda x, **axes: np.square(x).sum(**axes)),
    "Reshape": move.reshape,
    "Round": number.entrywise(np.rint),
    "ScatterND": move.scatter_nd,
    "Shape": tensor.sizes,
    "Sign": number.entrywise(np.sign),
    "Sin": number.entrywise(np.sin),
    "Size": tensor.count,
    "Slice": move.cut,
    "Split": move.split,
    "Sqrt": number.entrywise(np.sqrt),
    "Squeeze": move.squeeze,
    "Sub": number.binary(np.subtract),
    "Sum": number.several(np.add),
    "Tile": move.tile,
    "Transpose": move.transpose,
    "Trilu": move.triangle,
    "Unique": move.unique,
    "Unsqueeze": move.unsqueeze,
    "Where": move.where,
    "Xor": number.binary(np.logical_xor),
}
"""ONNX operator of the default domain -> function (call) -> its output, or its outputs."""
