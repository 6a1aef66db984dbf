// Which instruction set runs: the best one, the one that was asked for, or a named error.
#include "isa/instructions.hpp"

#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "check.hpp"
#include "isa/kernels.hpp"

using namespace netsurgery;

namespace {

const char* const kVariable = "NETSURGERY_ISA";

std::string refusal(const char* value) {
  setenv(kVariable, value, 1);
  try {
    chosen();
  } catch (const Error& error) {
    CHECK(error.status() == NS_ERROR_INSTRUCTIONS);
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void portable_is_always_there_and_last() { CHECK(available_instructions().back() == Instructions::kPortable); }

void the_best_is_chosen_when_nothing_is_asked() {
  unsetenv(kVariable);
  CHECK(chosen() == available_instructions().front());
  setenv(kVariable, "", 1);
  CHECK(chosen() == available_instructions().front());
}

void what_is_asked_is_chosen() {
  for (const Instructions set : available_instructions()) {
    setenv(kVariable, name(set), 1);
    CHECK(chosen() == set);
  }
}

void a_table_was_compiled_as_what_it_is_called() {
  for (const Instructions set : available_instructions()) {
    const Kernels& kernels = kernels_for(set);
    CHECK(kernels.instructions == set);
#if defined(__aarch64__)
    CHECK(!std::strcmp(kernels.compiled_as(), "neon"));  // which every aarch64 has: portable code uses it, too
#else
    CHECK(!std::strcmp(kernels.compiled_as(), name(set)));
#endif
  }
}

void tables_are_complete() {
  for (const Instructions set : available_instructions()) {
    const Kernels& kernels = kernels_for(set);
    for (int columns = 0; columns < kMostStripColumns; ++columns)
      for (int step = 0; step < kStripSteps; ++step) CHECK(kernels.sparse[0][columns][step]);
    CHECK(kernels.most_vectors >= 1 && kernels.most_vectors <= kMostStripColumns && kernels.dense_channels >= 1);
    CHECK(kernels.dense_vectors >= 1 && kernels.dense_vectors <= kMostDenseVectors && kernels.dense_cycles > 0);
    for (int vectors = 0; vectors < kernels.dense_vectors; ++vectors) CHECK(kernels.dense[vectors]);
    CHECK(kernels.pack_pixels && kernels.finish_pixels);
    CHECK(kernels.pool && kernels.sparse_rows && kernels.shuffle && kernels.interleave && kernels.separate);
  }
}

void an_unknown_set_is_refused_with_what_there_is() {
  const std::string sentence = refusal("sse9");
  CHECK(contains(sentence, "'sse9'"));
  for (const Instructions set : available_instructions()) CHECK(contains(sentence, name(set)));
  CHECK(!refusal("AVX2").empty() && !refusal(" avx2").empty() && !refusal("portable,avx2").empty());
}

void a_set_of_other_machines_is_refused() {
#if defined(__x86_64__)
  CHECK(contains(refusal("neon"), "lacks"));
#else
  CHECK(contains(refusal("avx512"), "lacks") && contains(refusal("avx2"), "lacks"));
#endif
}

void a_sentence_stays_readable_whatever_was_typed() {
  const std::string sentence = refusal((std::string("x\n\x1b") + std::string(5000, 'x')).c_str());
  CHECK(sentence.size() < 300 && contains(sentence, "'x??xxx"));
  CHECK(std::all_of(sentence.begin(), sentence.end(), [](char letter) { return letter >= ' ' && letter <= '~'; }));
}

}  // namespace

int main() {
  portable_is_always_there_and_last();
  the_best_is_chosen_when_nothing_is_asked();
  what_is_asked_is_chosen();
  a_table_was_compiled_as_what_it_is_called();
  tables_are_complete();
  an_unknown_set_is_refused_with_what_there_is();
  a_set_of_other_machines_is_refused();
  a_sentence_stays_readable_whatever_was_typed();
}
