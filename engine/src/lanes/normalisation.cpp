#include "lanes/normalisation.hpp"

namespace netsurgery {
namespace {

/// Pieces: rows of tiles in all groups. What lies in the halo is worked on too, and means nothing.
class Normalisation final : public Step {
 public:
  Normalisation(const Kernels& kernels, const NormalisedRow& row, const Lying& input, const Lying& output)
      : kernels_(kernels), row_(row), input_(input), output_(output) {
    row_.channels = input.layout.image.channels;
    row_.channel = input.layout.channel_floats();
  }

  Size pieces() const override { return input_.layout.groups() * input_.layout.slices() * input_.layout.rows(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      NormalisedRow row = row_;
      row.input = row_of(buffers, input_, piece);
      row.output = row_of(buffers, output_, piece);
      kernels_.normalise(row);
    }
  }

 private:
  static float* row_of(Buffers buffers, const Lying& value, Size piece) {
    const Layout& layout = value.layout;
    const Size slice = piece / layout.rows();
    return buffers[value.buffer] + layout.at(slice / layout.slices(), slice % layout.slices() - layout.halo.front,
                                             piece % layout.rows() - layout.halo.above, 0, -layout.halo.left);
  }

  const Kernels& kernels_;
  NormalisedRow row_;
  Lying input_, output_;
};

}  // namespace

std::unique_ptr<Step> make_normalisation(const Kernels& kernels, const NormalisedRow& row, const Lying& input,
                                         const Lying& output) {
  return std::make_unique<Normalisation>(kernels, row, input, output);
}

}  // namespace netsurgery
