// Any bytes, given to the reader of files: it gives a graph that holds together or refuses with an Error, never reads
// or writes out of bounds, and no arithmetic overflows.
//
//     make fuzz     with libFuzzer (clang)
//     make sanitize with standalone.cpp (any compiler)
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>

#include "base/error.hpp"
#include "file/checksum.hpp"
#include "file/format.hpp"
#include "file/reader.hpp"
#include "graph/shapes.hpp"

using namespace netsurgery;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_constant(const Constant& constant) {
  const auto rows = static_cast<std::size_t>(constant.rows), entries = static_cast<std::size_t>(constant.entries());
  require(constant.entries() == entries_of(constant.shape));
  if (constant.form == Constant::Form::kDense) require(constant.values.size() == entries);
  if (constant.form == Constant::Form::kPlanes)
    require(constant.scales.size() == rows * static_cast<std::size_t>(constant.planes) &&
            constant.bits.size() == entries * static_cast<std::size_t>(constant.planes));
  if (constant.form == Constant::Form::kSparse) {
    require(constant.start.size() == rows + 1 && constant.start[0] == 0);
    require(constant.start[rows] == constant.values.size() && constant.column.size() == constant.values.size());
    for (std::size_t r = 0; r < rows; ++r)
      for (std::uint32_t i = constant.start[r]; i < constant.start[r + 1]; ++i) {
        require(constant.column[i] < static_cast<std::uint64_t>(constant.columns));
        require(i == constant.start[r] || constant.column[i - 1] < constant.column[i]);
        require(constant.values[i] != 0 || std::signbit(constant.values[i]));
      }
  }
  const std::vector<float> all = constant.dense();
  require(all.size() == entries &&
          std::all_of(all.begin(), all.end(), [](float entry) { return std::isfinite(entry); }));
}

void check_graph(const Graph& graph) {
  const int values = graph.first_constant();
  require(!graph.inputs.empty() && !graph.outputs.empty() && graph.outputs.size() == graph.output_names.size());
  int made = static_cast<int>(graph.inputs.size());
  for (const Node& node : graph.nodes) {
    for (const int operand : node.inputs)
      require(operand == kLeftOut || (operand >= 0 && operand < made) ||
              (operand >= values && operand < values + static_cast<int>(graph.constants.size())));
    require(node.output == made++ && (node.inputs.empty() || node.inputs.back() != kLeftOut));
  }
  for (const int output : graph.outputs) require(output >= 0 && output < values);
  for (const auto& constant : graph.constants) check_constant(*constant);
  for (const Sizes& sizes : graph.tried_sizes()) graph.shapes(sizes);  // all were checked
  for (const Size size : {Size{1} << 20, kLargestSize, std::numeric_limits<Size>::max(), Size{0}, Size{-7}}) try {
      Sizes sizes;
      sizes.fill(size);
      graph.shapes(sizes);
    } catch (const Error& error) {
      require(error.status() == NS_ERROR_FILE);
    }
}

// A copy of its own size, so that a sanitizer sees any byte read beyond its end.
void read(const std::uint8_t* bytes, std::size_t size) {
  const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[size]);
  std::copy(bytes, bytes + size, copy.get());
  try {
    check_graph(read_graph(copy.get(), size, Limits{Size{1} << 10, Size{1} << 20}));
  } catch (const Error& error) {
    const ns_status status = error.status();
    require(status == NS_ERROR_FILE || status == NS_ERROR_VERSION || status == NS_ERROR_LIMIT);
  }
}

}  // namespace

/// The input as a file; and once more with a header that fits, so that what is behind it is read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  read(input, size);
  if (size < format::kHeaderBytes) return 0;
  std::vector<std::uint8_t> repaired(input, input + size);
  std::copy(std::begin(format::kMagic), std::end(format::kMagic), repaired.begin());
  repaired[3] = format::kVersion;
  const std::uint32_t sum = checksum(input + format::kHeaderBytes, size - format::kHeaderBytes);
  for (std::size_t i = 0; i < 4; ++i) repaired[4 + i] = static_cast<std::uint8_t>(sum >> (8 * i));
  read(repaired.data(), size);
  return 0;
}
