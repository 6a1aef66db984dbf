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
};

constexpr bool has_no_function(const OperatorEntry& entry) {
  return entry.work != Work::kEntrywise && entry.work != Work::kBroadcast;
}
static_assert(plain::holds_all(kMakers, has_no_function), "a new operator needs a plain kernel");

}  // namespace

std::unique_ptr<PlainKernel> make_plain_kernel(const Graph& graph, const Node& node, const std::vector<Shape>& operands,
                                               const Shape& output) {
  const plain::Making making{graph, node, operands, output};
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
