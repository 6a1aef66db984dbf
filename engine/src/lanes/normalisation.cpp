#include "lanes/normalisation.hpp"

namespace netsurgery {
namespace {

/// Pieces: rows of tiles in all groups. What lies in the halo is worked on too, and means nothing.
class Normalisation final : public Step {
 public:
  Normalisation(const Kernels& kernels, const NormalisedRow& row, int input, int output, const Layout& layout)
      : kernels_(kernels), row_(row), input_(input), output_(output), layout_(layout) {
    row_.channels = layout.image.channels;
    row_.channel = layout.channel_floats();
  }

  Size pieces() const override { return layout_.groups() * layout_.slices() * layout_.rows(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      NormalisedRow row = row_;
      row.input = buffers[input_] + piece * layout_.row_floats();
      row.output = buffers[output_] + piece * layout_.row_floats();
      kernels_.normalise(row);
    }
  }

 private:
  const Kernels& kernels_;
  NormalisedRow row_;
  int input_, output_;
  Layout layout_;
};

}  // namespace

std::unique_ptr<Step> make_normalisation(const Kernels& kernels, const NormalisedRow& row, int input, int output,
                                         const Layout& layout) {
  return std::make_unique<Normalisation>(kernels, row, input, output, layout);
}

}  // namespace netsurgery
