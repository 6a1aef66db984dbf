// The decoder of a file with the models on it, which live as long as the stream.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "base/sentences.hpp"
#include "file/format.hpp"
#include "file/integer_model.hpp"
#include "file/range_coder.hpp"
#include "file/tensor_model.hpp"
#include "graph/graph.hpp"

namespace netsurgery {

class Stream {
 public:
  Stream(const std::uint8_t* bytes, std::size_t size, std::uint64_t most_decisions)
      : decoder(bytes, size, most_decisions) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool flag(std::size_t context) { return integers.flag(context, 0) != 0; }
  Size integer(std::size_t context) { return integers.integer(context, 0); }
  std::uint32_t raw(int count) { return decoder.raw(0, count); }
  /// integer(context) + least, unless that is more than `most`.
  Size count(std::size_t context, Size most, const std::string& what, Size least);

  Decoder decoder;
  IntegerModel<Decoder> integers{decoder};
  TensorModel<Decoder> tensors{decoder};
};

/// 0, 1, 2, 3, ... as 0, -1, 1, -2, ...
inline Size unzigzag(Size code) { return code % 2 == 0 ? code / 2 : -(code + 1) / 2; }

[[noreturn]] inline void refuse_file(const std::string& sentence) { throw Error(NS_ERROR_FILE, sentence); }
[[noreturn]] inline void refuse_limit(const std::string& sentence) { throw Error(NS_ERROR_LIMIT, sentence); }

inline Size Stream::count(std::size_t context, Size most, const std::string& what, Size least) {
  const Size count = integer(context) + least;
  if (count > most)
    refuse_limit("the file declares " + with_commas(count) + " " + what + "; at most " + with_commas(most) +
                 " are allowed.");
  return count;
}

}  // namespace netsurgery
