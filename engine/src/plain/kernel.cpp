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
    {Operator::kMean, plain::make_mean},
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
