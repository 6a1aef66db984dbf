#include "plain/kernel.hpp"

#include "plain/makers.hpp"

namespace netsurgery {
namespace {

constexpr plain::MakerEntry kMakers[] = {
    {Operator::kConv, plain::make_convolution},
    {Operator::kLinear, plain::make_linear},
    {Operator::kMaxPool, plain::make_pool},
    {Operator::kReshape, plain::make_reshape},
    {Operator::kAdaptiveAveragePool, plain::make_adaptive_pool},
    {Operator::kConcat, plain::make_concat},
    {Operator::kAveragePool, plain::make_pool},
    {Operator::kTranspose, plain::make_transpose},
    {Operator::kLayerNorm, plain::make_layer_norm},
    {Operator::kMean, plain::make_reduction},
    {Operator::kReduceSum, plain::make_reduction},
    {Operator::kReduceMax, plain::make_reduction},
    {Operator::kReduceMin, plain::make_reduction},
    {Operator::kReduceProd, plain::make_reduction},
    {Operator::kReduceSumSquare, plain::make_reduction},
    {Operator::kReduceL2, plain::make_reduction},
    {Operator::kRmsNorm, plain::make_rms_norm},
    {Operator::kSlice, plain::make_slice},
    {Operator::kSoftmax, plain::make_softmax},
    {Operator::kLogSoftmax, plain::make_softmax},
    {Operator::kPad, plain::make_pad},
    {Operator::kResize, plain::make_resize},
    {Operator::kLrn, plain::make_lrn},
    {Operator::kMatMul, plain::make_matmul},
    {Operator::kAdaptiveMaxPool, plain::make_adaptive_pool},
    {Operator::kEmbedding, plain::make_embedding},
    {Operator::kIntegers, plain::make_integers},
    {Operator::kCast, plain::make_cast},
    {Operator::kWhere, plain::make_where},
    {Operator::kLstm, plain::make_recurrent},
    {Operator::kGru, plain::make_recurrent},
    {Operator::kRnn, plain::make_recurrent},
    {Operator::kDepthToSpace, plain::make_depth_to_space},
    {Operator::kSpaceToDepth, plain::make_space_to_depth},
    {Operator::kInterpolate, plain::make_interpolate},
    {Operator::kGridSample, plain::make_grid_sample},
    {Operator::kRoiAlign, plain::make_roi_align},
    {Operator::kNonMaxSuppression, plain::make_non_max_suppression},
    {Operator::kFirstEntries, plain::make_reshape},  // all that there may be
    {Operator::kGather, plain::make_gather},
    {Operator::kGatherElements, plain::make_gather_elements},
    {Operator::kGatherND, plain::make_gather_nd},
    {Operator::kScatterElements, plain::make_scatter_elements},
    {Operator::kScatterND, plain::make_scatter_nd},
    {Operator::kArgMax, plain::make_arg_max},
    {Operator::kArgMin, plain::make_arg_min},
    {Operator::kTopKValues, plain::make_top_values},
    {Operator::kTopKIndices, plain::make_top_indices},
    {Operator::kCumSum, plain::make_cum_sum},
    {Operator::kRange, plain::make_range},
    {Operator::kExpand, plain::make_expand},
    {Operator::kTile, plain::make_tile},
    {Operator::kTrilu, plain::make_triangle},
    {Operator::kReverse, plain::make_reverse},
};

constexpr bool has_no_function(const OperatorEntry& entry) {
  return entry.work != Work::kEntrywise && entry.work != Work::kBroadcast && entry.gives != Gives::kBool;
}
static_assert(plain::holds_all(kMakers, has_no_function), "a new operator needs a plain kernel");

}  // namespace

std::unique_ptr<PlainKernel> make_plain_kernel(const Graph& graph, const Node& node, const std::vector<Shape>& operands,
                                               const Shape& output, const Kernels& kernels) {
  const plain::Making making{graph, node, operands, output, kernels};
  if (entry_of(node.op).gives == Gives::kBool) return plain::make_comparison(making);
  switch (entry_of(node.op).work) {
    case Work::kEntrywise:
      return plain::make_elementwise(making);
    case Work::kBroadcast:
      return plain::make_binary(making);
    default:
      return plain::maker_in(kMakers, node.op)(making);
  }
}

}  // namespace netsurgery
