// Whole numbers of 16 bits from floats in NumPy's order, from other vectors, and back.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// What floats become: times a power of two, cut to limits that are whole numbers of 16 bits, and rounded.
struct FixedRounding {
  float factor, low, high;
};

/// Floats in NumPy's order become whole numbers in vectors, halo and all; `outside` of the picture,
/// which is within the limits.
std::unique_ptr<Step> make_fixed_gather(const Kernels& kernels, int plain, int blocked, const Layout& layout,
                                        const FixedRounding& rounding, std::int16_t outside);
/// From vectors to others of as many images, as a gather would fill them.
std::unique_ptr<Step> make_fixed_move(const Kernels& kernels, int from, const Layout& source, int to,
                                      const Layout& target, std::int16_t outside);
/// To floats in NumPy's order, times a power of two.
std::unique_ptr<Step> make_fixed_scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain,
                                         float factor);

/// Cycles of one core, roughly.
double fixed_gather_cycles(const Layout& layout);
double fixed_scatter_cycles(const Layout& layout);
double fixed_move_cycles(const Layout& target);

}  // namespace netsurgery
