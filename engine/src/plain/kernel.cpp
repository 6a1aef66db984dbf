#include "plain/kernel.hpp"

#include "plain/kernel_table.hpp"

namespace netsurgery {

std::unique_ptr<PlainKernel> make_plain_kernel(const Graph& graph, const Node& node, const std::vector<Shape>& operands,
                                               const Shape& output, const Kernels& kernels) {
  return plain::maker_in(plain::kMakers, node.op)({graph, node, operands, output, kernels});
}

}  // namespace netsurgery
