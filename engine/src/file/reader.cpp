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
    refuse_file("not an .nsm file: it begins with " + in_hexadecimal(content, std::min(size, std::size_t{4})) +
                ", an .nsm file with " + in_hexadecimal(kMagic, std::size(kMagic)) + " (NSM).");
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

/// What `read` gives, with a refusal in the place of too many decisions.
template <class Read>
auto bounded(Read&& read) {
  try {
    return read();
  } catch (const std::overflow_error&) {
    refuse_limit(
        "reading the file takes far more work than its size explains. If you trust it, raise the limit of elements.");
  }
}

}  // namespace

struct FileReader::Parts {
  Parts(const std::uint8_t* bytes, std::size_t size, std::uint64_t most_decisions)
      : stream(bytes, size, most_decisions) {}
  Stream stream;
  TensorReader tensors{stream};
};

FileReader::FileReader(const std::uint8_t* content, std::size_t size, const Limits& limits) {
  check_header(content, size);
  const Granted granted = granted_to(size, limits);
  const std::uint64_t most_decisions =
      kGrantedDecisions + kGrantedDecisionsPerEntry * static_cast<std::uint64_t>(granted.elements);
  parts_ = std::make_unique<Parts>(content + kHeaderBytes, size - kHeaderBytes, most_decisions);
  structure_ = bounded([&] { return StructureReader(parts_->stream, granted).read(); });
  structure_bits_ = parts_->stream.decoder.bits_read();
}

FileReader::~FileReader() = default;

StoredTensor FileReader::next() {
  return bounded([&] { return parts_->tensors.read(*structure_.graph.constants.at(read_++)); });
}

void FileReader::finish() {
  const Graph& graph = structure_.graph;
  if (!parts_->stream.decoder.at_end()) refuse_file("there are bytes behind the last constant; the file is damaged.");
  if (graph.axes.empty()) return;  // the smallest sizes were checked on the way
  try {
    for (const Sizes& sizes : graph.tried_sizes()) graph.shapes(sizes);
  } catch (const Error& error) {
    refuse_file("the file holds a graph that contradicts itself: " + std::string(error.what()));
  }
}

namespace {

std::vector<std::shared_ptr<Constant>> constants_of(FileReader& reader) {
  std::vector<std::shared_ptr<Constant>> constants;
  while (constants.size() < reader.structure().graph.constants.size())
    constants.push_back(std::make_shared<Constant>(kept(reader.next())));
  reader.finish();
  return constants;
}

}  // namespace

std::vector<std::shared_ptr<Constant>> read_constants(const std::uint8_t* content, std::size_t size,
                                                      const Limits& limits) {
  FileReader reader(content, size, limits);
  return constants_of(reader);
}

Graph read_graph(const std::uint8_t* content, std::size_t size, const Limits& limits) {
  FileReader reader(content, size, limits);
  std::vector<std::shared_ptr<Constant>> constants = constants_of(reader);
  Graph graph = reader.take().graph;
  graph.constants = std::move(constants);
  return graph;
}

}  // namespace netsurgery
