#include "lanes/seen_bytes.hpp"

#include <algorithm>

#include "lanes/fixed_point.hpp"

namespace netsurgery {

SeenBytes::Axis::Axis(Size kernel, Size stride, Size dilation, Size windows)
    : reach((kernel - 1) * dilation + 1),
      apart(kernel == 1 ? stride : 1),
      step(kernel == 1 ? 1 : stride),
      tap(dilation),
      most(count(windows)) {}

SeenBytes::SeenBytes(const Windows& windows, const Strips& strips)
    : windows_(windows),
      slices_(windows.kernel_z, windows.stride_z, windows.dilation_z, strips.slices.back().count()),
      rows_(windows.kernel_y, windows.stride_y, windows.dilation_y, strips.rows.back().count()),
      phases_(std::min(windows.stride_x, windows.reach_x())),
      columns_(strips.columns.back().count() + (windows.reach_x() - 1) / windows.stride_x) {}

Size SeenBytes::tap(Size number) const {
  const Size row = number / windows_.kernel_x, column = number % windows_.kernel_x * windows_.dilation_x;
  return row / windows_.kernel_y * slices_.tap * slice_vectors() + row % windows_.kernel_y * rows_.tap * row_vectors() +
         column % windows_.stride_x * columns_ + column / windows_.stride_x;
}

FixedBytes SeenBytes::packing(const Layout& layout, const std::int16_t* input, Size channels, Size slices, Size rows,
                              Size columns, std::uint8_t* bytes) const {
  FixedBytes work{};
  work.input = input;
  work.channel = kShortsPerFloat * layout.channel_floats();
  work.slice = kShortsPerFloat * slices_.apart * layout.slice_floats();
  work.row = kShortsPerFloat * rows_.apart * layout.row_floats();
  work.channels = channels;
  work.slices = slices_.count(slices);
  work.rows = rows_.count(rows);
  work.columns = (columns - 1) * windows_.stride_x + windows_.reach_x();
  work.phases = phases_;
  work.stride = windows_.stride_x;
  work.bytes = bytes;
  work.bytes_channel = vectors();
  work.bytes_slice = slice_vectors();
  work.bytes_row = row_vectors();
  work.bytes_phase = columns_;
  return work;
}

}  // namespace netsurgery
