"""The table from ATen's overloads to operators of the graph: what a torch model may be made of.

Those whose operands and attributes are the same under other names come from the operator table itself.

Both forms are here: what `torch.export` gives, and the core ATen that `run_decompositions()` makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from netsurgery.graph.from_torch import arithmetic as arithmetic
from netsurgery.graph.from_torch import bags as bag
from netsurgery.graph.from_torch import bits as bit
from netsurgery.graph.from_torch import choices as choice
from netsurgery.graph.from_torch import functions as function
from netsurgery.graph.from_torch import layers as layer
from netsurgery.graph.from_torch import moves as move
from netsurgery.graph.from_torch import patches as patch
from netsurgery.graph.from_torch import places as place
from netsurgery.graph.from_torch import quotients as quotient
from netsurgery.graph.from_torch import recurrent as recurrent
from netsurgery.graph.from_torch import reductions as reduction
from netsurgery.graph.from_torch import running as running
from netsurgery.graph.from_torch import small_matrices as matrix
from netsurgery.graph.from_torch import strided
from netsurgery.graph.from_torch import unpooling as unpooling
from netsurgery.graph.from_torch.call import Call
from netsurgery.graph.from_torch.resize import interpolation, nearest
from netsurgery.graph.operators import OPERATORS

Translation: TypeAlias = Callable[[Call], "str | tuple[str | None, ...]"]
"""Adds nodes to the graph; the names of the outputs, or the only one's. None for outputs that nobody may read."""

