// Is it text?
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace netsurgery {

/// Strictly: no surrogates, nothing beyond U+10FFFF, each in its shortest form.
inline bool is_utf8(const std::vector<std::uint8_t>& text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::uint32_t lead = text[i];
    const std::size_t more = lead < 0x80   ? 0
                             : lead < 0xC0 ? 4
                             : lead < 0xE0 ? 1
                             : lead < 0xF0 ? 2
                             : lead < 0xF8 ? 3
                                           : 4;
    if (more == 4 || more >= text.size() - i) return false;
    std::uint32_t point = more == 0 ? lead : lead & (0x3Fu >> more);
    for (std::size_t j = 1; j <= more; ++j) {
      if (text[i + j] >> 6 != 2) return false;
      point = point << 6 | (text[i + j] & 0x3Fu);
    }
    constexpr std::uint32_t kLowest[] = {0, 0x80, 0x800, 0x10000};
    if (point < kLowest[more] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return false;
    i += 1 + more;
  }
  return true;
}

}  // namespace netsurgery
