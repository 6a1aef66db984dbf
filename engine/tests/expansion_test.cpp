// Filters as sums of planes: the sums that their codes and scales say, signs of what is left over, nothing touched
// beside the filters. netsurgery.methods tests the rest.
#include "training/expansion.hpp"

#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "check.hpp"
#include "training/kernels.hpp"

using namespace netsurgery;

namespace {

/// The filters of a layer, each array in memory of its own that ends where it ends: sanitizers see what goes beyond.
struct Layer {
  std::ptrdiff_t filters, entries;
  int planes;
  std::size_t size;
  std::unique_ptr<float[]> given, weights, latent, scales;
  std::unique_ptr<std::uint8_t[]> codes;

  Layer(std::ptrdiff_t filters, std::ptrdiff_t entries, int planes, unsigned seed)
      : filters(filters), entries(entries), planes(planes), size(static_cast<std::size_t>(filters * entries)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    given = std::make_unique<float[]>(size);
    for (std::size_t i = 0; i < size; ++i) given[i] = normal(random);
    weights = std::make_unique<float[]>(size);
    std::memcpy(weights.get(), given.get(), size * sizeof(float));
    latent = std::make_unique<float[]>(size);
    scales = std::make_unique<float[]>(static_cast<std::size_t>(filters * planes));
    codes = std::make_unique<std::uint8_t[]>(size);
  }

  Filters place() { return {weights.get(), latent.get(), scales.get(), codes.get(), filters, entries, planes}; }
};

double signed_scale(const Layer& layer, std::size_t entry, int plane) {
  const std::size_t filter = entry / static_cast<std::size_t>(layer.entries);
  const double scale = layer.scales[filter * static_cast<std::size_t>(layer.planes) + static_cast<std::size_t>(plane)];
  return layer.codes[entry] >> plane & 1 ? scale : -scale;
}

void check(const Layer& layer) {
  CHECK(!std::memcmp(layer.latent.get(), layer.given.get(), layer.size * sizeof(float)));
  double before = 0, after = 0;
  for (std::size_t i = 0; i < layer.size; ++i) {
    double total = 0;
    for (int plane = 0; plane < layer.planes; ++plane) total += signed_scale(layer, i, plane);
    CHECK(static_cast<double>(layer.weights[i]) == total);  // exact in float32, by the choice of scales
    CHECK(layer.codes[i] < 1 << layer.planes);
    if (layer.planes == 1) CHECK((layer.codes[i] == 1) == (layer.given[i] >= 0));
    before += std::pow(layer.given[i], 2);
    after += std::pow(layer.given[i] - total, 2);
  }
  const double bound = std::pow(1.0 - 1.0 / static_cast<double>(layer.entries), layer.planes);
  CHECK(after <= before * (bound + 1e-5));
}

void sums_are_what_codes_and_scales_say_at_every_size() {
  for (std::ptrdiff_t entries = 1; entries <= 70; ++entries)
    for (int planes = 1; planes <= kMostPlanes; ++planes)
      for (const bool refined : {false, true}) {
        Layer layer(3, entries, planes, static_cast<unsigned>(entries));
        expand({layer.place()}, refined, 1);
        check(layer);
      }
}

void threads_share_the_filters_of_all_layers() {
  std::vector<Layer> layers, alone;
  for (const std::ptrdiff_t entries : {4'001, 30, 70'000}) {
    layers.emplace_back(2'000'000 / entries / 3, entries, 3, 1u);
    alone.emplace_back(2'000'000 / entries / 3, entries, 3, 1u);
  }
  std::vector<Filters> places;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    places.push_back(layers[i].place());
    expand({alone[i].place()}, true, 1);
  }
  expand(places, true, 4);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    check(layers[i]);
    CHECK(!std::memcmp(layers[i].weights.get(), alone[i].weights.get(), layers[i].size * sizeof(float)));
  }
}

void what_was_written_over_sums_is_adopted_and_sums_come_back() {
  for (std::ptrdiff_t entries = 1; entries <= 70; ++entries)
    for (int planes = 1; planes <= kMostPlanes; ++planes) {
      Layer layer(3, entries, planes, static_cast<unsigned>(entries)), other(3, entries, planes, 1u);
      expand({layer.place(), other.place()}, true, 1);
      CHECK(adopt({layer.place(), other.place()}, 1) == std::vector<bool>({false, false}));
      const std::size_t last = layer.size - 1;
      const float sum = layer.weights[last];
      layer.weights[last] = std::nextafter(sum, 2.0f);
      CHECK(adopt({layer.place(), other.place()}, 2) == std::vector<bool>({true, false}));
      CHECK(layer.latent[last] == layer.weights[last]);
      CHECK(!std::memcmp(layer.latent.get(), layer.given.get(), last * sizeof(float)));
      netsurgery::sum({layer.place()}, 1);
      CHECK(layer.weights[last] == sum);
      layer.latent[last] = layer.given[last];
      check(layer);
      check(other);
    }
}

}  // namespace

int main() {
  for (const Instructions set : available_instructions()) {
    setenv("NETSURGERY_ISA", name(set), 1);
    sums_are_what_codes_and_scales_say_at_every_size();
    threads_share_the_filters_of_all_layers();
    what_was_written_over_sums_is_adopted_and_sums_come_back();
  }
}