_TABLE: tuple[tuple[Translation, str], ...] = (
    (layer.convolution, "conv1d.default conv1d.padding conv2d.default conv2d.padding conv3d.default conv3d.padding"),
    (layer.convolution, "convolution.default"),
    (layer.transposed_convolution, "conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input"),
    (layer.linear, "linear.default"),
    (layer.bilinear, "bilinear.default"),
    (layer.embedding, "embedding.default"),
    *(
        (choice.compared(operator), f"{name}.Tensor {name}.Scalar")
        for operator, name in (
            ("Equal", "eq"),
            ("NotEqual", "ne"),
            ("Less", "lt"),
            ("LessOrEqual", "le"),
            ("Greater", "gt"),
            ("GreaterOrEqual", "ge"),
        )
    ),
    *(
        translation
        for operator, name in (("And", "and"), ("Or", "or"), ("Xor", "xor"))
        for translation in (
            (choice.logical(operator), f"logical_{name}.default"),
            (
                bit.combined(operator),
                f"bitwise_{name}.Tensor bitwise_{name}.Scalar __{name}__.Tensor __{name}__.Scalar",
            ),
        )
    ),
    (choice.opposite, "logical_not.default"),
    (bit.opposite, "bitwise_not.default"),
    (
        bit.shifted(up=True),
        "bitwise_left_shift.Tensor bitwise_left_shift.Tensor_Scalar __lshift__.Tensor __lshift__.Scalar",
    ),
    (
        bit.shifted(up=False),
        "bitwise_right_shift.Tensor bitwise_right_shift.Tensor_Scalar __rshift__.Tensor __rshift__.Scalar",
    ),
    (lambda call: str(matrix.determinant(call)[0]), "linalg_det.default det.default"),
    (matrix.determinant, "_linalg_det.default"),
    (matrix.log_determinant, "logdet.default"),
    (matrix.sign_and_log, "linalg_slogdet.default slogdet.default _linalg_slogdet.default"),
    (lambda call: str(matrix.inverse(call)[0]), "linalg_inv.default inverse.default"),
    (matrix.inverse, "linalg_inv_ex.default"),
    (choice.is_nan, "isnan.default"),
    (choice.is_infinite, "isinf.default"),
    (choice.where, "where.self where.ScalarSelf where.ScalarOther where.Scalar"),
    (choice.masked_fill, "masked_fill.Scalar masked_fill.Tensor"),
    (quotient.quotient(), "div.Tensor_mode div.Scalar_mode"),
    (quotient.quotient("floor"), "floor_divide.default"),
    (quotient.remainder("floor", "Remainder"), "remainder.Tensor remainder.Scalar"),
    (quotient.remainder("trunc", "Fmod"), "fmod.Tensor fmod.Scalar"),
    (place.gather, "gather.default"),
    (place.index_select, "index_select.default"),
    (place.index, "index.Tensor"),
    (place.scatter(), "scatter.src scatter.value scatter.reduce scatter.value_reduce"),
    (place.scatter("add"), "scatter_add.default"),
    (place.scatter(), "scatter_reduce.two"),
    (place.place("ArgMax"), "argmax.default"),
    (place.place("ArgMin"), "argmin.default"),
    (place.extreme("ArgMax", "ReduceMax"), "max.dim"),
    (place.extreme("ArgMin", "ReduceMin"), "min.dim"),
    (place.top, "topk.default"),
    (lambda call: call.operand_as("s", call.kind), "scalar_tensor.default"),
    (place.index_put, "index_put.default _unsafe_index_put.default"),
    (place.masked_scatter, "masked_scatter.default"),
    (place.put_along("source", "add"), "index_add.default"),
    (place.reduce_along, "index_reduce.default"),
    (place.first_of_mask, "nonzero_static.default"),
    (place.put_along("source"), "index_copy.default"),
    (place.put_along("value"), "index_fill.int_Scalar index_fill.int_Tensor"),
    (place.kth, "kthvalue.default median.dim"),
    (place.median_of_all, "median.default"),
    (place.bucket("boundaries", "self"), "bucketize.Tensor"),
    (place.bucket("sorted_sequence", "self"), "searchsorted.Tensor"),
    (reduction.any_of("ReduceMax"), "any.default any.dim any.dims _is_any_true.default"),
    (reduction.any_of("ReduceMin"), "all.default all.dim all.dims _is_all_true.default"),
    (reduction.distances, "cdist.default"),
    (reduction.distance, "dist.default"),
    (patch.unfold, "im2col.default"),
    (patch.fold, "col2im.default"),
    (place.sort, "sort.default sort.stable"),
    (place.argsort, "argsort.default argsort.stable"),
    (place.running_sum, "cumsum.default"),
    (running.product_so_far, "cumprod.default"),
    (running.extreme_so_far("ReduceMax", "ArgMax", -math.inf), "cummax.default"),
    (running.extreme_so_far("ReduceMin", "ArgMin", math.inf), "cummin.default"),
    (running.log_sum_exp_so_far, "logcumsumexp.default"),
    (function.with_sign, "copysign.Tensor copysign.Scalar"),
    (function.has_minus, "signbit.default"),
    (function.number_of_two("Max"), "fmax.default"),
    (function.number_of_two("Min"), "fmin.default"),
    (function.rest_of_error, "erfc.default special_erfc.default"),
    (function.rounded_to, "round.decimals"),
    (function.times_power_of_two, "ldexp.Tensor"),
    (function.hypotenuse, "hypot.default"),
    (function.differences, "diff.default"),
    (function.angle, "atan2.default arctan2.default"),
    (move.diagonal, "diagonal.default"),
    (move.grid, "meshgrid.default meshgrid.indexing"),
    (bag.embedding_bag, "embedding_bag.default embedding_bag.padding_idx"),
    (place.one_hot, "one_hot.default"),
    (layer.matrix_product, "mm.default bmm.default matmul.default mv.default"),
    (layer.matrix_product_and_sum, "addmm.default baddbmm.default"),
    (layer.batch_norm, "batch_norm.default"),
    (layer.batch_norm_of_running, "_native_batch_norm_legit_no_training.default"),
    (layer.batch_norm_without_statistics, "_native_batch_norm_legit.no_stats"),
    (layer.batch_norm_of_a_batch, "_native_batch_norm_legit_functional.default"),
    (layer.batch_norm_of_a_batch, "_batch_norm_with_update_functional.default"),
    (layer.layer_norm, "layer_norm.default native_layer_norm.default"),
    (layer.rms_norm, "rms_norm.default"),
    (layer.group_norm, "group_norm.default native_group_norm.default"),
    (layer.instance_norm, "instance_norm.default"),
    (layer.of_a_batch(unpooling.max_pool), "max_pool1d.default max_pool2d.default max_pool3d.default"),
    (layer.of_a_batch(unpooling.max_pool), "max_pool2d_with_indices.default max_pool3d_with_indices.default"),
    (unpooling.max_unpool, "max_unpool2d.default max_unpool3d.default"),
    (layer.of_a_batch(layer.average_pool), "avg_pool1d.default avg_pool2d.default avg_pool3d.default"),
    (
        layer.of_a_batch(layer.adaptive_pool("AdaptiveAveragePool")),
        "adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default "
        "_adaptive_avg_pool2d.default _adaptive_avg_pool3d.default",
    ),
    (
        layer.of_a_batch(layer.adaptive_pool("AdaptiveMaxPool")),
        "adaptive_max_pool1d.default adaptive_max_pool2d.default adaptive_max_pool3d.default",
    ),
    *((translation, f"{name}.input") for name, translation in recurrent.AS_ONE.items()),
    (recurrent.packed, "lstm.data gru.data rnn_tanh.data rnn_relu.data _pack_padded_sequence.default"),
    (recurrent.cell("Lstm"), "lstm_cell.default"),
    (recurrent.cell("Gru"), "gru_cell.default"),
    (recurrent.cell("Rnn", candidate_activation="tanh"), "rnn_tanh_cell.default"),
    (recurrent.cell("Rnn", candidate_activation="relu"), "rnn_relu_cell.default"),
    (layer.attention, "scaled_dot_product_attention.default"),
    (
        nearest("asymmetric", "floor"),
        "upsample_nearest1d.default upsample_nearest2d.default upsample_nearest3d.default "
        "upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest3d.vec",
    ),
    (
        nearest("half_pixel", "round_prefer_ceil"),
        "_upsample_nearest_exact1d.default _upsample_nearest_exact2d.default _upsample_nearest_exact3d.default "
        "_upsample_nearest_exact1d.vec _upsample_nearest_exact2d.vec _upsample_nearest_exact3d.vec",
    ),
    (
        interpolation("linear"),
        "upsample_linear1d.default upsample_bilinear2d.default upsample_trilinear3d.default "
        "upsample_linear1d.vec upsample_bilinear2d.vec upsample_trilinear3d.vec",
    ),
    (interpolation("cubic"), "upsample_bicubic2d.default upsample_bicubic2d.vec"),
    (interpolation("linear", antialias=True), "_upsample_bilinear2d_aa.default _upsample_bilinear2d_aa.vec"),
    (interpolation("cubic", antialias=True), "_upsample_bicubic2d_aa.default _upsample_bicubic2d_aa.vec"),
    (arithmetic.fixed("Clip", minimum=0.0, maximum=6.0), "relu6.default"),
    (arithmetic.clamp("min_val", "max_val"), "hardtanh.default"),
    (arithmetic.clamp("min", "max"), "clamp.default clamp_min.default clamp_max.default"),
    (arithmetic.randomized_leaky_relu, "rrelu.default"),
    (arithmetic.prelu, "prelu.default _prelu_kernel.default"),
    (arithmetic.along_axis("Softmax"), "softmax.int _softmax.default"),
    (arithmetic.along_axis("LogSoftmax"), "log_softmax.int _log_softmax.default"),
    (arithmetic.binary("Add"), "add.Tensor add.Scalar"),
    (arithmetic.binary("Sub"), "sub.Tensor sub.Scalar"),
    (arithmetic.binary("Sub", swapped=True), "rsub.Tensor rsub.Scalar"),
    (arithmetic.binary("Mul"), "mul.Tensor mul.Scalar"),
    (arithmetic.binary("Div"), "div.Tensor div.Scalar"),
    (arithmetic.negative, "neg.default"),
    (arithmetic.reciprocal, "reciprocal.default"),
    (function.power, "pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar"),
    (function.square, "square.default"),
    (function.inverse_root, "rsqrt.default"),
    (function.logarithm_to(2), "log2.default"),
    (function.logarithm_to(10), "log10.default"),
    (function.power_of_two, "exp2.default"),
    (function.selu, "selu.default"),
    (function.celu, "celu.default"),
    (function.softplus, "softplus.default"),
    (function.log_sigmoid, "log_sigmoid.default log_sigmoid_forward.default"),
    (function.gated, "glu.default"),
    (reduction.histogram, "histc.default"),
    (function.threshold, "threshold.default"),
    (function.between_values, "clamp.Tensor clamp_min.Tensor clamp_max.Tensor"),
    (arithmetic.of_two("Min", "Less"), "minimum.default min.other"),
    (arithmetic.of_two("Max", "Greater"), "maximum.default max.other"),
    (arithmetic.mean, "mean.default mean.dim"),
    (reduction.over_axes("ReduceSum"), "sum.default sum.dim_IntList"),
    (reduction.over_axes("ReduceProd"), "prod.default prod.dim_int"),
    (reduction.over_axes("ReduceMax"), "amax.default max.default"),
    (reduction.over_axes("ReduceMin"), "amin.default min.default"),
    (reduction.norm, "linalg_vector_norm.default norm.ScalarOpt_dim norm.Scalar"),
    (reduction.log_sum_exp, "logsumexp.default"),
    (reduction.variance, "var.correction var.dim var.default"),
    (reduction.deviation, "std.correction std.dim std.default"),
    (reduction.variance_and_mean, "var_mean.correction var_mean.dim var_mean.default"),
    (reduction.deviation_and_mean, "std_mean.correction std_mean.dim std_mean.default"),
    (
        arithmetic.identity,
        "clone.default contiguous.default alias.default detach.default detach_.default positive.default "
        "lift_fresh_copy.default _to_copy.default to.dtype to.dtype_layout to.device to.other type_as.default",
    ),
    (arithmetic.dropout, "dropout.default feature_dropout.default alpha_dropout.default feature_alpha_dropout.default"),
    (arithmetic.dropout, "native_dropout.default"),
    (
        move.view,
        "view.default reshape.default _unsafe_view.default flatten.using_ints unflatten.int unsqueeze.default "
        "squeeze.default squeeze.dim squeeze.dims view_copy.default unsqueeze_copy.default",
    ),
    (move.permute, "permute.default"),
    (move.transpose, "transpose.int"),
    (move.matrix_transpose, "t.default"),
    (move.expand, "expand.default expand_as.default"),
    (move.repeat, "repeat.default tile.default"),
    (move.flip, "flip.default"),
    (move.roll, "roll.default"),
    (move.windows, "unfold.default"),
    (strided.as_strided, "as_strided.default"),
    (move.fill, "fill.Scalar fill.Tensor"),
    (move.copied, "copy.default"),
    (move.put, "slice_scatter.default select_scatter.default"),
    (move.triangle(upper=False), "tril.default"),
    (move.triangle(upper=True), "triu.default"),
    (move.filled(), "full.default full_like.default new_full.default"),
    (move.filled(0.0), "zeros.default zeros_like.default new_zeros.default"),
    (move.filled(1.0), "ones.default ones_like.default new_ones.default"),
    (move.stretch, "arange.default arange.start arange.start_step"),
    (move.concatenate, "cat.default concat.default concatenate.default"),
    (move.stack, "stack.default"),
    (move.cut, "slice.Tensor"),
    (move.select, "select.int"),
    (move.unbind, "unbind.int"),
    (move.chunk, "chunk.default"),
    (move.split, "split.Tensor split.sizes split_with_sizes.default"),
    (move.pad(), "pad.default"),
    (move.pad("constant"), "constant_pad_nd.default"),
    (move.pad("reflect"), "reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default"),
    (move.pad("edge"), "replication_pad1d.default replication_pad2d.default replication_pad3d.default"),
    (move.pixel_shuffle, "pixel_shuffle.default"),
    (move.pixel_unshuffle, "pixel_unshuffle.default"),
    (move.channel_shuffle, "channel_shuffle.default"),
)


TRANSLATIONS: dict[str, Translation] = {
    f"aten.{overload}": translation
    for translation, overloads in (
        *((arithmetic.named(operator), operator.torch) for operator in OPERATORS.values() if operator.torch),
        *_TABLE,
    )
    for overload in overloads.split()
} | {
    **{f"netsurgery.{name}.default": translation for name, translation in recurrent.AS_ONE.items()},
    "netsurgery.walsh_hadamard.default": arithmetic.along_axis("WalshHadamard"),
}
"""ATen overload, as `str` gives it -> its translation; those that stand in for ATen's, too."""
