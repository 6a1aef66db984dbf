// Networks on plain kernels alone, node by node, in pieces as one likes: for tests to compare with the reference.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "file/reader.hpp"
#include "plain/kernel.hpp"

namespace nb = nanobind;
using namespace netsurgery;

namespace {

using Given = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;  // of any type
using Made = nb::ndarray<nb::numpy, nb::c_contig>;

struct Free {
  void operator()(float* memory) const { ::operator delete(memory, std::align_val_t(64)); }
};
using Floats = std::unique_ptr<float, Free>;

Size product(const Shape& shape) {
  Size count = 1;
  for (const Size size : shape) count *= size;
  return count;
}

// Exactly so many, so that a sanitizer sees what lies beyond; all NaN, so that what is never written shows.
Floats nans(Size count) {
  Floats memory(
      static_cast<float*>(::operator new(static_cast<std::size_t>(count) * sizeof(float), std::align_val_t(64))));
  std::fill_n(memory.get(), count, std::numeric_limits<float>::quiet_NaN());
  return memory;
}

nb::dlpack::dtype type_of(const ValueTypeEntry& type) {
  if (type.type == ValueType::kBool) return nb::dtype<bool>();
  if (type.type == ValueType::kFloat32) return nb::dtype<float>();
  return type.type == ValueType::kInt32 ? nb::dtype<std::int32_t>() : nb::dtype<std::int64_t>();
}

struct Ways {
  Size each;        // pieces that are run together; 0: all of them
  bool last_first;  // in the opposite order
  bool in_place;    // where a kernel allows it
};

void run_kernel(const PlainKernel& kernel, std::vector<const float*> operands, Size first_count, float* output,
                const Ways& ways) {
  if (ways.in_place && kernel.in_place()) {
    std::copy_n(operands[0], first_count, output);
    operands[0] = output;
  }
  const Size pieces = kernel.pieces(), each = ways.each > 0 ? std::min(ways.each, pieces) : pieces;
  const Size chunks = (pieces + each - 1) / each;
  for (Size i = 0; i < chunks; ++i) {
    const Size chunk = ways.last_first ? chunks - 1 - i : i;
    const Floats scratch = nans(kernel.scratch());
    kernel.run(operands.data(), output, chunk * each, std::min(pieces, (chunk + 1) * each), scratch.get());
  }
}

// What a kernel takes when it is made isn't given to it when it runs.
bool is_taken(Operator op, std::size_t operand) { return entry_of(op).operand(operand).constant; }

nb::list run_plain(const nb::bytes& content, const std::vector<Given>& inputs, const std::vector<Size>& said, Size each,
                   bool last_first, bool in_place) {
  const Graph graph = read_graph(static_cast<const std::uint8_t*>(content.data()), content.size());
  Sizes sizes{};
  std::copy_n(said.begin(), std::min(said.size(), sizes.size()), sizes.begin());
  const std::vector<Shape> shapes = graph.shapes(sizes);
  const auto shape = [&](int value) -> const Shape& { return shapes[static_cast<std::size_t>(value)]; };
  if (inputs.size() != graph.inputs.size()) throw std::invalid_argument("as many arrays as inputs are needed");
  std::vector<Floats> values(shapes.size());
  const auto floats = [&](std::size_t value) {
    const Size bytes = product(shapes[value]) * static_cast<Size>(entry_of(graph.type(static_cast<int>(value))).bytes);
    return (bytes + static_cast<Size>(sizeof(float)) - 1) / static_cast<Size>(sizeof(float));
  };
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (i < inputs.size()) {
      const std::size_t bytes = entry_of(graph.inputs[i].type).bytes;
      if (static_cast<Size>(inputs[i].size()) != product(shapes[i]) || inputs[i].itemsize() != bytes)
        throw std::invalid_argument("an array doesn't fit its input");
      values[i] = nans(floats(i));
      std::memcpy(values[i].get(), inputs[i].data(), inputs[i].nbytes());
      continue;
    }
    values[i] = nans(floats(i));
    if (graph.is_constant(static_cast<int>(i))) {
      const std::vector<float> entries = graph.constant(static_cast<int>(i)).dense();
      std::copy(entries.begin(), entries.end(), values[i].get());
    }
  }
  for (const Node& node : graph.nodes) {
    std::vector<Shape> operand_shapes;
    std::vector<const float*> operands;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const int input = node.inputs[i];
      operand_shapes.push_back(input == kLeftOut ? Shape() : shape(input));
      const bool given = input != kLeftOut && !is_taken(node.op, i);
      operands.push_back(given ? values[static_cast<std::size_t>(input)].get() : nullptr);
    }
    const auto kernel = make_plain_kernel(graph, node, operand_shapes, shape(node.output));
    run_kernel(*kernel, std::move(operands), node.inputs.empty() ? 0 : floats(static_cast<std::size_t>(node.inputs[0])),
               values[static_cast<std::size_t>(node.output)].get(), {each, last_first, in_place});
  }
  nb::list results;
  for (const int output : graph.outputs) {
    const ValueTypeEntry& type = entry_of(graph.type(output));
    Floats copy = nans(floats(static_cast<std::size_t>(output)));
    std::memcpy(copy.get(), values[static_cast<std::size_t>(output)].get(),
                static_cast<std::size_t>(product(shape(output))) * type.bytes);
    float* data = copy.get();
    nb::capsule owner(copy.get(), [](void* memory) noexcept { Free()(static_cast<float*>(memory)); });
    copy.release();
    const std::vector<std::size_t> sizes(shape(output).begin(), shape(output).end());
    results.append(Made(data, sizes.size(), sizes.data(), owner, nullptr, type_of(type)));
  }
  return results;
}

}  // namespace

void bind_plain(nb::module_& m) {
  m.def("run_plain", &run_plain, nb::arg("content"), nb::arg("inputs"), nb::arg("sizes") = std::vector<Size>(),
        nb::arg("each") = 0, nb::arg("last_first") = false, nb::arg("in_place") = false);
}
