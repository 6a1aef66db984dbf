// Who makes the plain kernel of which operator, made from netsurgery/graph/operators/: don't edit, run
//
//     python -m generators
//
// Each function stands in the file of its kernel; one that is missing is named by the linker.
#pragma once

#include "plain/makers.hpp"

namespace netsurgery::plain {

Kernel make_conv(const Making& making);
Kernel make_elementwise(const Making& making);
Kernel make_linear(const Making& making);
Kernel make_max_pool(const Making& making);
Kernel make_reshape(const Making& making);
Kernel make_binary(const Making& making);
Kernel make_adaptive_average_pool(const Making& making);
Kernel make_concat(const Making& making);
Kernel make_average_pool(const Making& making);
Kernel make_transpose(const Making& making);
Kernel make_layer_norm(const Making& making);
Kernel make_reduction(const Making& making);
Kernel make_slice(const Making& making);
Kernel make_softmax(const Making& making);
Kernel make_log_softmax(const Making& making);
Kernel make_pad(const Making& making);
Kernel make_resize(const Making& making);
Kernel make_lrn(const Making& making);
Kernel make_mat_mul(const Making& making);
Kernel make_adaptive_max_pool(const Making& making);
Kernel make_embedding(const Making& making);
Kernel make_integers(const Making& making);
Kernel make_cast(const Making& making);
Kernel make_comparison(const Making& making);
Kernel make_where(const Making& making);
Kernel make_gather(const Making& making);
Kernel make_gather_elements(const Making& making);
Kernel make_gather_nd(const Making& making);
Kernel make_scatter_elements(const Making& making);
Kernel make_scatter_nd(const Making& making);
Kernel make_arg_max(const Making& making);
Kernel make_arg_min(const Making& making);
Kernel make_top_k_values(const Making& making);
Kernel make_top_k_indices(const Making& making);
Kernel make_cum_sum(const Making& making);
Kernel make_lstm(const Making& making);
Kernel make_gru(const Making& making);
Kernel make_rnn(const Making& making);
Kernel make_rms_norm(const Making& making);
Kernel make_depth_to_space(const Making& making);
Kernel make_space_to_depth(const Making& making);
Kernel make_interpolate(const Making& making);
Kernel make_grid_sample(const Making& making);
Kernel make_roi_align(const Making& making);
Kernel make_non_max_suppression(const Making& making);
Kernel make_first_entries(const Making& making);
Kernel make_range(const Making& making);
Kernel make_expand(const Making& making);
Kernel make_tile(const Making& making);
Kernel make_trilu(const Making& making);
Kernel make_reverse(const Making& making);
Kernel make_quantize(const Making& making);
Kernel make_walsh_hadamard(const Making& making);
Kernel make_quantize_planes(const Making& making);

inline constexpr MakerEntry kMakers[] = {
    {Operator::kConv, make_conv},
    {Operator::kRelu, make_elementwise},
    {Operator::kLinear, make_linear},
    {Operator::kMaxPool, make_max_pool},
    {Operator::kReshape, make_reshape},
    {Operator::kAdd, make_binary},
    {Operator::kAdaptiveAveragePool, make_adaptive_average_pool},
    {Operator::kMul, make_binary},
    {Operator::kConcat, make_concat},
    {Operator::kClip, make_elementwise},
    {Operator::kHardSwish, make_elementwise},
    {Operator::kSigmoid, make_elementwise},
    {Operator::kHardSigmoid, make_elementwise},
    {Operator::kSilu, make_elementwise},
    {Operator::kAveragePool, make_average_pool},
    {Operator::kTranspose, make_transpose},
    {Operator::kGelu, make_elementwise},
    {Operator::kLayerNorm, make_layer_norm},
    {Operator::kMean, make_reduction},
    {Operator::kSlice, make_slice},
    {Operator::kSoftmax, make_softmax},
    {Operator::kLogSoftmax, make_log_softmax},
    {Operator::kLeakyRelu, make_elementwise},
    {Operator::kSub, make_binary},
    {Operator::kDiv, make_binary},
    {Operator::kPad, make_pad},
    {Operator::kResize, make_resize},
    {Operator::kTanh, make_elementwise},
    {Operator::kLrn, make_lrn},
    {Operator::kMatMul, make_mat_mul},
    {Operator::kAdaptiveMaxPool, make_adaptive_max_pool},
    {Operator::kAbs, make_elementwise},
    {Operator::kEmbedding, make_embedding},
    {Operator::kIntegers, make_integers},
    {Operator::kCast, make_cast},
    {Operator::kEqual, make_comparison},
    {Operator::kNotEqual, make_comparison},
    {Operator::kLess, make_comparison},
    {Operator::kLessOrEqual, make_comparison},
    {Operator::kGreater, make_comparison},
    {Operator::kGreaterOrEqual, make_comparison},
    {Operator::kAnd, make_comparison},
    {Operator::kOr, make_comparison},
    {Operator::kXor, make_comparison},
    {Operator::kNot, make_comparison},
    {Operator::kIsNaN, make_comparison},
    {Operator::kIsInf, make_comparison},
    {Operator::kWhere, make_where},
    {Operator::kGather, make_gather},
    {Operator::kGatherElements, make_gather_elements},
    {Operator::kGatherND, make_gather_nd},
    {Operator::kScatterElements, make_scatter_elements},
    {Operator::kScatterND, make_scatter_nd},
    {Operator::kArgMax, make_arg_max},
    {Operator::kArgMin, make_arg_min},
    {Operator::kTopKValues, make_top_k_values},
    {Operator::kTopKIndices, make_top_k_indices},
    {Operator::kCumSum, make_cum_sum},
    {Operator::kLstm, make_lstm},
    {Operator::kGru, make_gru},
    {Operator::kRnn, make_rnn},
    {Operator::kExp, make_elementwise},
    {Operator::kLog, make_elementwise},
    {Operator::kSqrt, make_elementwise},
    {Operator::kErf, make_elementwise},
    {Operator::kSin, make_elementwise},
    {Operator::kCos, make_elementwise},
    {Operator::kTan, make_elementwise},
    {Operator::kAsin, make_elementwise},
    {Operator::kAcos, make_elementwise},
    {Operator::kAtan, make_elementwise},
    {Operator::kSinh, make_elementwise},
    {Operator::kCosh, make_elementwise},
    {Operator::kAsinh, make_elementwise},
    {Operator::kAcosh, make_elementwise},
    {Operator::kAtanh, make_elementwise},
    {Operator::kSign, make_elementwise},
    {Operator::kFloor, make_elementwise},
    {Operator::kCeil, make_elementwise},
    {Operator::kRound, make_elementwise},
    {Operator::kTrunc, make_elementwise},
    {Operator::kExpm1, make_elementwise},
    {Operator::kLog1p, make_elementwise},
    {Operator::kElu, make_elementwise},
    {Operator::kSoftplus, make_elementwise},
    {Operator::kSoftsign, make_elementwise},
    {Operator::kMish, make_elementwise},
    {Operator::kThresholdedRelu, make_elementwise},
    {Operator::kShrink, make_elementwise},
    {Operator::kPow, make_binary},
    {Operator::kMin, make_binary},
    {Operator::kMax, make_binary},
    {Operator::kRemainder, make_binary},
    {Operator::kFmod, make_binary},
    {Operator::kPRelu, make_binary},
    {Operator::kReduceSum, make_reduction},
    {Operator::kReduceMax, make_reduction},
    {Operator::kReduceMin, make_reduction},
    {Operator::kReduceProd, make_reduction},
    {Operator::kReduceSumSquare, make_reduction},
    {Operator::kReduceL2, make_reduction},
    {Operator::kRmsNorm, make_rms_norm},
    {Operator::kDepthToSpace, make_depth_to_space},
    {Operator::kSpaceToDepth, make_space_to_depth},
    {Operator::kInterpolate, make_interpolate},
    {Operator::kGridSample, make_grid_sample},
    {Operator::kRoiAlign, make_roi_align},
    {Operator::kNonMaxSuppression, make_non_max_suppression},
    {Operator::kFirstEntries, make_first_entries},
    {Operator::kRange, make_range},
    {Operator::kExpand, make_expand},
    {Operator::kTile, make_tile},
    {Operator::kTrilu, make_trilu},
    {Operator::kReverse, make_reverse},
    {Operator::kQuantize, make_quantize},
    {Operator::kWalshHadamard, make_walsh_hadamard},
    {Operator::kQuantizePlanes, make_quantize_planes},
};

}  // namespace netsurgery::plain
