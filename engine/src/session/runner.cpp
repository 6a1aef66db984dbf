#include "session/runner.hpp"

#include <algorithm>
#include <new>
#include <vector>

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

double shared_cycles(const Plan& plan, int threads) {
  constexpr double kMeeting = 2000, kMeetingOften = 1000;  // of a step; of each turn of one that has many
  // Of a cache line from another core, some 13 cycles where many are on their way, most of them foreseen; of one that
  // is written while another core has it, half. Measured on Zen 4 and a Xeon, by what two threads gain.
  constexpr double kPerByte = 0.2, kPerWritten = 0.1;
  enum class Made : std::uint8_t { kOutside, kAlone, kByAll, kInParts };
  std::vector<Made> made(plan.buffers.size(), Made::kOutside);
  const double share = 1.0 / threads, others = 1 - share;
  const auto memory_of = [&](int buffer) {
    while (plan.buffers[static_cast<std::size_t>(buffer)].same_as >= 0)
      buffer = plan.buffers[static_cast<std::size_t>(buffer)].same_as;
    return static_cast<std::size_t>(buffer);
  };
  const auto bytes_of = [&](int buffer) {
    return static_cast<double>(plan.buffers[static_cast<std::size_t>(buffer)].bytes());
  };
  double cycles = 0;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = *plan.steps[i];
    const StepInfo& info = plan.infos[i];
    const bool shared = is_worth_sharing(step, info.cycles), by_outputs = step.readers() > 1;
    const double turns = static_cast<double>(step.pieces()) / static_cast<double>(step.pieces_at_once());
    cycles += shared ? info.cycles * share + std::max(kMeeting, kMeetingOften * turns) : info.cycles;
    for (const int buffer : info.reads) {
      const Made before = made[memory_of(buffer)];
      double foreign = 0;  // share of the buffer that comes from other cores
      if (before != Made::kOutside && (shared || before != Made::kAlone)) {
        if (!shared || (by_outputs && before != Made::kAlone))
          foreign = others;
        else if (before == Made::kAlone)
          foreign = by_outputs ? 1 : share;
        else if (before == Made::kInParts)
          foreign = others * share;
      }
      cycles += kPerByte * foreign * bytes_of(buffer);
    }
    for (const int buffer : info.writes) {
      if (shared) cycles += kPerWritten * share * bytes_of(buffer);
      made[memory_of(buffer)] = !shared ? Made::kAlone : by_outputs ? Made::kInParts : Made::kByAll;
    }
  }
  return cycles;
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
