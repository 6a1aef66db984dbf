// Numbers and shapes as they stand in sentences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace netsurgery {

/// (2, 3), (4,), ().
std::string text_of(const std::vector<std::int64_t>& numbers);
std::string text_of(const std::vector<float>& numbers);
/// 1,234,567.
std::string with_commas(std::int64_t number);
/// Eight digits.
std::string in_hexadecimal(std::uint32_t number);
/// "50 4b 03 04"; "nothing" of no bytes.
std::string in_hexadecimal(const std::uint8_t* bytes, std::size_t size);

}  // namespace netsurgery
