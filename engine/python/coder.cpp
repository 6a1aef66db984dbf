// The coder for Python. Checks what Python gives; the C++ behind it trusts its arguments.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "file/integer_model.hpp"
#include "file/range_coder.hpp"
#include "file/tensor_model.hpp"

namespace nb = nanobind;
using namespace netsurgery;

namespace {

using GridTuple = std::tuple<Index, Index, Index, Index>;
template <class T>
using Input = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Output = nb::ndarray<nb::numpy, T, nb::c_contig>;

constexpr Index kMostEntries = Index{1} << 40;
constexpr std::uint64_t kMostDecisions = std::uint64_t{1} << 62;

void require(bool condition, const char* sentence) {
  if (!condition) throw std::invalid_argument(sentence);
}

Grid checked(const GridTuple& given) {
  const auto [rows, columns, plane, width] = given;
  require(rows > 0 && columns > 0 && plane > 0 && width > 0, "a grid needs sizes of at least 1");
  require(rows <= kMostEntries && columns <= kMostEntries / rows, "a grid is too large");
  require(columns % plane == 0 && plane % width == 0, "a grid's width must divide its plane, its plane the columns");
  return Grid{rows, columns, plane, width};
}

template <class T>
const T* checked(const Input<T>& array, const Grid& grid) {
  require(static_cast<Index>(array.size()) == grid.rows * grid.columns, "an array doesn't fit its grid");
  return array.data();
}

// A mask's entries are places in tables of slots, so that they have to be what they should be.
const std::uint8_t* checked_mask(const Input<std::uint8_t>& array, const Grid& grid) {
  const std::uint8_t* mask = checked(array, grid);
  require(std::all_of(mask, mask + array.size(), [](std::uint8_t entry) { return entry <= 1; }),
          "a mask holds 0 and 1 only");
  return mask;
}

void check_floats(int mantissa, int exponent) {
  require(mantissa >= 0 && mantissa <= 23, "mantissa must be 0 .. 23");
  require(exponent >= 0 && exponent <= 255, "exponent must be 0 .. 255");
}

std::size_t checked_context(int context) {
  require(context >= 0 && context < static_cast<int>(kContexts), "context must be 0 .. 383");
  return static_cast<std::size_t>(context);
}

// A new array, filled by `fill(pointer)` while other Python threads may run.
template <class T, class Fill>
Output<T> filled(Index rows, Index columns, Fill&& fill) {
  auto storage = std::make_unique<T[]>(static_cast<std::size_t>(rows * columns));
  {
    nb::gil_scoped_release release;
    fill(storage.get());
  }
  nb::capsule owner(storage.get(), [](void* pointer) noexcept { delete[] static_cast<T*>(pointer); });
  T* data = storage.release();
  return Output<T>(data, {static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)}, owner);
}

class PyEncoder {
 public:
  PyEncoder() = default;
  PyEncoder(const PyEncoder&) = delete;
  PyEncoder& operator=(const PyEncoder&) = delete;

