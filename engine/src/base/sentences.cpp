#include "base/sentences.hpp"

#include <cmath>
#include <cstdio>

namespace netsurgery {
namespace {

std::string text_of(std::int64_t number) { return std::to_string(number); }

std::string text_of(float number) {
  if (std::isnan(number)) return "nan";
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.9g", static_cast<double>(number));
  return digits;
}

template <class Number>
std::string listed(const std::vector<Number>& numbers) {
  std::string result = "(";
  for (const Number number : numbers) result += (result.size() > 1 ? ", " : "") + text_of(number);
  return result + (numbers.size() == 1 ? ",)" : ")");
}

}  // namespace

std::string text_of(const std::vector<std::int64_t>& numbers) { return listed(numbers); }

std::string text_of(const std::vector<float>& numbers) { return listed(numbers); }

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t behind = 3; behind < digits.size(); behind += 4) digits.insert(digits.size() - behind, ",");
  return digits;
}

std::string in_hexadecimal(std::uint32_t number) {
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", static_cast<unsigned>(number));
  return digits;
}

std::string in_hexadecimal(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return "nothing";
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    if (i > 0) text += ' ';
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace netsurgery
