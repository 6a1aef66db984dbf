#include "lanes/pieces.hpp"

#include <algorithm>

namespace netsurgery {

double unevenness(const std::vector<Range>& pieces, Size times, int threads) {
  std::vector<Size> taken(static_cast<std::size_t>(threads));  // by each thread
  Size whole = 0;
  for (Size i = 0; i < times; ++i)
    for (const Range& piece : pieces) {
      *std::min_element(taken.begin(), taken.end()) += piece.count();
      whole += piece.count();
    }
  return static_cast<double>(*std::max_element(taken.begin(), taken.end()) * threads) / static_cast<double>(whole);
}

Size output_parts(Size strips, Size outputs, int threads, Size least) {
  constexpr double kFair = 1.1;
  const Size most = std::min(outputs, std::max<Size>(least, 8));
  for (Size parts = least; parts < most; ++parts) {
    const double turns = static_cast<double>(ceil_divided(strips * parts, threads));
    if (turns * threads <= kFair * static_cast<double>(strips * parts)) return parts;
  }
  return most;
}

std::vector<Range> parts_of_maps(const Layout& input, const Layout& output, int threads) {
  constexpr Size kBytes = 256 * 1024, kFewest = 8;  // of a part; channels
  const auto bytes = [](const Layout& layout) {
    return layout.slices() * layout.rows() * layout.image.channels * layout.channel_floats() *
           static_cast<Size>(sizeof(float));
  };
  const Size maps = input.image.channels;
  const Size by_cache = std::min(ceil_divided(bytes(input) + bytes(output), kBytes), ceil_divided(maps, kFewest));
  return equal_parts(maps, output_parts(output.groups(), maps, threads, by_cache));
}

std::vector<Range> shared_parts(Size whole, Size most, Size times, int threads) {
  const Size sharers = std::min(ceil_divided(Size{threads}, times), whole);  // of each of the wholes
  const Size count = ceil_divided(ceil_divided(whole, most), sharers) * sharers;
  return equal_parts(whole, std::min(count, whole));
}

}  // namespace netsurgery
