// Vectors from wherever others have their lanes: permutations of registers, where an instruction set has them.
#pragma once

#include <memory>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// The first pixel of a value that is left when it is cut.
struct Corner {
  Size z = 0, y = 0, x = 0;
};

/// From vectors to others of as many images, halo and all: the pixels of the source from a corner on, `outside` where
/// the target's picture ends. Entry: float, or a whole number of 16 bits in layouts of 32 lanes. nullptr where kernels
/// have no such permutation, or where a vector comes from so many that going lane by lane is as fast.
template <class Entry>
std::unique_ptr<Step> make_vector_picks(const Kernels& kernels, int from, const Layout& source, const Corner& corner,
                                        int to, const Layout& target, Entry outside);

}  // namespace netsurgery