  void flag(int context, bool bit) { integers_.flag(checked_context(context), bit); }
  void integer(int context, std::int64_t value) {
    require(value >= 0 && value < 0xFFFFFFFF, "an integer must be 0 .. 2^32 - 2");
    integers_.integer(checked_context(context), static_cast<std::uint32_t>(value));
  }
  void raw(std::int64_t value, int count) {
    require(count >= 0 && count <= 16 && value >> count == 0, "raw takes 0 .. 16 bits that hold the value");
    coder_.raw(static_cast<std::uint32_t>(value), count);
  }
  void mask(const GridTuple& given, bool live_columns, const Input<std::uint8_t>& mask) {
    const Grid grid = checked(given);
    auto* entries = const_cast<std::uint8_t*>(checked_mask(mask, grid));  // an encoding model only reads
    nb::gil_scoped_release release;
    tensors_.mask(grid, live_columns, entries);
  }
  void plain_mask(const GridTuple& given, const Input<std::uint8_t>& mask) {
    const Grid grid = checked(given);
    auto* entries = const_cast<std::uint8_t*>(checked_mask(mask, grid));
    nb::gil_scoped_release release;
    tensors_.plain_mask(grid, entries);
  }
  void floats(const GridTuple& given, const Input<std::uint8_t>& mask, int mantissa, int exponent, bool shared,
              bool mixed, const Input<std::uint32_t>& bits) {
    const Grid grid = checked(given);
    check_floats(mantissa, exponent);
    const auto* kept = checked_mask(mask, grid);
    auto* entries = const_cast<std::uint32_t*>(checked(bits, grid));
    nb::gil_scoped_release release;
    tensors_.floats(grid, kept, mantissa, exponent, shared, mixed, entries);
  }
  void codes(const GridTuple& given, const Input<std::uint8_t>& mask, int width, const Input<std::uint8_t>& codes) {
    const Grid grid = checked(given);
    require(width >= 0 && width <= 8, "width must be 0 .. 8");
    const auto* kept = checked_mask(mask, grid);
    auto* entries = const_cast<std::uint8_t*>(checked(codes, grid));
    for (std::size_t i = 0; i < codes.size(); ++i)
      require(!kept[i] || entries[i] >> width == 0, "a code needs more bits");
    nb::gil_scoped_release release;
    tensors_.codes(grid, kept, width, entries);
  }
  void plain_bits(const Input<std::uint8_t>& bits) {
    require(std::all_of(bits.data(), bits.data() + bits.size(), [](std::uint8_t bit) { return bit <= 1; }),
            "plain_bits takes 0 and 1 only");
    tensors_.plain_bits(static_cast<Index>(bits.size()), const_cast<std::uint8_t*>(bits.data()));
  }
  std::uint64_t decisions() const { return coder_.decisions(); }
  nb::object take(std::size_t least) { return joined(coder_.take(least)); }
  nb::object finish() {
    if (!finished_.is_valid()) finished_ = joined(coder_.finish());
    return finished_;
  }

 private:
  static nb::object joined(ByteBlocks bytes) {
    PyObject* whole = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes.size()));
    if (whole == nullptr) throw nb::python_error();
    bytes.move_to(reinterpret_cast<std::uint8_t*>(PyBytes_AsString(whole)));
    return nb::steal(whole);
  }

  nb::object finished_;  // the stream, once it is there
  Encoder coder_;
  IntegerModel<Encoder> integers_{coder_};
  TensorModel<Encoder> tensors_{coder_};
};

class PyDecoder {
 public:
  PyDecoder(nb::bytes content, std::size_t start, std::uint64_t most_decisions)
      : content_(std::move(content)), coder_(from(content_, start), content_.size() - start, most_decisions) {}
  PyDecoder(const PyDecoder&) = delete;
  PyDecoder& operator=(const PyDecoder&) = delete;

  bool flag(int context) { return integers_.flag(checked_context(context), 0) != 0; }
  std::uint32_t integer(int context) { return integers_.integer(checked_context(context), 0); }
  std::uint32_t raw(int count) {
    require(count >= 0 && count <= 16, "raw takes 0 .. 16 bits");
    return coder_.raw(0, count);
  }
  Output<std::uint8_t> mask(const GridTuple& given, bool live_columns) {
    const Grid grid = checked(given);
    return filled<std::uint8_t>(grid.rows, grid.columns,
                                [&](std::uint8_t* mask) { tensors_.mask(grid, live_columns, mask); });
  }
  Output<std::uint8_t> plain_mask(const GridTuple& given) {
    const Grid grid = checked(given);
    return filled<std::uint8_t>(grid.rows, grid.columns, [&](std::uint8_t* mask) { tensors_.plain_mask(grid, mask); });
  }
  Output<std::uint32_t> floats(const GridTuple& given, const Input<std::uint8_t>& mask, int mantissa, int exponent,
                               bool shared, bool mixed) {
    const Grid grid = checked(given);
    check_floats(mantissa, exponent);
    const auto* kept = checked_mask(mask, grid);
    return filled<std::uint32_t>(grid.rows, grid.columns, [&](std::uint32_t* bits) {
      tensors_.floats(grid, kept, mantissa, exponent, shared, mixed, bits);
    });
  }
  Output<std::uint8_t> codes(const GridTuple& given, const Input<std::uint8_t>& mask, int width) {
    const Grid grid = checked(given);
    require(width >= 0 && width <= 8, "width must be 0 .. 8");
    const auto* kept = checked_mask(mask, grid);
    return filled<std::uint8_t>(grid.rows, grid.columns,
                                [&](std::uint8_t* codes) { tensors_.codes(grid, kept, width, codes); });
  }
  Output<std::uint8_t> plain_bits(Index count) {
    require(count > 0 && count <= kMostEntries, "plain_bits takes a count of at least 1");
    return filled<std::uint8_t>(1, count, [&](std::uint8_t* bits) { tensors_.plain_bits(count, bits); });
  }
  bool at_end() const { return coder_.at_end(); }
  double bits_read() const { return coder_.bits_read(); }

