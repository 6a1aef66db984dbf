// Runs a fuzz target without libFuzzer: `standalone N [SEED [FOLDER]]`, N inputs: random ones or files of the folder to
// begin with, then changed ones of before.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
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

// In the order of their names, so that a seed means the same everywhere.
std::vector<Bytes> files_of(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_regular_file()) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> files;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return files;
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
  const std::vector<Bytes> files = count > 3 ? files_of(arguments[3]) : std::vector<Bytes>();
  Bytes bytes;
  for (long i = 0; i < inputs; ++i) {
    if (i % 4 == 0)
      bytes = files.empty() || random() % 8 == 0 ? random_input(random) : files[random() % files.size()];
    else
      change(bytes, random);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%ld inputs\n", inputs);
}
