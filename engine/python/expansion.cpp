// Filters as sums of planes, for netsurgery.methods. Checks what Python gives; the C++ behind it trusts its arguments.
#include "training/expansion.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <tuple>
#include <vector>

#include "training/kernels.hpp"

namespace nb = nanobind;
using namespace netsurgery;

namespace {

template <class T>
using Rows = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Layer = std::tuple<Rows<float>, Rows<float>, Rows<float>, Rows<std::uint8_t>>;

void require(bool condition, const char* sentence) {
  if (!condition) throw std::invalid_argument(sentence);
}

Filters checked(const Layer& given) {
  const auto& [weights, latent, scales, codes] = given;
  const std::size_t filters = weights.shape(0), entries = weights.shape(1), planes = scales.shape(1);
  require(entries > 0, "a filter needs at least one weight");
  require(planes >= 1 && planes <= kMostPlanes, "planes must be 1 .. 8");
  require(scales.shape(0) == filters, "scales need a row for each filter");
  require(latent.shape(0) == filters && latent.shape(1) == entries, "latent weights need the shape of the weights");
  require(codes.shape(0) == filters && codes.shape(1) == entries, "codes need the shape of the weights");
  return {weights.data(),
          latent.data(),
          scales.data(),
          codes.data(),
          static_cast<std::ptrdiff_t>(filters),
          static_cast<std::ptrdiff_t>(entries),
          static_cast<int>(planes)};
}

std::vector<Filters> checked(const std::vector<Layer>& given, int threads) {
  require(threads >= 1, "threads must be >= 1");
  std::vector<Filters> layers;
  for (const Layer& layer : given) layers.push_back(checked(layer));
  return layers;
}

void expand_in_place(const std::vector<Layer>& given, bool refined, int threads) {
  const std::vector<Filters> layers = checked(given, threads);
  const nb::gil_scoped_release release;
  expand(layers, refined, threads);
}

void sum_in_place(const std::vector<Layer>& given, int threads) {
  const std::vector<Filters> layers = checked(given, threads);
  const nb::gil_scoped_release release;
  sum(layers, threads);
}

std::vector<bool> adopt_in_place(const std::vector<Layer>& given, int threads) {
  const std::vector<Filters> layers = checked(given, threads);
  const nb::gil_scoped_release release;
  return adopt(layers, threads);
}

}  // namespace

void bind_expansion(nb::module_& m) {
  // noconvert: what is written to a converted copy would be lost.
  m.def("expand_in_place", &expand_in_place, nb::arg("layers").noconvert(), nb::arg("refined"), nb::arg("threads"));
  m.def("sum_in_place", &sum_in_place, nb::arg("layers").noconvert(), nb::arg("threads"));
  m.def("adopt_in_place", &adopt_in_place, nb::arg("layers").noconvert(), nb::arg("threads"));
}
