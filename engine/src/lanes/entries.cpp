#include "lanes/entries.hpp"

#include <algorithm>

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

std::unique_ptr<Step> make_entry_copy(const Lying& input, const Lying& output) {
  const Size width = output.layout.tiling.width * kVector;
  return entries(output.layout, !has_gaps(input.layout) && !has_gaps(output.layout),
                 [=](Buffers buffers, Size group, Size row, Size channel, Size channels) {
                   std::copy_n(at(buffers, input, group, row, channel), channels * width,
                               at(buffers, output, group, row, channel));
                 });
}

std::unique_ptr<Step> make_repeat(const Lying& input, const Lying& output) {
  const Tiling &from = input.layout.tiling, &to = output.layout.tiling;
  const Size deep = to.depth / from.depth, high = to.height / from.height, wide = to.width / from.width;
  const Size height = from.height, columns = from.width;
  return entries(output.layout, false, [=](Buffers buffers, Size group, Size row, Size channel, Size) {
    const Size slice = row / (height * high), seen = slice / deep * height + row % (height * high) / high;
    const float* x = at(buffers, input, group, seen, channel);
    float* y = at(buffers, output, group, row, channel);
    for (Size column = 0; column < columns; ++column, x += kVector)
      for (Size i = 0; i < wide; ++i, y += kVector) std::copy_n(x, kVector, y);
  });
}

std::unique_ptr<Step> make_thinned(const Windows& strides, Size before, const Lying& input, const Lying& output) {
  const Size deep = strides.stride_z, high = strides.stride_y, wide = strides.stride_x;
  const Size height = output.layout.tiling.height, columns = output.layout.tiling.width;
  const Size seen_height = input.layout.tiling.height, channels = input.layout.image.channels;
  return entries(output.layout, false, [=](Buffers buffers, Size group, Size row, Size channel, Size) {
    float* y = at(buffers, output, group, row, channel);
    if (channel < before || channel >= before + channels) {
      std::fill_n(y, columns * kVector, 0.0f);
      return;
    }
    const Size seen = row / height * deep * seen_height + row % height * high;
    const float* x = at(buffers, input, group, seen, channel - before);
    for (Size column = 0; column < columns; ++column)
      std::copy_n(x + column * wide * kVector, kVector, y + column * kVector);
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

std::unique_ptr<Step> make_scaled(const Kernels& kernels, const Scaling& scaling, const Lying& input,
                                  const Lying& output) {
  const Size width = output.layout.tiling.width * kVector;
  return entries(output.layout, true, [=, &kernels](Buffers buffers, Size group, Size row, Size, Size channels) {
    scale_row(kernels, scaling, buffers,
              {group, 0, channels, at(buffers, input, group, row, 0), at(buffers, output, group, row, 0),
               input.layout.channel_floats(), output.layout.channel_floats(), width});
  });
}

std::unique_ptr<Step> make_quantized(const Kernels& kernels, const ChannelRounding& rounding, const Lying& input,
                                     const Lying& output) {
  QuantizedChannels given{};
  given.channels = output.layout.image.channels;
  given.count = output.layout.tiling.width * kVector;
  given.input_channel = input.layout.channel_floats();
  given.output_channel = output.layout.channel_floats();
  given.per_step = rounding.per_step;
  given.step = rounding.step;
  given.low = rounding.low;
  given.high = rounding.high;
  return entries(output.layout, true, [=, &kernels](Buffers buffers, Size group, Size row, Size, Size) {
    QuantizedChannels work = given;
    work.input = at(buffers, input, group, row, 0);
    work.output = at(buffers, output, group, row, 0);
    work.scale = rounding.scale.data();
    work.shift = rounding.shift.data();
    kernels.quantize_channels(work);
  });
}

double entries_cycles(const Layout& layout, double of_each) {
  const double vectors = static_cast<double>(layout.groups() * layout.tiling.vectors() * layout.image.channels);
  return vectors * of_each;
}

}  // namespace netsurgery
