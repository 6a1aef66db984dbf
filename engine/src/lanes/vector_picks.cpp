#include "lanes/vector_picks.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace netsurgery {
namespace {

template <class Entry>
constexpr Size kEntriesPerFloat = static_cast<Size>(sizeof(float) / sizeof(Entry));  // layouts count in floats

auto kernel_of(const Kernels& kernels, float) { return kernels.pick_vectors; }
auto kernel_of(const Kernels& kernels, std::int16_t) { return kernels.fixed_pick_vectors; }

/// How each vector of a target, halo and all, is picked from those of a source; nothing if some come from too many.
template <class Entry>
std::vector<VectorPick<Entry>> picks(const Layout& source, const Corner& corner, const Layout& target) {
  using Pick = VectorPick<Entry>;
  std::vector<Pick> found;
  for (Size z = -target.halo.front; z < target.slices() - target.halo.front; ++z)
    for (Size y = -target.halo.above; y < target.rows() - target.halo.above; ++y)
      for (Size x = -target.halo.left; x < target.columns() - target.halo.left; ++x) {
        Pick& picked = found.emplace_back();
        picked.target = kEntriesPerFloat<Entry> * target.at(0, z, y, 0, x);
        for (auto& lanes : picked.lanes) std::fill(std::begin(lanes), std::end(lanes), typename Pick::Lane{-1});
        for (Size lane = 0; lane < Pick::kLanes; ++lane) {
          const Size far = target.lane_z(lane) + z, down = target.lane_y(lane) + y, right = target.lane_x(lane) + x;
          if (!target.image.has(far, down, right)) continue;
          const Size seen_z = far + corner.z, seen_y = down + corner.y, seen_x = right + corner.x;
          const Size from = kEntriesPerFloat<Entry> * source.vector_of(seen_z, seen_y, seen_x);
          const auto end = std::begin(picked.sources) + picked.count;
          const auto place = std::find(std::begin(picked.sources), end, from);
          if (place == end) {
            if (picked.count == kMostPickedFrom) return {};
            picked.sources[picked.count++] = from;
          }
          picked.lanes[place - std::begin(picked.sources)][lane] =
              static_cast<typename Pick::Lane>(source.lane_of(target.lane_image(lane), seen_z, seen_y, seen_x));
        }
      }
  return found;
}

/// Pieces: some channels of groups of images.
template <class Entry>
class VectorPicking final : public Step {
 public:
  VectorPicking(const Kernels& kernels, int from, const Layout& source, int to, const Layout& target,
                std::vector<VectorPick<Entry>> picked, Entry outside)
      : kernels_(kernels),
        from_(from),
        to_(to),
        source_(source),
        target_(target),
        picked_(std::move(picked)),
        outside_(outside) {}

  Size pieces() const override { return target_.groups() * blocks(); }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size group = piece / blocks(), first = piece % blocks() * kChannels;
      VectorPicks<Entry> work{};
      work.input = entries(buffers[from_] + group * source_.group_floats() + first * source_.channel_floats());
      work.output = entries(buffers[to_] + group * target_.group_floats() + first * target_.channel_floats());
      work.channels = std::min(kChannels, target_.image.channels - first);
      work.input_channel = kEntriesPerFloat<Entry> * source_.channel_floats();
      work.output_channel = kEntriesPerFloat<Entry> * target_.channel_floats();
      work.picked = picked_.data();
      work.count = static_cast<std::ptrdiff_t>(picked_.size());
      work.outside = outside_;
      kernel_of(kernels_, outside_)(work);
    }
  }

 private:
  static constexpr Size kChannels = 8;  // at once: they stay in a near cache
  Size blocks() const { return ceil_divided(target_.image.channels, kChannels); }
  static Entry* entries(float* memory) { return reinterpret_cast<Entry*>(memory); }

  const Kernels& kernels_;
  int from_, to_;
  Layout source_, target_;
  std::vector<VectorPick<Entry>> picked_;
  Entry outside_;
};

}  // namespace

template <class Entry>
std::unique_ptr<Step> make_vector_picks(const Kernels& kernels, int from, const Layout& source, const Corner& corner,
                                        int to, const Layout& target, Entry outside) {
  if (!kernel_of(kernels, outside)) return nullptr;
  std::vector<VectorPick<Entry>> picked = picks<Entry>(source, corner, target);
  if (picked.empty()) return nullptr;
  return std::make_unique<VectorPicking<Entry>>(kernels, from, source, to, target, std::move(picked), outside);
}

template std::unique_ptr<Step> make_vector_picks(const Kernels&, int, const Layout&, const Corner&, int, const Layout&,
                                                 float);
template std::unique_ptr<Step> make_vector_picks(const Kernels&, int, const Layout&, const Corner&, int, const Layout&,
                                                 std::int16_t);

}  // namespace netsurgery
