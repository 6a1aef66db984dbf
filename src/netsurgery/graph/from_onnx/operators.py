"""The table from ONNX operators to operators of the graph: what an ONNX model may be made of.

Those whose operands and attributes are the same under other names come from the operator table itself. Other operators
may stand in a model too, as long as what they compute doesn't depend on its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from netsurgery.graph.from_onnx import arithmetic as arithmetic
from netsurgery.graph.from_onnx import attention, bits, codes, determinants, found, recurrent, unpooling
from netsurgery.graph.from_onnx import boxes as box
from netsurgery.graph.from_onnx import layers as layer
from netsurgery.graph.from_onnx import normalisations as norm
from netsurgery.graph.from_onnx import pictures as picture
from netsurgery.graph.from_onnx import places as place
from netsurgery.graph.from_onnx import signals as signal
from netsurgery.graph.from_onnx import tensors as tensor
from netsurgery.graph.from_onnx.call import Call, Value
from netsurgery.graph.from_onnx.einsum import einsum
from netsurgery.graph.from_onnx.sequences import SEQUENCES
from netsurgery.graph.operators import OPERATORS

Translation: TypeAlias = Callable[[Call], "Value | Sequence[Value | None]"]
"""Answers with nodes; returns the outputs, or the only one that it can give. None for outputs that nothing reads."""

TRANSLATIONS: dict[str, Translation] = {
    **{operator.onnx: layer.named(operator) for operator in OPERATORS.values() if operator.onnx},
    **SEQUENCES,
    "Abs": arithmetic.absolute,
    "AffineGrid": box.affine_grid,
    "Attention": attention.standard,
    "AveragePool": layer.pool("AveragePool"),
    "BatchNormalization": layer.batch_norm,
    "Cast": tensor.cast,
    "CastLike": tensor.cast_like,
    "Celu": arithmetic.celu,
    "BitwiseAnd": bits.bitwise("And"),
    "BitwiseNot": arithmetic.bitwise_not,
    "BitwiseOr": bits.bitwise("Or"),
    "BitwiseXor": bits.bitwise("Xor"),
    "CenterCropPad": box.center_crop_pad,
    "Clip": layer.clip,
    "Col2Im": box.col2im,
    "Compress": place.compress,
    "Concat": tensor.concat,
    "ConstantOfShape": tensor.constant_of_shape,
    "Conv": layer.conv,
    "ConvTranspose": picture.conv_transpose,
    "DFT": signal.dft,
    "DeformConv": box.deformable_convolution,
    "Det": determinants.determinant,
    "DepthToSpace": picture.depth_to_space,
    "CumSum": place.running_sum,
    "Dropout": tensor.dropout,
    "Einsum": einsum,
    "Elu": arithmetic.elu,
    "Expand": tensor.expand,
    "EyeLike": tensor.eye_like,
    "Flatten": tensor.flatten,
    "GRU": recurrent.gru,
    "Gather": tensor.gather,
    "Gemm": layer.gemm,
    "GlobalAveragePool": layer.global_pool("AdaptiveAveragePool"),
    "GlobalLpPool": layer.global_lp_pool,
    "GlobalMaxPool": layer.global_pool("AdaptiveMaxPool"),
    "GroupNormalization": norm.group_norm,
    "Hardmax": layer.hardmax,
    "Identity": tensor.same,
    "InstanceNormalization": norm.instance_norm,
    "LRN": layer.lrn,
    "LSTM": recurrent.lstm,
    "LayerNormalization": layer.layer_norm,
    "LogSoftmax": layer.softmax("LogSoftmax"),
    "LpNormalization": norm.lp_norm,
    "LpPool": layer.lp_pool,
    "MatMul": layer.matmul,
    "Max": arithmetic.several("Max"),
    "MaxPool": unpooling.max_pool,
    "MaxUnpool": unpooling.max_unpool,
    "Mean": arithmetic.mean_of_several,
    "MeanVarianceNormalization": norm.mean_variance_norm,
    "Min": arithmetic.several("Min"),
    "Mod": arithmetic.remainder,
    "NonMaxSuppression": found.non_max_suppression,
    "OneHot": place.one_hot,
    "Neg": arithmetic.negative,
    "PRelu": arithmetic.prelu,
    "Pad": tensor.pad,
    "Pow": arithmetic.power,
    "RMSNormalization": norm.rms_norm,
    "RNN": recurrent.rnn,
    "Range": tensor.stretch,
    "Reciprocal": arithmetic.reciprocal,
    "ReduceL1": arithmetic.reduction("ReduceSum", before=arithmetic.magnitude),
    "ReduceL2": arithmetic.reduction("ReduceL2", of_one=arithmetic.magnitude),
    "ReduceLogSum": arithmetic.reduction("ReduceSum", after=arithmetic.logarithm),
    "ReduceLogSumExp": arithmetic.log_sum_exp,
    "ReduceMax": arithmetic.reduction("ReduceMax"),
    "ReduceMean": arithmetic.reduction("Mean"),
    "ReduceMin": arithmetic.reduction("ReduceMin"),
    "ReduceProd": arithmetic.reduction("ReduceProd"),
    "ReduceSum": arithmetic.reduction("ReduceSum", operand_from=13),
    "ReduceSumSquare": arithmetic.reduction("ReduceSumSquare", of_one=arithmetic.square),
    "Relu": arithmetic.relu,
    "Reshape": tensor.reshape,
    "Resize": picture.resize,
    "ReverseSequence": place.reverse_sequence,
    "RoiAlign": box.roi_align,
    "STFT": signal.stft,
    "Selu": arithmetic.selu,
    "Shape": tensor.shape,
    "Sign": arithmetic.sign,
    "Size": tensor.size,
    "Slice": lambda call: found.first_entries(call) or tensor.cut(call),
    "Softmax": layer.softmax("Softmax"),
    "SpaceToDepth": picture.space_to_depth,
    "Split": tensor.split,
    "Squeeze": tensor.squeeze,
    "Sum": arithmetic.several("Add"),
    "Swish": layer.swish,
    "TopK": place.top,
    "Tile": tensor.tile,
    "Transpose": tensor.transpose,
    "Trilu": tensor.triangle,
    "Unsqueeze": tensor.unsqueeze,
    "Where": tensor.where,
}
"""ONNX operator of the default domain -> translation."""

MICROSOFT: dict[str, Translation] = {
    "Attention": attention.of_one_input,
    "GatherBlockQuantized": codes.rows_of_codes,
    "GroupQueryAttention": attention.of_groups,
    "MatMulBnb4": codes.product_by_levels,
    "MatMulNBits": codes.product_by_codes,
    "MultiHeadAttention": attention.of_several_inputs,
    "RotaryEmbedding": attention.rotary,
}
"""ONNX Runtime's own operators -> translation; others of them are rewritten before (`rewriting/fused.py`)."""
