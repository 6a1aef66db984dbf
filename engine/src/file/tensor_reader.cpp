#include "file/tensor_reader.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "graph/shapes.hpp"

namespace netsurgery {
namespace {

using namespace format;

constexpr double kDensestSparse = 0.6;
constexpr std::uint32_t kExponentBits = 0x7F800000u;

std::vector<float> as_floats(const std::vector<std::uint32_t>& bits) {
  std::vector<float> result(bits.size());
  if (!bits.empty()) std::memcpy(result.data(), bits.data(), bits.size() * sizeof(float));
  return result;
}

[[noreturn]] void refuse_infinite(const Shape& shape) {
  refuse_file("a tensor of shape " + text_of(shape) + " holds a value that isn't finite.");
}

/// Bits of a code for so many values.
int width_of(Size count) {
  int width = 0;
  while (Size{1} << width < count) ++width;
  return width;
}

/// Entries of the matrix, row by row, into the form that suits them.
void keep(Constant& constant, const std::vector<std::uint32_t>& bits) {
  if (std::any_of(bits.begin(), bits.end(),
                  [](std::uint32_t entry) { return (entry & kExponentBits) == kExponentBits; }))
    refuse_infinite(constant.shape);
  const auto kept = bits.size() - static_cast<std::size_t>(std::count(bits.begin(), bits.end(), 0u));
  constant.kept = static_cast<Size>(kept);
  constexpr std::size_t kMostPlaces = std::numeric_limits<std::uint32_t>::max();
  if (static_cast<double>(kept) > kDensestSparse * static_cast<double>(bits.size()) || bits.size() > kMostPlaces) {
    constant.form = Constant::Form::kDense;
    constant.values = as_floats(bits);
    return;
  }
  constant.form = Constant::Form::kSparse;
  constant.values.reserve(kept);
  constant.column.reserve(kept);
  constant.start.reserve(static_cast<std::size_t>(constant.rows) + 1);
  constant.start.push_back(0);
  const auto columns = static_cast<std::size_t>(constant.columns);
  for (std::size_t begin = 0; begin < bits.size(); begin += columns) {
    for (std::size_t c = 0; c < columns; ++c) {
      const std::uint32_t entry = bits[begin + c];
      if (entry == 0) continue;
      float value;
      std::memcpy(&value, &entry, sizeof value);
      constant.values.push_back(value);
      constant.column.push_back(static_cast<std::uint32_t>(c));
    }
    constant.start.push_back(static_cast<std::uint32_t>(constant.values.size()));
  }
}

Size plane_of(const Shape& shape) { return entries_of(Shape(shape.begin() + 2, shape.end())); }

}  // namespace

void TensorReader::read(Constant& constant) {
  const Shape& shape = constant.shape;
  const std::size_t kind = shape.size() >= 2 ? 1 : 0;
  Grid grid{constant.rows, constant.columns, 1, 1};
  if (shape.size() > 2) {
    grid.plane = plane_of(shape);
    grid.width = shape.back();
  } else if (shape.size() == 2) {
    grid.plane = stream_.integer(kPlane) + 1;
    if (grid.plane > 1) grid.width = stream_.integer(kWidth) + 1;
    if (grid.columns % grid.plane != 0 || grid.plane % grid.width != 0)
      refuse_file("a matrix of shape " + text_of(shape) + " has planes of " + std::to_string(grid.plane) +
                  " entries in lines of " + std::to_string(grid.width) + ".");
  }
  const Size mask_code = stream_.integer(kMask + kind);
  if (mask_code > static_cast<Size>(Mask::kSparsePlain))
    refuse_file("mask " + std::to_string(mask_code) + " doesn't exist in this version of the format.");
  const auto chosen = static_cast<Mask>(mask_code);
  if (chosen == Mask::kZero) {
    constant.form = Constant::Form::kSparse;
    constant.start.assign(static_cast<std::size_t>(constant.rows) + 1, 0);
    return;
  }
  Bytes mask(static_cast<std::size_t>(constant.entries()), chosen == Mask::kDense ? 1 : 0);
  if (chosen == Mask::kSparsePlain)
    stream_.tensors.plain_mask(grid, mask.data());
  else if (chosen != Mask::kDense)
    stream_.tensors.mask(grid, chosen == Mask::kSparseLiveColumns, mask.data());
  const Size encoding = stream_.integer(kEncoding + kind);
  if (encoding > static_cast<Size>(Encoding::kUniform))
    refuse_file("encoding " + std::to_string(encoding) + " doesn't exist in this version of the format.");
  switch (static_cast<Encoding>(encoding)) {
    case Encoding::kFloats:
      keep(constant, floats(grid, mask, form(kind)));
      return;
    case Encoding::kCodebook:
      keep(constant, codebook(grid, mask));
      return;
    case Encoding::kUniform:
      keep(constant, uniform(grid, mask));
      return;
    case Encoding::kPlanes:
      Bytes().swap(mask);
      const Size count = stream_.integer(kPlanes) + 1;
      if (count > kMostPlanes || chosen != Mask::kDense)
        refuse_file("a tensor has " + std::to_string(count) + " planes; 1 to " + std::to_string(kMostPlanes) +
                    ", without a mask, are allowed.");
      constant.planes = static_cast<int>(count);
      planes(grid, constant);
  }
}

TensorReader::Form TensorReader::form(std::size_t kind) {
  const int mantissa = stream_.flag(kMantissa + kind) ? static_cast<int>(stream_.raw(5)) : mantissa_[kind];
  const Size exponent = exponent_[kind] + unzigzag(stream_.integer(kExponent + kind));
  if (mantissa > 23 || exponent < 0 || exponent > 254)
    refuse_file("floats with " + std::to_string(mantissa) + " bits of mantissa around exponent " +
                std::to_string(exponent) + " don't exist.");
  Form form{mantissa, static_cast<int>(exponent), false, false};
  form.shared = mantissa > 0 && stream_.flag(kShared + kind);
  form.mixed = !stream_.flag(kMixed + kind);
  mantissa_[kind] = form.mantissa;
  exponent_[kind] = form.exponent;
  return form;
}

TensorReader::Bits TensorReader::floats(const Grid& grid, const Bytes& mask, const Form& form) {
  Bits bits(mask.size());
  stream_.tensors.floats(grid, mask.data(), form.mantissa, form.exponent, form.shared, form.mixed, bits.data());
  return bits;
}

TensorReader::Bits TensorReader::table(Size rows, Size columns) {
  const Form said = form(0);
  return floats(Grid{rows, columns, 1, 1}, Bytes(static_cast<std::size_t>(rows * columns), 1), said);
}

TensorReader::Bits TensorReader::codebook(const Grid& grid, const Bytes& mask) {
  const Size count = stream_.integer(kCodes) + 1;
  const auto kept = static_cast<Size>(std::count(mask.begin(), mask.end(), std::uint8_t{1}));
  if (count > std::min(kMostCodes, kept))
    refuse_file("a codebook has " + std::to_string(count) + " values for " + std::to_string(kept) +
                " entries; so many, and at most " + std::to_string(kMostCodes) + ", are allowed.");
  const Bits book = table(1, count);
  Bytes codes(mask.size());
  stream_.tensors.codes(grid, mask.data(), width_of(count), codes.data());
  const Size largest = *std::max_element(codes.begin(), codes.end());
  if (largest >= count)
    refuse_file("code " + std::to_string(largest) + " lies beyond a codebook of " + std::to_string(count) + " values.");
  Bits bits(mask.size());
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = mask[i] ? book[codes[i]] : 0;
  return bits;
}

TensorReader::Bits TensorReader::uniform(const Grid& grid, const Bytes& mask) {
  const Size span = stream_.integer(kCodes) + 1;
  const Size least = unzigzag(stream_.integer(kLeastCount));
  if (span > kMostCodes || least < -kLargestUniform || least > kLargestUniform)
    refuse_file("a tensor has " + std::to_string(span) + " counts from " + std::to_string(least) + " on; at most " +
                std::to_string(kMostCodes) + ", from " + std::to_string(-kLargestUniform) + " to " +
                std::to_string(kLargestUniform) + " on, are allowed.");
  const std::vector<float> scales = as_floats(table(grid.rows, 1));
  Bytes codes(mask.size());
  stream_.tensors.codes(grid, mask.data(), width_of(span), codes.data());
  const Size largest = *std::max_element(codes.begin(), codes.end());
  if (largest >= span)
    refuse_file("code " + std::to_string(largest) + " lies beyond the " + std::to_string(span) +
                " counts of a tensor.");
  Bits bits(mask.size(), 0);
  const auto columns = static_cast<std::size_t>(grid.columns);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (!mask[i] || codes[i] + least == 0) continue;
    const float product = static_cast<float>(codes[i] + least) * scales[i / columns];  // a rounding, as in double
    std::memcpy(&bits[i], &product, sizeof product);
  }
  return bits;
}

void TensorReader::planes(const Grid& grid, Constant& constant) {
  constant.form = Constant::Form::kPlanes;
  constant.kept = constant.entries();
  constant.scales = as_floats(table(grid.rows, constant.planes));
  constant.bits.resize(static_cast<std::size_t>(constant.planes * grid.rows * grid.columns));
  stream_.tensors.plain_bits(static_cast<Index>(constant.bits.size()), constant.bits.data());
  const std::vector<float> sums = constant.dense();
  if (!std::all_of(sums.begin(), sums.end(), [](float sum) { return std::isfinite(sum); }))
    refuse_infinite(constant.shape);
}

}  // namespace netsurgery
