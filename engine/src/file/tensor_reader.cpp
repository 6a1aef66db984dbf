#include "file/tensor_reader.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/shapes.hpp"

namespace netsurgery {
namespace {

using namespace format;

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

bool all_finite(const std::vector<std::uint32_t>& bits) {
  return std::none_of(bits.begin(), bits.end(),
                      [](std::uint32_t entry) { return (entry & kExponentBits) == kExponentBits; });
}

Size plane_of(const Shape& shape) { return entries_of(Shape(shape.begin() + 2, shape.end())); }

}  // namespace

StoredTensor TensorReader::read(const Constant& declared) {
  StoredTensor tensor;
  tensor.shape = declared.shape;
  tensor.rows = declared.rows;
  tensor.columns = declared.columns;
  const double before = stream_.decoder.bits_read();
  const std::size_t kind = tensor.shape.size() >= 2 ? 1 : 0;
  const Grid grid = grid_of(tensor);
  const Size mask = stream_.integer(kMask + kind);
  if (mask > static_cast<Size>(Mask::kSparsePlain))
    refuse_file("mask " + std::to_string(mask) + " doesn't exist in this version of the format.");
  tensor.mask = static_cast<Mask>(mask);
  if (tensor.mask != Mask::kZero) entries(grid, kind, tensor);
  tensor.bits = stream_.decoder.bits_read() - before;
  return tensor;
}

Grid TensorReader::grid_of(const StoredTensor& tensor) {
  const Shape& shape = tensor.shape;
  Grid grid{tensor.rows, tensor.columns, 1, 1};
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
  return grid;
}

void TensorReader::entries(const Grid& grid, std::size_t kind, StoredTensor& tensor) {
  Bytes& present = tensor.present;
  present.assign(static_cast<std::size_t>(grid.rows * grid.columns), tensor.mask == Mask::kDense ? 1 : 0);
  if (tensor.mask == Mask::kSparsePlain)
    stream_.tensors.plain_mask(grid, present.data());
  else if (tensor.mask != Mask::kDense)
    stream_.tensors.mask(grid, tensor.mask == Mask::kSparseLiveColumns, present.data());
  const Size encoding = stream_.integer(kEncoding + kind);
  if (encoding > static_cast<Size>(Encoding::kUniform))
    refuse_file("encoding " + std::to_string(encoding) + " doesn't exist in this version of the format.");
  tensor.encoding = static_cast<Encoding>(encoding);
  tensor.kept = static_cast<Size>(std::count(present.begin(), present.end(), std::uint8_t{1}));
  switch (tensor.encoding) {
    case Encoding::kFloats: {
      const Form said = form(kind);
      tensor.mantissa = said.mantissa;
      tensor.shared = said.shared;
      tensor.values = floats(grid, present, said);
      Bytes().swap(present);
      break;
    }
    case Encoding::kCodebook:
      codebook(grid, tensor);
      break;
    case Encoding::kUniform:
      uniform(grid, tensor);
      break;
    case Encoding::kPlanes:
      Bytes().swap(present);
      planes(grid, tensor);
  }
  if (!all_finite(tensor.values)) refuse_infinite(tensor.shape);
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

void TensorReader::codebook(const Grid& grid, StoredTensor& tensor) {
  const Size count = stream_.integer(kCodes) + 1;
  if (count > std::min(kMostCodes, tensor.kept))
    refuse_file("a codebook has " + std::to_string(count) + " values for " + std::to_string(tensor.kept) +
                " entries; so many, and at most " + std::to_string(kMostCodes) + ", are allowed.");
  tensor.table = table(1, count);
  tensor.codes.resize(tensor.present.size());
  stream_.tensors.codes(grid, tensor.present.data(), width_of(count), tensor.codes.data());
  const Size largest = *std::max_element(tensor.codes.begin(), tensor.codes.end());
  if (largest >= count)
    refuse_file("code " + std::to_string(largest) + " lies beyond a codebook of " + std::to_string(count) + " values.");
  tensor.values.resize(tensor.present.size());
  for (std::size_t i = 0; i < tensor.values.size(); ++i)
    tensor.values[i] = tensor.present[i] ? tensor.table[tensor.codes[i]] : 0;
}

void TensorReader::uniform(const Grid& grid, StoredTensor& tensor) {
  const Size span = tensor.span = stream_.integer(kCodes) + 1;
  tensor.least = unzigzag(stream_.integer(kLeastCount));
  if (span > kMostCodes || tensor.least < -kLargestUniform || tensor.least > kLargestUniform)
    refuse_file("a tensor has " + std::to_string(span) + " counts from " + std::to_string(tensor.least) +
                " on; at most " + std::to_string(kMostCodes) + ", from " + std::to_string(-kLargestUniform) + " to " +
                std::to_string(kLargestUniform) + " on, are allowed.");
  tensor.table = table(grid.rows, 1);
  const std::vector<float> scales = as_floats(tensor.table);
  tensor.codes.resize(tensor.present.size());
  stream_.tensors.codes(grid, tensor.present.data(), width_of(span), tensor.codes.data());
  const Size largest = *std::max_element(tensor.codes.begin(), tensor.codes.end());
  if (largest >= span)
    refuse_file("code " + std::to_string(largest) + " lies beyond the " + std::to_string(span) +
                " counts of a tensor.");
  tensor.values.assign(tensor.present.size(), 0);
  const auto columns = static_cast<std::size_t>(grid.columns);
  for (std::size_t i = 0; i < tensor.values.size(); ++i) {
    const Size number = tensor.codes[i] + tensor.least;
    if (!tensor.present[i] || number == 0) continue;
    const float product = static_cast<float>(number) * scales[i / columns];  // a rounding, as in double
    std::memcpy(&tensor.values[i], &product, sizeof product);
  }
}

void TensorReader::planes(const Grid& grid, StoredTensor& tensor) {
  const Size count = stream_.integer(kPlanes) + 1;
  if (count > kMostPlanes || tensor.mask != Mask::kDense)
    refuse_file("a tensor has " + std::to_string(count) + " planes; 1 to " + std::to_string(kMostPlanes) +
                ", without a mask, are allowed.");
  tensor.planes = static_cast<int>(count);
  tensor.table = table(grid.rows, count);
  tensor.signs.resize(static_cast<std::size_t>(count * grid.rows * grid.columns));
  stream_.tensors.plain_bits(static_cast<Index>(tensor.signs.size()), tensor.signs.data());
  const std::vector<float> sums = sums_of_planes(as_floats(tensor.table), tensor.signs, grid.rows, grid.columns);
  if (!std::all_of(sums.begin(), sums.end(), [](float sum) { return std::isfinite(sum); }))
    refuse_infinite(tensor.shape);
}

}  // namespace netsurgery
