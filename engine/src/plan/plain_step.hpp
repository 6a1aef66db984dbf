// Plain kernels as steps of a plan.
#pragma once

#include <memory>
#include <vector>

#include "graph/step.hpp"
#include "plain/kernel.hpp"

namespace netsurgery {

/// operands: a buffer for each of the node's, -1 for those that the kernel took or that are left out.
std::unique_ptr<Step> make_plain_step(std::unique_ptr<PlainKernel> kernel, std::vector<int> operands, int output);
std::unique_ptr<Step> make_copy(int from, int to, Size bytes);

}  // namespace netsurgery
