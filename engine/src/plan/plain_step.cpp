#include "plan/plain_step.hpp"

#include <cstring>

#include "lanes/layout.hpp"

namespace netsurgery {
namespace {

/// A plain kernel as a step; its operands are buffers.
class PlainStep final : public Step {
 public:
  PlainStep(std::unique_ptr<PlainKernel> kernel, std::vector<int> operands, int output)
      : kernel_(std::move(kernel)), operands_(std::move(operands)), output_(output) {}
  Size pieces() const override { return kernel_->pieces(); }
  Size scratch() const override {
    return addresses() + static_cast<Size>(operands_.size() * sizeof(float*) / sizeof(float));
  }
  bool may_fail() const override { return kernel_->may_fail(); }
  std::string fault() const override { return kernel_->fault(); }
  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const float** inputs = reinterpret_cast<const float**>(scratch + addresses());
    for (std::size_t i = 0; i < operands_.size(); ++i) inputs[i] = operands_[i] < 0 ? nullptr : buffers[operands_[i]];
    kernel_->run(inputs, buffers[output_], begin, end, scratch);
  }

 private:
  /// Where the operands' addresses lie in the scratch memory.
  Size addresses() const { return (kernel_->scratch() + kVector - 1) / kVector * kVector; }

  std::unique_ptr<PlainKernel> kernel_;
  std::vector<int> operands_;
  int output_;
};

class Copy final : public Step {
 public:
  Copy(int from, int to, Size bytes) : from_(from), to_(to), bytes_(bytes) {}
  Size pieces() const override { return 1; }
  void run(Buffers buffers, Size, Size, float*) const override {
    std::memcpy(buffers[to_], buffers[from_], static_cast<std::size_t>(bytes_));
  }

 private:
  int from_, to_;
  Size bytes_;
};

}  // namespace

std::unique_ptr<Step> make_plain_step(std::unique_ptr<PlainKernel> kernel, std::vector<int> operands, int output) {
  return std::make_unique<PlainStep>(std::move(kernel), std::move(operands), output);
}

std::unique_ptr<Step> make_copy(int from, int to, Size bytes) { return std::make_unique<Copy>(from, to, bytes); }

}  // namespace netsurgery
