#include "file/stored_tensor.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

namespace netsurgery {
namespace {

constexpr double kDensestSparse = 0.6;

std::vector<float> as_floats(const std::vector<std::uint32_t>& bits) {
  std::vector<float> result(bits.size());
  if (!bits.empty()) std::memcpy(result.data(), bits.data(), bits.size() * sizeof(float));
  return result;
}

/// The bits of entries other than +0, as long as not too many differ.
class DistinctValues {
 public:
  /// False once there are more than a codebook has room for.
  bool add(std::uint32_t bits) {
    std::size_t place = (bits * 0x9E3779B1u) >> 22;
    while (slots_[place] != 0 && slots_[place] != bits) place = (place + 1) % slots_.size();
    if (slots_[place] == 0) slots_[place] = bits, ++count_;
    return count_ <= format::kMostCodes;
  }
  Size count() const { return count_; }

 private:
  std::array<std::uint32_t, 1024> slots_{};  // 0: free
  Size count_ = 0;
};

}  // namespace

Size StoredTensor::distinct() const {
  std::vector<std::uint32_t> sums;
  if (planes > 0) {
    const std::vector<float> floats = sums_of_planes(as_floats(table), signs, rows, columns);
    sums.resize(floats.size());
    std::memcpy(sums.data(), floats.data(), floats.size() * sizeof(float));
  }
  DistinctValues found;
  for (const std::uint32_t entry : planes > 0 ? sums : values)
    if (entry != 0 && !found.add(entry)) return -1;
  return found.count();
}

Constant kept(StoredTensor tensor) {
  Constant constant;
  constant.shape = std::move(tensor.shape);
  constant.rows = tensor.rows;
  constant.columns = tensor.columns;
  if (tensor.mask == format::Mask::kZero) {
    constant.form = Constant::Form::kSparse;
    constant.start.assign(static_cast<std::size_t>(constant.rows) + 1, 0);
    return constant;
  }
  if (tensor.planes > 0) {
    constant.form = Constant::Form::kPlanes;
    constant.planes = tensor.planes;
    constant.scales = as_floats(tensor.table);
    constant.bits = std::move(tensor.signs);
    constant.kept = constant.entries();
    return constant;
  }
  const std::vector<std::uint32_t> bits = std::move(tensor.values);
  tensor = {};  // what it was made of isn't needed any more
  const auto kept = bits.size() - static_cast<std::size_t>(std::count(bits.begin(), bits.end(), 0u));
  constant.kept = static_cast<Size>(kept);
  constexpr std::size_t kMostPlaces = std::numeric_limits<std::uint32_t>::max();
  if (static_cast<double>(kept) > kDensestSparse * static_cast<double>(bits.size()) || bits.size() > kMostPlaces) {
    constant.form = Constant::Form::kDense;
    constant.values = as_floats(bits);
    return constant;
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
  return constant;
}

}  // namespace netsurgery
