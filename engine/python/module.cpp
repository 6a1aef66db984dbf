// netsurgery._native: each file of this folder adds its part.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_coder(nb::module_& m);
void bind_errors(nb::module_& m);
void bind_expansion(nb::module_& m);
void bind_graph(nb::module_& m);
void bind_instructions(nb::module_& m);
void bind_plain(nb::module_& m);
void bind_session(nb::module_& m);

NB_MODULE(_native, m) {
  m.doc() =
      "The engine in C++; specification/ has its coder and reader in Python, netsurgery.runtime.reference its "
      "operators.";
  bind_errors(m);
  bind_coder(m);
  bind_expansion(m);
  bind_graph(m);
  bind_instructions(m);
  bind_plain(m);
  bind_session(m);
}
