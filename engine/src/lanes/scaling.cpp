#include "lanes/scaling.hpp"

#include "lanes/convolution.hpp"

namespace netsurgery {

void scale_row(const Kernels& kernels, const Scaling& scaling, Buffers buffers, const ScaledRow& row) {
  const auto numbers = [&](const std::optional<ChannelNumbers>& of) -> const float* {
    return of ? buffers[of->buffer] + row.group * of->group + row.first * of->channel : nullptr;
  };
  ScaledChannels work{};
  work.input = row.input;
  work.output = row.output;
  work.channels = row.channels;
  work.count = row.count;
  work.input_channel = row.input_channel;
  work.output_channel = row.output_channel;
  work.scale = numbers(scaling.scale);
  work.shift = numbers(scaling.shift);
  work.scale_step = scaling.scale ? scaling.scale->channel : 0;
  work.shift_step = scaling.shift ? scaling.shift->channel : 0;
  work.clips = scaling.clips;
  work.low = scaling.low;
  work.high = scaling.high;
  kernels.scale_channels(work);
  if (scaling.activation)
    activate(kernels, *scaling.activation, row.output, row.count, row.channels, row.output_channel);
}

}  // namespace netsurgery
