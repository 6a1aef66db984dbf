#include "lanes/pieces.hpp"

#include <algorithm>
#include <functional>
#include <queue>

namespace netsurgery {

double unevenness(const std::vector<Range>& pieces, Size times, int threads) {
  constexpr Size kMany = 16;  // pieces for each thread: what one more takes is little beside them
  if (times * static_cast<Size>(pieces.size()) >= kMany * threads) return 1;
  std::priority_queue<Size, std::vector<Size>, std::greater<>> taken(
      std::greater<>(), std::vector<Size>(static_cast<std::size_t>(threads)));  // by each thread, the least first
  Size whole = 0, most = 0;
  for (Size i = 0; i < times; ++i)
    for (const Range& piece : pieces) {
      const Size now = taken.top() + piece.count();
      taken.pop();
      taken.push(now);
      most = std::max(most, now);
      whole += piece.count();
    }
  return static_cast<double>(most * threads) / static_cast<double>(whole);
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
