#include "file/reader.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "file/checksum.hpp"
#include "file/structure_reader.hpp"
#include "file/tensor_reader.hpp"

namespace netsurgery {
namespace {

using namespace format;

void check_header(const std::uint8_t* content, std::size_t size) {
  if (!std::equal(std::begin(kMagic), std::end(kMagic), content, content + std::min(size, std::size(kMagic))))
    refuse_file("not an .nsm file: it doesn't begin with NSM.");
  if (size < kHeaderBytes)
    refuse_file("the file ends within its header: " + std::to_string(size) + " of " + std::to_string(kHeaderBytes) +
                " bytes.");
  const int version = content[std::size(kMagic)];
  if (version != kVersion)
    throw Error(NS_ERROR_VERSION, "the file has version " + std::to_string(version) +
                                      " of the format; this release reads " + std::to_string(kVersion) + ": " +
                                      (version > kVersion ? "install a newer netsurgery." : "write it again."));
  std::uint32_t claimed = 0;
  for (std::size_t i = 0; i < 4; ++i) claimed |= static_cast<std::uint32_t>(content[4 + i]) << (8 * i);
  const std::uint32_t found = checksum(content + kHeaderBytes, size - kHeaderBytes);
  if (claimed != found)
    refuse_file("the file is damaged or truncated: its checksum is " + in_hexadecimal(found) + ", " +
                in_hexadecimal(claimed) + " is written.");
}

Granted granted_to(std::size_t size, const Limits& limits) {
  constexpr auto kAllOfThem = static_cast<std::size_t>(kMostGrantedEntries / kGrantedEntriesPerByte);
  const Size by_size = static_cast<Size>(std::min(size, kAllOfThem)) * kGrantedEntriesPerByte + kGrantedEntries;
  const Size by_default = std::min(by_size, Size{kMostGrantedEntries});
  return {std::clamp(limits.elements == 0 ? by_default : limits.elements, Size{0}, kMostEntries),
          std::min(limits.value_elements, kMostEntries)};
}

Graph read(Stream& stream, const Granted& granted) {
  Graph graph = StructureReader(stream, granted).read();
  TensorReader tensors(stream);
  for (Constant& constant : graph.constants) tensors.read(constant);
  if (!stream.decoder.at_end()) refuse_file("there are bytes behind the last constant; the file is damaged.");
  return graph;
}

}  // namespace

Graph read_graph(const std::uint8_t* content, std::size_t size, const Limits& limits) {
  check_header(content, size);
  const Granted granted = granted_to(size, limits);
  const std::uint64_t most_decisions =
      kGrantedDecisions + kGrantedDecisionsPerEntry * static_cast<std::uint64_t>(granted.elements);
  // Its tables of contexts are too large for the stack of some threads.
  const auto stream = std::make_unique<Stream>(content + kHeaderBytes, size - kHeaderBytes, most_decisions);
  Graph graph;
  try {
    graph = read(*stream, granted);
  } catch (const std::overflow_error&) {
    refuse_limit(
        "reading the file takes far more work than its size explains. If you trust it, raise the limit of elements.");
  }
  if (!graph.axes.empty()) {  // the smallest sizes were checked on the way
    try {
      for (const Sizes& sizes : graph.tried_sizes()) graph.shapes(sizes);
    } catch (const Error& error) {
      refuse_file("the file holds a graph that contradicts itself: " + std::string(error.what()));
    }
  }
  return graph;
}

}  // namespace netsurgery
