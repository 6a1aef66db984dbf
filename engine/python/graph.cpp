// A file as plain Python objects: for netsurgery/packed/reader.py what it holds, for tests what the engine keeps of it.
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
  nb::dict attributes, follows;
  for (const AttributeEntry& one : entry.attributes) {
    attributes[one.word] = attribute(one, given.attributes);
    const std::vector<int>& extents = given.attributes.value(one.name).extents;
    if (std::any_of(extents.begin(), extents.end(), [](int extent) { return extent != kFixed; }))
      follows[one.word] = numbers(extents);
  }
  return nb::make_tuple(entry.name, numbers(given.inputs), given.output, attributes, follows);
}

nb::tuple terms(const Extent& given);

nb::object factor(const ExtentFactor& given) {
  switch (given.kind) {
    case ExtentFactor::Kind::kAxis:
      return nb::int_(given.axis);
    case ExtentFactor::Kind::kQuotient:
      return nb::make_tuple(terms(given.of), given.divisor);
    case ExtentFactor::Kind::kAbove:
      return nb::make_tuple(terms(given.of), nb::none());
  }
  return nb::none();
}

nb::tuple terms(const Extent& given) {
  return made_of(given.terms, [](const ExtentTerm& term) {
    return nb::make_tuple(made_of(term.factors, factor), term.coefficient);
  });
}

// One axis; the array owns the entries.
template <class T>
nb::object array(std::vector<T> entries) {
  auto held = std::make_unique<std::vector<T>>(std::move(entries));
  T* data = held->data();
  const std::size_t size = held->size();
  nb::capsule owner(held.get(), [](void* pointer) noexcept { delete static_cast<std::vector<T>*>(pointer); });
  held.release();
  return nb::cast(nb::ndarray<nb::numpy, T, nb::c_contig>(data, {size}, owner));
}

nb::tuple constant(const Constant& given) {
  const char* form = given.form == Constant::Form::kDense    ? "dense"
                     : given.form == Constant::Form::kSparse ? "sparse"
                                                             : "planes";
  return nb::make_tuple(form, numbers(given.shape), array(given.dense()).attr("reshape")(given.rows, given.columns));
}

nb::str text(const std::string& given) { return nb::str(given.data(), given.size()); }

nb::tuple shape_of(const Graph& graph, const Input& input) {
  return made_of(input.shape, [&](Size size) {
    return is_open(size) ? nb::object(text(graph.axes[axis_of(size)].name)) : nb::object(nb::int_(size));
  });
}

nb::dict structure(const Graph& graph) {
  nb::dict result;
  result["inputs"] = made_of(graph.inputs, [&](const Input& input) {
    return nb::make_tuple(text(input.name), shape_of(graph, input), static_cast<int>(input.type));
  });
  result["axes"] =
      made_of(graph.axes, [](const OpenAxis& axis) { return nb::make_tuple(text(axis.name), axis.least, axis.step); });
  result["extents"] = made_of(graph.extents, terms);
  result["nodes"] = made_of(graph.nodes, node);
  result["outputs"] = numbers(graph.outputs);
  return result;
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
  nb::dict result = structure(graph);
  result["output_names"] = made_of(graph.output_names, text);
  result["constants"] = made_of(graph.constants, [](const auto& given) { return constant(*given); });
  result["shapes"] = made_of(shapes, [](const Shape& shape) { return numbers(shape); });
  return result;
}

class PyFileReader {
 public:
  PyFileReader(nb::bytes content, Size elements, Size value_elements) : content_(std::move(content)) {
    const auto* bytes = static_cast<const std::uint8_t*>(content_.data());
    const std::size_t size = content_.size();
    nb::gil_scoped_release release;
    reader_ = std::make_unique<FileReader>(bytes, size, Limits{elements, value_elements});
  }
  nb::dict structure() const {
    const Structure& read = reader_->structure();
    nb::dict result = ::structure(read.graph);
    result["names"] = made_of(read.names, text);
    result["constants"] = made_of(read.graph.constants, [](const auto& given) { return numbers(given->shape); });
    return result;
  }
  double structure_bits() const { return reader_->structure_bits(); }
  nb::dict next() {
    StoredTensor tensor;
    Size distinct = 0;
    {
      nb::gil_scoped_release release;
      tensor = reader_->next();
      distinct = tensor.distinct();
    }
    nb::dict result;
    result["encoding"] =
        tensor.mask == format::Mask::kZero ? nb::none() : nb::object(nb::int_(static_cast<int>(tensor.encoding)));
    result["mantissa"] = tensor.mantissa;
    result["shared"] = tensor.shared;
    result["least"] = tensor.least;
    result["span"] = tensor.span;
    result["kept"] = tensor.kept;
    result["distinct"] = distinct;
    result["bits"] = tensor.bits;
    result["values"] = array(std::move(tensor.values));
    result["present"] = array(std::move(tensor.present));
    result["codes"] = array(std::move(tensor.codes));
    result["table"] = array(std::move(tensor.table));
    result["signs"] = array(std::move(tensor.signs));
    return result;
  }
  void finish() {
    nb::gil_scoped_release release;
    reader_->finish();
  }

 private:
  nb::bytes content_;  // kept alive, not copied
  std::unique_ptr<FileReader> reader_;
};

}  // namespace

void bind_graph(nb::module_& m) {
  m.def("read_graph", &viewed, nb::arg("content"), nb::arg("elements") = 0,
        nb::arg("value_elements") = Limits().value_elements, nb::arg("sizes") = nb::none());
  nb::class_<PyFileReader>(m, "FileReader")
      .def(nb::init<nb::bytes, Size, Size>(), nb::arg("content"), nb::arg("elements") = 0,
           nb::arg("value_elements") = Limits().value_elements)
      .def("structure", &PyFileReader::structure)
      .def_prop_ro("structure_bits", &PyFileReader::structure_bits)
      .def("next", &PyFileReader::next)
      .def("finish", &PyFileReader::finish);
}
