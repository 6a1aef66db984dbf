// Lstm, Gru and Rnn as most networks have them: sequence by sequence, a step of which is a product with the weights
// that were kept, and its gates. Threads that are more than the sequences share the units of each.
#pragma once

#include <memory>

#include "graph/recurrence.hpp"
#include "graph/step.hpp"
#include "isa/kernels.hpp"

namespace netsurgery {

/// Buffers of a layer; -1 where there is none. Results that nobody asks for aren't written.
struct RecurrentBuffers {
  int gates, hidden = -1, cell = -1;                 // read
  int steps = -1, last_hidden = -1, last_cell = -1;  // written
  int states = -1;                                   // between two steps: shared_states() floats, where there are any
};

/// False for activations, clipping and other forms of gates that only the plain kernel has.
bool can_run_fast(const Recurrence& layer);
/// How many parts the units of each sequence are cut into, so that threads may share them.
Size recurrent_parts(const Kernels& kernels, const Recurrence& layer, int threads);
/// Floats of the states of all sequences, where more than one part sees them.
Size shared_states(const Recurrence& layer);
/// parts: as recurrent_parts() says.
std::unique_ptr<Step> make_recurrent(const Kernels& kernels, const Recurrence& layer, const RecurrentBuffers& buffers,
                                     Size parts);
double recurrent_cycles(const Kernels& kernels, const Recurrence& layer);

}  // namespace netsurgery
