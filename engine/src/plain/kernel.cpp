#include "plain/kernel.hpp"

#include "plain/makers.hpp"

namespace netsurgery {
namespace {

struct Entry {
  Operator op;
  plain::Maker make;
};

// In the order of kOperators.
constexpr Entry kMakers[] = {
    {Operator::kConv, plain::make_convolution},
    {Operator::kRelu, plain::make_elementwise},
    {Operator::kLinear, plain::make_linear},
    {Operator::kMaxPool, plain::make_pool},
    {Operator::kReshape, plain::make_reshape},
    {Operator::kAdd, plain::make_binary},
    {Operator::kAdaptiveAveragePool, plain::make_adaptive_pool},
    {Operator::kMul, plain::make_binary},
    {Operator::kConcat, plain::make_concat},
    {Operator::kClip, plain::make_elementwise},
    {Operator::kHardSwish, plain::make_elementwise},
    {Operator::kSigmoid, plain::make_elementwise},
    {Operator::kHardSigmoid, plain::make_elementwise},
    {Operator::kSilu, plain::make_elementwise},
    {Operator::kAveragePool, plain::make_pool},
    {Operator::kTranspose, plain::make_transpose},
    {Operator::kGelu, plain::make_elementwise},
    {Operator::kLayerNorm, plain::make_layer_norm},
    {Operator::kMean, plain::make_mean},
    {Operator::kSlice, plain::make_slice},
    {Operator::kSoftmax, plain::make_softmax},
    {Operator::kLogSoftmax, plain::make_softmax},
    {Operator::kLeakyRelu, plain::make_elementwise},
    {Operator::kSub, plain::make_binary},
    {Operator::kDiv, plain::make_binary},
    {Operator::kPad, plain::make_pad},
    {Operator::kResize, plain::make_resize},
    {Operator::kTanh, plain::make_elementwise},
    {Operator::kLrn, plain::make_lrn},
    {Operator::kMatMul, plain::make_matmul},
    {Operator::kAdaptiveMaxPool, plain::make_adaptive_pool},
};

constexpr bool every_operator_has_its_maker() {
  constexpr std::size_t count = sizeof(kMakers) / sizeof(kMakers[0]);
  if (count != sizeof(kOperators) / sizeof(kOperators[0])) return false;
  for (std::size_t i = 0; i < count; ++i)
    if (kMakers[i].op != kOperators[i].op) return false;
  return true;
}
static_assert(every_operator_has_its_maker(), "a new operator needs a plain kernel");

}  // namespace

std::unique_ptr<PlainKernel> make_plain_kernel(const Graph& graph, const Node& node, const std::vector<Shape>& operands,
                                               const Shape& output) {
  return kMakers[static_cast<std::size_t>(node.op) - 1].make({graph, node, operands, output});
}

}  // namespace netsurgery
