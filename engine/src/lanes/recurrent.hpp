// Lstm, Gru and Rnn as most networks have them: sequence by sequence, a step of which is a product with the weights
// that were kept, and its gates.
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
};

/// False for activations, clipping and other forms of gates that only the plain kernel has.
bool can_run_fast(const Recurrence& layer);
std::unique_ptr<Step> make_recurrent(const Kernels& kernels, const Recurrence& layer, const RecurrentBuffers& buffers);
double recurrent_cycles(const Kernels& kernels, const Recurrence& layer);

}  // namespace netsurgery
