// How steps cut their work, so that every thread gets as much of it.
#pragma once

#include <vector>

#include "lanes/ranges.hpp"

namespace netsurgery {

/// How much longer it takes than if all threads were busy to the end, as a factor: pieces of these sizes, one after the
/// other `times` times, go to whoever is free. 1 where there are many for each thread.
double unevenness(const std::vector<Range>& pieces, Size times, int threads);

/// In how many parts to cut the outputs of each strip, where strips are as large as each other. As few as possible,
/// from `least` on: each part reads the whole input again.
Size output_parts(Size strips, Size outputs, int threads, Size least = 1);

/// Strips of at most `most`, of a whole that there is `times` times: as few as possible, but as many for each thread
/// where there are few.
std::vector<Range> shared_parts(Size whole, Size most, Size times, int threads);

/// Channels of which each is seen by its own outputs alone, as many as a near cache holds with all their rows, in and
/// out; as many parts as threads need.
std::vector<Range> parts_of_maps(const Layout& input, const Layout& output, int threads);

}  // namespace netsurgery
