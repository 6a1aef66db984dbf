// Runs the fuzz target without libFuzzer: `standalone N [SEED]`, N inputs, random ones and changed ones of before.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes random_input(std::mt19937_64& random) {
  Bytes bytes(random() % 300);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  // Runs of one value lead far into what is nearly certain.
  if (random() % 2 && !bytes.empty())
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(random() % bytes.size()), bytes.end(),
              random() % 2 ? 0 : 255);
  return bytes;
}

void change(Bytes& bytes, std::mt19937_64& random) {
  for (std::uint64_t changes = 1 + random() % 4; changes > 0 && !bytes.empty(); --changes)
    bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1u << random() % 8);
  if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 20));
}

}  // namespace

int main(int count, char** arguments) {
  const long inputs = count > 1 ? std::atol(arguments[1]) : 10000;
  std::mt19937_64 random(count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 0);
  Bytes bytes;
  for (long i = 0; i < inputs; ++i) {
    if (i % 4 == 0)
      bytes = random_input(random);
    else
      change(bytes, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%ld inputs\n", inputs);
}
