// A read graph as plain Python objects, for tests and fuzzing to compare with what the Python reader reads.
#include "graph/graph.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "file/reader.hpp"

namespace nb = nanobind;
using namespace netsurgery;

namespace {

template <class Items, class Made>
nb::tuple made_of(const Items& items, Made&& made) {
  nb::list list;
  for (const auto& item : items) list.append(made(item));
  return nb::tuple(list);
}

// Sizes and places; a negative one (an operand left out) is None.
template <class Number>
nb::tuple numbers(const std::vector<Number>& given) {
  return made_of(given, [](Number number) { return number < 0 ? nb::none() : nb::object(nb::int_(number)); });
}

nb::object attribute(const AttributeEntry& entry, const Attributes& attributes) {
  switch (entry.kind) {
    case AttributeKind::kInt:
      return nb::int_(attributes.integer(entry.name));
    case AttributeKind::kInts:
      return made_of(attributes.integers(entry.name), [](Size number) { return nb::int_(number); });
    case AttributeKind::kFloat:
      return nb::float_(static_cast<double>(attributes.number(entry.name)));
    case AttributeKind::kFloats:
      return made_of(attributes.numbers(entry.name),
                     [](float number) { return nb::float_(static_cast<double>(number)); });
    case AttributeKind::kFlag:
      return nb::bool_(attributes.flag(entry.name));
    case AttributeKind::kChoice:
      return nb::str(entry.choices[static_cast<std::size_t>(attributes.integer(entry.name))]);
  }
  return nb::none();
}

nb::tuple node(const Node& given) {
  const OperatorEntry& entry = entry_of(given.op);
  nb::dict attributes;
  for (const AttributeEntry& one : entry.attributes) attributes[one.word] = attribute(one, given.attributes);
  return nb::make_tuple(entry.name, numbers(given.inputs), given.output, attributes);
}

nb::tuple constant(const Constant& given) {
  const char* form = given.form == Constant::Form::kDense    ? "dense"
                     : given.form == Constant::Form::kSparse ? "sparse"
                                                             : "planes";
  auto entries = std::make_unique<std::vector<float>>(given.dense());
  float* data = entries->data();
  nb::capsule owner(entries.get(), [](void* pointer) noexcept { delete static_cast<std::vector<float>*>(pointer); });
  entries.release();
  const nb::ndarray<nb::numpy, float, nb::c_contig> matrix(
      data, {static_cast<std::size_t>(given.rows), static_cast<std::size_t>(given.columns)}, owner);
  return nb::make_tuple(form, numbers(given.shape), matrix);
}

nb::str text(const std::string& given) { return nb::str(given.data(), given.size()); }

nb::tuple shape_of(const Graph& graph, const Input& input) {
  return made_of(input.shape, [&](Size size) {
    return is_open(size) ? nb::object(text(graph.axes[axis_of(size)].name)) : nb::object(nb::int_(size));
  });
}

nb::dict viewed(const nb::bytes& content, Size elements, Size value_elements, const nb::object& given) {
  Graph graph;
  std::vector<Shape> shapes;
  std::vector<Size> said;
  if (!given.is_none()) said = nb::cast<std::vector<Size>>(given);
  {
    const auto* bytes = static_cast<const std::uint8_t*>(content.data());
    const std::size_t size = content.size();
    nb::gil_scoped_release release;
    graph = read_graph(bytes, size, Limits{elements, value_elements});
    Sizes sizes = graph.least();
    std::copy_n(said.begin(), std::min(said.size(), sizes.size()), sizes.begin());
    shapes = graph.shapes(sizes);
  }
  nb::dict result;
  result["inputs"] = made_of(graph.inputs, [&](const Input& input) {
    return nb::make_tuple(text(input.name), shape_of(graph, input), static_cast<int>(input.type));
  });
  result["least"] = made_of(graph.axes, [](const OpenAxis& axis) { return nb::int_(axis.least); });
  result["steps"] = made_of(graph.axes, [](const OpenAxis& axis) { return nb::int_(axis.step); });
  result["nodes"] = made_of(graph.nodes, node);
  result["outputs"] = numbers(graph.outputs);
  result["output_names"] = made_of(graph.output_names, text);
  result["constants"] = made_of(graph.constants, constant);
  result["shapes"] = made_of(shapes, [](const Shape& shape) { return numbers(shape); });
  return result;
}

}  // namespace

void bind_graph(nb::module_& m) {
  m.def("read_graph", &viewed, nb::arg("content"), nb::arg("elements") = 0,
        nb::arg("value_elements") = Limits().value_elements, nb::arg("sizes") = nb::none());
}