 private:
  static const std::uint8_t* from(const nb::bytes& content, std::size_t start) {
    require(start <= content.size(), "start lies behind the end");
    return static_cast<const std::uint8_t*>(content.data()) + start;
  }

  nb::bytes content_;  // kept alive, not copied
  Decoder coder_;
  IntegerModel<Decoder> integers_{coder_};
  TensorModel<Decoder> tensors_{coder_};
};

}  // namespace

void bind_coder(nb::module_& m) {
  nb::class_<PyEncoder>(m, "Encoder")
      .def(nb::init<>())
      .def("flag", &PyEncoder::flag, nb::arg("context"), nb::arg("bit"))
      .def("integer", &PyEncoder::integer, nb::arg("context"), nb::arg("value"))
      .def("raw", &PyEncoder::raw, nb::arg("value"), nb::arg("count"))
      .def("mask", &PyEncoder::mask, nb::arg("grid"), nb::arg("live_columns"), nb::arg("mask").noconvert())
      .def("plain_mask", &PyEncoder::plain_mask, nb::arg("grid"), nb::arg("mask").noconvert())
      .def("floats", &PyEncoder::floats, nb::arg("grid"), nb::arg("mask").noconvert(), nb::arg("mantissa"),
           nb::arg("exponent"), nb::arg("shared"), nb::arg("mixed"), nb::arg("bits").noconvert())
      .def("codes", &PyEncoder::codes, nb::arg("grid"), nb::arg("mask").noconvert(), nb::arg("width"),
           nb::arg("codes").noconvert())
      .def("plain_bits", &PyEncoder::plain_bits, nb::arg("bits").noconvert())
      .def("take", &PyEncoder::take, nb::arg("least"))
      .def("finish", &PyEncoder::finish)
      .def_prop_ro("decisions", &PyEncoder::decisions);
  nb::class_<PyDecoder>(m, "Decoder")
      .def(nb::init<nb::bytes, std::size_t, std::uint64_t>(), nb::arg("content"), nb::arg("start") = 0,
           nb::arg("most_decisions") = kMostDecisions)
      .def("flag", &PyDecoder::flag, nb::arg("context"))
      .def("integer", &PyDecoder::integer, nb::arg("context"))
      .def("raw", &PyDecoder::raw, nb::arg("count"))
      .def("mask", &PyDecoder::mask, nb::arg("grid"), nb::arg("live_columns"))
      .def("plain_mask", &PyDecoder::plain_mask, nb::arg("grid"))
      .def("floats", &PyDecoder::floats, nb::arg("grid"), nb::arg("mask").noconvert(), nb::arg("mantissa"),
           nb::arg("exponent"), nb::arg("shared"), nb::arg("mixed"))
      .def("codes", &PyDecoder::codes, nb::arg("grid"), nb::arg("mask").noconvert(), nb::arg("width"))
      .def("plain_bits", &PyDecoder::plain_bits, nb::arg("count"))
      .def_prop_ro("at_end", &PyDecoder::at_end)
      .def_prop_ro("bits_read", &PyDecoder::bits_read);
}
