// Any bytes, given to the decoder: nothing may be read or written out of bounds, no arithmetic may overflow, and what
// was decoded has to encode and decode to itself.
//
//     make fuzz     with libFuzzer (clang)
//     make sanitize with standalone.cpp (any compiler)
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include "file/integer_model.hpp"
#include "file/range_coder.hpp"
#include "file/tensor_model.hpp"

using namespace netsurgery;

namespace {

constexpr std::uint64_t kMostDecisions = 200000;
constexpr int kMostCalls = 12;

void require(bool condition) {
  if (!condition) std::abort();
}

// The first bytes of an input say which calls are made, what remains is what they decode.
class Plan {
 public:
  Plan(const std::uint8_t* bytes, std::size_t size) : bytes_(bytes), size_(size) {}
  std::uint8_t byte() { return at_ < size_ ? bytes_[at_++] : 0; }
  int below(int bound) { return byte() % bound; }

 private:
  const std::uint8_t* bytes_;
  std::size_t size_, at_ = 0;
};

enum class Method { kFlag, kInteger, kRaw, kMask, kPlainMask, kFloats, kCodes, kPlainBits, kCount };

struct Call {
  Method method;
  Grid grid;
  int number;  // context, count of bits, exponent or width
  int mantissa;
  bool live_columns, shared, mixed;
  std::vector<std::uint8_t> kept;  // the mask of floats and codes
};

Call planned(Plan& plan) {
  Call call{};
  call.method = static_cast<Method>(plan.below(static_cast<int>(Method::kCount)));
  const Index width = 1 + plan.below(4), plane = width * (1 + plan.below(4));
  call.grid = Grid{1 + plan.below(6), plane * (1 + plan.below(5)), plane, width};
  const int bits = plan.byte();
  call.live_columns = bits & 1;
  call.shared = bits & 2;
  call.mixed = bits & 4;
  call.mantissa = plan.below(24);
  const int number = plan.byte();
  call.number = call.method == Method::kRaw ? number % 17 : call.method == Method::kCodes ? number % 9 : number;
  // As in a file, a mask comes from anywhere; here it is one of a few patterns.
  const int step = 1 + (bits >> 3 & 7), phase = bits >> 6;
  for (Index i = 0; i < call.grid.rows * call.grid.columns; ++i) call.kept.push_back((i + phase) % step == 0);
  return call;
}

// A coder with the models on it: the same calls for both directions.
template <class Coder>
struct Models {
  explicit Models(Coder made) : coder(std::move(made)) {}

  /// The call's values, as numbers: those given for an Encoder, those read for a Decoder.
  std::vector<std::uint32_t> make(const Call& call, std::vector<std::uint32_t> values) {
    const std::size_t entries = static_cast<std::size_t>(call.grid.rows * call.grid.columns);
    const bool single = call.method <= Method::kRaw;
    values.resize(single ? 1 : entries);
    std::vector<std::uint8_t> bytes(values.begin(), values.end());
    switch (call.method) {
      case Method::kFlag:
        values[0] = static_cast<std::uint32_t>(integers.flag(static_cast<std::size_t>(call.number), values[0] != 0));
        return values;
      case Method::kInteger:
        values[0] = integers.integer(static_cast<std::size_t>(call.number), values[0]);
        return values;
      case Method::kRaw:
        values[0] = coder.raw(values[0], call.number);
        return values;
      case Method::kFloats:
        tensors.floats(call.grid, call.kept.data(), call.mantissa, call.number, call.shared, call.mixed, values.data());
        return values;
      case Method::kMask:
        tensors.mask(call.grid, call.live_columns, bytes.data());
        break;
      case Method::kPlainMask:
        tensors.plain_mask(call.grid, bytes.data());
        break;
      case Method::kCodes:
        tensors.codes(call.grid, call.kept.data(), call.number, bytes.data());
        break;
      default:
        tensors.plain_bits(static_cast<Index>(entries), bytes.data());
    }
    return {bytes.begin(), bytes.end()};
  }

  Coder coder;
  IntegerModel<Coder> integers{coder};
  TensorModel<Coder> tensors{coder};
};

using Values = std::vector<std::vector<std::uint32_t>>;

// Until the calls or the decisions are used up.
Values decoded(const std::vector<Call>& calls, const std::uint8_t* bytes, std::size_t size) {
  Models<Decoder> models(Decoder(bytes, size, kMostDecisions));
  Values values;
  try {
    for (const Call& call : calls) values.push_back(models.make(call, {}));
  } catch (const std::overflow_error&) {
  }
  return values;
}

// What any bytes decode to. A mask may name a column live that has no entry, which an encoder wouldn't say: it encodes
// to something else that decodes to the same.
std::vector<std::uint8_t> encoded(const std::vector<Call>& calls, const Values& values) {
  Models<Encoder> models{Encoder()};
  for (std::size_t i = 0; i < values.size(); ++i) models.make(calls[i], values[i]);
  ByteBlocks blocks = models.coder.finish();
  std::vector<std::uint8_t> bytes(blocks.size());
  if (!bytes.empty()) blocks.move_to(bytes.data());
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  constexpr std::size_t kBytesOfCall = 8;
  Plan plan(input, size);
  std::vector<Call> calls(static_cast<std::size_t>(1 + plan.below(kMostCalls)));
  for (Call& call : calls) call = planned(plan);
  const std::size_t begin = std::min(size, 1 + kBytesOfCall * calls.size());
  // A copy of its own size, so that a sanitizer sees any byte read beyond its end.
  const std::unique_ptr<std::uint8_t[]> stream(new std::uint8_t[size - begin]);
  std::copy(input + begin, input + size, stream.get());
  const Values values = decoded(calls, stream.get(), size - begin);
  const std::vector<std::uint8_t> bytes = encoded(calls, values);
  const std::vector<Call> made(calls.begin(), calls.begin() + static_cast<std::ptrdiff_t>(values.size()));
  require(decoded(made, bytes.data(), bytes.size()) == values);
  return 0;
}
