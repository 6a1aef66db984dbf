// Which kernels run, for Python: netsurgery.Session and the tests ask.
#include "isa/instructions.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "isa/kernels.hpp"

namespace nb = nanobind;

void bind_instructions(nb::module_& m) {
  using namespace netsurgery;
  m.def("instructions", [] { return std::string(name(chosen())); });
  m.def("compiled_as", [] { return std::string(kernels_for(chosen()).compiled_as()); });
  m.def("available_instructions", [] {
    std::vector<std::string> names;
    for (const Instructions set : available_instructions()) names.emplace_back(name(set));
    return names;
  });
}
