#include "session/runner.hpp"

#include <algorithm>
#include <new>

namespace netsurgery {
namespace {

constexpr double kSharedFrom = 3000;  // cycles: a few times what it takes threads to meet

/// cycles: of the whole step, which is shared as often as threads meet in it.
bool is_worth_sharing(const Step& step, double cycles) {
  const Size at_once = step.pieces_at_once();
  return at_once > 1 && cycles * static_cast<double>(at_once) >= kSharedFrom * static_cast<double>(step.pieces());
}

}  // namespace

bool Memory::reserve(Size floats) {
  if (floats <= size_) return false;
  floats_.reset(
      static_cast<float*>(::operator new(static_cast<std::size_t>(floats) * sizeof(float), std::align_val_t(64))));
  std::fill_n(floats_.get(), floats, 0.0f);
  size_ = floats;
  return true;
}

Binding::Binding(const Plan& plan, const Memory& arena, Size images) {
  for (std::size_t i = 0; i < plan.buffers.size(); ++i) {
    const Buffer& buffer = plan.buffers[i];
    const auto number = static_cast<std::size_t>(buffer.number);
    float* address = nullptr;
    if (buffer.home == Buffer::Home::kArena)
      address = arena.at(buffer.offset);
    else if (buffer.home == Buffer::Home::kConstant)
      address = const_cast<float*>(buffer.constant.data());  // no step writes it
    else
      outside_.push_back({i, buffer.home == Buffer::Home::kInput, number, buffer.bytes() / images});
    addresses_.push_back(address);
  }
}

void Binding::set(const void* const* inputs, void* const* outputs, Size first_image) {
  for (const Outside& one : outside_) {
    // No step writes an input. What has another type is only read and written as what it is.
    void* given = one.input ? const_cast<void*>(inputs[one.number]) : outputs[one.number];
    addresses_[one.buffer] = reinterpret_cast<float*>(static_cast<char*>(given) + first_image * one.bytes_per_image);
  }
}

void run_alone(const Plan& plan, Buffers buffers, float* scratch) {
  for (const auto& step : plan.steps) step->run(buffers, 0, step->pieces(), scratch);
}

Sharing::Sharing(const Plan& plan, int threads)
    : plan_(plan),
      threads_(threads),
      next_(new Next[plan.steps.size() * static_cast<std::size_t>(threads)]),
      barrier_(threads) {
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    shared_.push_back(is_worth_sharing(*plan.steps[i], plan.infos[i].cycles));
    for (int thread = 0; thread < threads; ++thread) begin(i, thread);
  }
}

void Sharing::begin(std::size_t step, int thread) {
  next(step, thread).piece.store(plan_.steps[step]->pieces() * thread / threads_, std::memory_order_relaxed);
}

void Sharing::run(Threads& threads, Buffers buffers, const std::vector<float*>& scratch) {
  auto part = [&](int thread) { work(buffers, scratch[static_cast<std::size_t>(thread)], thread); };
  threads.run(part);
}

void Sharing::work(Buffers buffers, float* scratch, int thread) {
  bool together = true;  // every thread knows of everything that was done
  for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
    const Step& step = *plan_.steps[i];
    const Size pieces = step.pieces();
    if (!shared_[i]) {
      if (thread == 0) step.run(buffers, 0, pieces, scratch);
      together = false;
      continue;
    }
    if (!together) barrier_.wait(thread);
    together = true;
    if (const Size at_once = step.pieces_at_once(); at_once < pieces) {
      for (Size first = 0; first < pieces; first += at_once) {
        step.run(buffers, first + at_once * thread / threads_, first + at_once * (thread + 1) / threads_, scratch);
        barrier_.wait(thread);
      }
      continue;
    }
    for (int turn = 0; turn < threads_; ++turn) {
      const int owner = (thread + turn) % threads_;
      const Size end = pieces * (owner + 1) / threads_;
      std::atomic<Size>& next_piece = next(i, owner).piece;
      // Looking comes first: most of the time nothing is left of others' shares, and a change would take the line away.
      while (next_piece.load(std::memory_order_relaxed) < end) {
        const Size piece = next_piece.fetch_add(1, std::memory_order_relaxed);
        if (piece < end) step.run(buffers, piece, piece + 1, scratch);
      }
    }
    barrier_.wait(thread);
    begin(i, thread);  // for the next run: nobody looks for pieces of this step any more
  }
}

}  // namespace netsurgery
