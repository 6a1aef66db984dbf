// Values between NumPy's order and vectors of lanes, and the halo around tiles.
#pragma once

#include <memory>
#include <vector>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/layout.hpp"
#include "lanes/surroundings.hpp"
#include "lanes/vector_picks.hpp"

namespace netsurgery {

/// From NumPy's order to vectors, the halo included; pixels outside of the picture become `outside`.
std::unique_ptr<Step> make_gather(const Kernels& kernels, int plain, int blocked, const Layout& layout, float outside);

/// From vectors to NumPy's order.
std::unique_ptr<Step> make_scatter(const Kernels& kernels, int blocked, const Layout& layout, int plain);

/// From vectors to others, as make_gather would fill them. Both have as many images in a vector.
std::unique_ptr<Step> make_move(const Kernels& kernels, int from, const Layout& source, int to, const Layout& target,
                                float outside);
/// As make_move, of the pixels from a corner on.
std::unique_ptr<Step> make_crop(const Kernels& kernels, int from, const Layout& source, const Corner& corner, int to,
                                const Layout& target, float outside = 0.0f);
/// False if offsets in the source have too many bits.
bool can_move(const Layout& source);

/// Fills the part of the halo that a window needs, in place: with the neighbours' pixels, and `outside` where the
/// picture ends. sees_outside: lanes whose tiles reach beyond the picture are cleared too, as windows see them.
std::unique_ptr<Step> make_halo(const Kernels& kernels, int blocked, const Layout& layout, const Halo& needed,
                                float outside, bool sees_outside, int threads);
/// Where windows see what lies around the tiles of a channel: in a copy of it; where the channel lies, filled in
/// before; or there already.
enum class Dressing : std::uint8_t { kCopied, kFilled, kThere };

/// How a channel, in the first slice of a layout, is copied with what lies around its tiles, 0 outside of the picture:
/// rows one behind another, from the first that windows see. Or how its halo is filled where it lies.
struct DressedTile {
  std::vector<VectorRun> runs;
  std::vector<VectorMove> moves;
  std::vector<LaneMap> maps;               // of moves
  std::vector<std::ptrdiff_t> first_move;  // of each map, and the end

  Size row_floats;        // from a row to the next
  Size floats = 0;        // of the copy
  Size first_floats = 0;  // from the channel's first pixel to what windows see first, in place

  DressedTile(const Layout& layout, const Halo& around, Dressing dressing);
};

/// As make_halo, of whole numbers of 16 bits, in a layout of 32 lanes.
std::unique_ptr<Step> make_fixed_halo(const Kernels& kernels, int blocked, const Layout& layout, const Halo& needed,
                                      std::int16_t outside, bool sees_outside, int threads);
/// The same for a step that fills them channel by channel.
std::unique_ptr<Surroundings> make_fixed_surroundings(const Kernels& kernels, int blocked, const Layout& layout,
                                                      const Halo& needed, std::int16_t outside, bool sees_outside);
/// False if there is nothing that make_halo would have to do.
bool needs_halo(const Layout& layout, const Halo& needed, bool sees_outside);

/// Cycles of one core, roughly.
double gather_cycles(const Layout& layout);
double scatter_cycles(const Layout& layout);
double move_cycles(const Layout& target);
double halo_cycles(const Layout& layout, const Halo& needed);

}  // namespace netsurgery
