#include "lanes/entries.hpp"

namespace netsurgery {
namespace {

/// Pieces: rows of tiles in all groups. `of`: (buffers, group, row, channel, channels whose floats are neighbours in
/// all buffers).
template <class Of>
class Entries final : public Step {
 public:
  Entries(const Layout& output, bool joined, const Of& of)
      : groups_(output.groups()),
        rows_(output.tiling.rows()),
        channels_(output.image.channels),
        joined_(joined ? channels_ : 1),
        of_(of) {}

  Size pieces() const override { return groups_ * rows_; }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece)
      for (Size c = 0; c < channels_; c += joined_) of_(buffers, piece / rows_, piece % rows_, c, joined_);
  }

 private:
  Size groups_, rows_, channels_, joined_;
  Of of_;
};

template <class Of>
std::unique_ptr<Step> entries(const Layout& output, bool joined, const Of& of) {
  return std::make_unique<Entries<Of>>(output, joined, of);
}

bool has_gaps(const Layout& layout) { return layout.columns() != layout.tiling.width; }

float* at(Buffers buffers, const Lying& value, Size group, Size row, Size channel) {
  return buffers[value.buffer] + value.layout.at_row(group, row, channel, 0);
}

}  // namespace

std::unique_ptr<Step> make_function(const Kernels& kernels, const AppliedFunction& activation, const Lying& input,
                                    const Lying& output) {
  const auto function = kernels.functions[static_cast<int>(activation.function)];
  const Size width = output.layout.tiling.width * kVector;
  return entries(output.layout, !has_gaps(input.layout) && !has_gaps(output.layout),
                 [=](Buffers buffers, Size group, Size row, Size channel, Size channels) {
                   function(at(buffers, input, group, row, channel), at(buffers, output, group, row, channel),
                            channels * width, activation.parameters);
                 });
}

std::unique_ptr<Step> make_pair(const Kernels& kernels, Pair pair, const Lying& a, const Lying& b,
                                const Lying& output) {
  const auto combine = kernels.pairs[static_cast<int>(pair)];
  const Size width = output.layout.tiling.width * kVector;
  return entries(output.layout, !has_gaps(a.layout) && !has_gaps(b.layout) && !has_gaps(output.layout),
                 [=](Buffers buffers, Size group, Size row, Size channel, Size channels) {
                   combine(at(buffers, a, group, row, channel), true, at(buffers, b, group, row, channel), true,
                           at(buffers, output, group, row, channel), channels * width);
                 });
}

std::unique_ptr<Step> make_channel_pair(const Kernels& kernels, Pair pair, const Lying& input,
                                        const ChannelNumbers& numbers, bool first, const Lying& output) {
  const auto combine = kernels.pairs[static_cast<int>(pair)];
  const Size width = output.layout.tiling.width * kVector;
  return entries(output.layout, false, [=](Buffers buffers, Size group, Size row, Size channel, Size) {
    const float* const value = at(buffers, input, group, row, channel);
    const float* const number = buffers[numbers.buffer] + group * numbers.group + channel * numbers.channel;
    combine(first ? value : number, first, first ? number : value, !first, at(buffers, output, group, row, channel),
            width);
  });
}

double entries_cycles(const Layout& layout, double of_each) {
  const double vectors = static_cast<double>(layout.groups() * layout.tiling.vectors() * layout.image.channels);
  return vectors * of_each;
}

}  // namespace netsurgery
