#include "lanes/table_blocks.hpp"

#include <algorithm>

namespace netsurgery {
namespace {

constexpr Size kVectorBytes = kVector * static_cast<Size>(sizeof(float));
static_assert(kMostTablesInBlock * kTableEntries * kVectorBytes <= 65536, "offsets of entries have 16 bits");

/// The inputs from `first` to `last` of a group.
TableBlock block(const Convolution& convolution, const Layout& input, Size group, Size first, Size last,
                 Size together) {
  const Constant& weight = *convolution.weight;
  const Size channels = input.image.channels / convolution.groups,
             in_group = convolution.outputs() / convolution.groups;
  TableBlock made{group * in_group, (group + 1) * in_group, first == 0, last == weight.columns, {}, {}};
  for (Size column = first; column < last; ++column) {
    const Size floats = group * channels * input.channel_floats() + input_offset(convolution, input, column);
    made.offsets.push_back(static_cast<std::uint32_t>(floats * static_cast<Size>(sizeof(float))));
  }
  for (Size output = made.first_output; output < made.last_output;) {
    const Size count = output + together <= made.last_output ? together : 1;
    for (Size at = first; at < last; at += kTableInputs)
      for (Size one = output; one < output + count; ++one)
        for (int plane = 0; plane < weight.planes; ++plane) {
          const Size table = (at - first) / kTableInputs;
          const std::uint32_t entry = entry_of(weight, plane, one, at, std::min(at + kTableInputs, last));
          made.entries.push_back(static_cast<std::uint16_t>((table * kTableEntries + entry) * kVectorBytes));
        }
    output += count;
  }
  return made;
}

}  // namespace

std::uint32_t entry_of(const Constant& weight, Size plane, Size row, Size first, Size last) {
  std::uint32_t entry = 0;
  for (Size column = first; column < last; ++column)
    if (weight.bits[static_cast<std::size_t>((plane * weight.rows + row) * weight.columns + column)])
      entry |= 1u << (column - first);
  return entry;
}

std::vector<TableBlock> table_blocks(const Convolution& convolution, const Layout& input, Size tables, Size together) {
  std::vector<TableBlock> blocks;
  const Size columns = convolution.weight->columns, most = tables * kTableInputs;
  for (Size group = 0; group < convolution.groups; ++group)
    for (Size first = 0; first < columns; first += most)
      blocks.push_back(block(convolution, input, group, first, std::min(columns, first + most), together));
  return blocks;
}

}  // namespace netsurgery
