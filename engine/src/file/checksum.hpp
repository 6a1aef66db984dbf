// CRC-32 (ISO 3309), as in zlib and PNG.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace netsurgery {

/// tables[k][b]: the remainder of byte b followed by k zero bytes, so that four bytes go at once.
struct ChecksumTables {
  std::array<std::array<std::uint32_t, 256>, 4> of{};
  constexpr ChecksumTables() {
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t rest = byte;
      for (int i = 0; i < 8; ++i) rest = (rest >> 1) ^ (rest & 1 ? 0xEDB88320u : 0u);
      of[0][byte] = rest;
    }
    for (std::size_t k = 1; k < 4; ++k)
      for (std::size_t byte = 0; byte < 256; ++byte)
        of[k][byte] = (of[k - 1][byte] >> 8) ^ of[0][of[k - 1][byte] & 255];
  }
};

inline constexpr ChecksumTables kChecksumTables;

inline std::uint32_t checksum(const std::uint8_t* bytes, std::size_t size) {
  const auto& table = kChecksumTables.of;
  std::uint32_t rest = 0xFFFFFFFFu;
  for (; size >= 4; bytes += 4, size -= 4) {
    rest ^= static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
            static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
    rest = table[3][rest & 255] ^ table[2][rest >> 8 & 255] ^ table[1][rest >> 16 & 255] ^ table[0][rest >> 24];
  }
  for (; size > 0; ++bytes, --size) rest = (rest >> 8) ^ table[0][(rest ^ *bytes) & 255];
  return ~rest;
}

}  // namespace netsurgery
