// Decides for each node of a graph how it runs and where its values lie.
#pragma once

#include <functional>
#include <optional>

#include "lanes/convolution.hpp"
#include "lanes/entries.hpp"
#include "lanes/layout.hpp"
#include "lanes/pooling.hpp"
#include "lanes/scaling.hpp"
#include "lanes/tokens.hpp"
#include "plan/plan.hpp"

namespace netsurgery {

constexpr Size kFewestForLanes = 4;  // images, for a fully connected layer that has a lane for each
constexpr double kCyclesPerPlainEntry = 4.0;
// Of what shares memory: vectors of a row, when halos have grown by so many columns, and rows that windows reach.
constexpr Size kMostSharedRow = Size{1} << 19, kGrownBeside = 128, kMostSharedReach = 32;

/// Of one operand, each entry by itself.
bool is_entrywise(Operator op);

/// Goes over the nodes once, choosing; steps are made afterwards, when every halo is as large as its readers need.
class Planner {
 public:
  Planner(const Graph& graph, const Kernels& kernels, const Sizes& sizes, const PlanOptions& options);
  Plan plan();

 private:
  /// A value in vectors. Places whose values are combined entry by entry share a layout, so that they have one halo.
  struct Place {
    int layout;
    int buffer;
  };
  /// A value in vectors whose channels are scaled.
  struct Scaled {
    const Node* node;
    int source;
    Place from;  // of the source
    Scaling scaling;
    std::vector<int> reads;
  };
  struct Value {
    int plain = -1;                // buffer
    std::vector<Place> places;     // the same value in vectors, the first one as its node made it
    std::vector<Place> fixed;      // the same value as whole numbers of 16 bits, in vectors of 32 lanes
    Place tokens{-1, -1};          // the same value as tokens of its last axis' channels (lanes/tokens.hpp)
    int flat_of = -1;              // the value that this one is a flattened view of
    int rounded_from = -1;         // the value that this one is Quantize of, with neither scale nor shift
    std::optional<Scaled> scaled;  // it waits for the convolution that scales its inputs on the way
  };
  /// Memory where the channels of some values lie one behind another: what Concat makes is all of them, what Slice
  /// makes some, and neither costs anything.
  struct Stack {
    int buffer;
    Size channels;
  };
  /// Which channels of which stack a layout's are.
  struct Share {
    int stack = -1;  // -1: none
    Size first = 0;
  };
  /// How a node's input and output would lie, and what that costs.
  struct Choice {
    int place = -1;  // of the input's; -1: it is gathered anew
    Tiling input, output;
    Halo halo;
    double cycles = 0;  // infinite: there is no way
  };
  /// What follows a node.
  struct Ahead {
    Windows windows;           // strides of the next ones that have some, multiplied; kernels of those right behind
    bool needs_lanes = false;  // false: all that follows can go on in NumPy's order
    double narrowest = 1;      // the value of fewest entries on the way there, as a share of the output
  };
  /// Numbers k * 2^exponent, k a whole number from low to high.
  struct Grid {
    bool known = false;
    int exponent = 0;
    Size low = 0, high = 0;
  };
  /// A sum of a layer's rounded output and another value, and the Quantize behind it, if there is one.
  struct Added {
    const Node *add = nullptr, *last = nullptr;
    int other = -1;
    Grid made;
  };
  using Make = std::function<std::unique_ptr<Step>()>;
  /// A value as entries of another one, `strides` apart along its axes.
  struct View {
    int root;
    Shape shape;
    std::vector<Size> strides;
    Size offset;
  };
  /// factor * softmax(scale * query key^T, masked) value, each (..., tokens, channels) for some heads.
  struct Attended {
    int query, key, value;   // roots
    std::vector<int> masks;  // values, as heads.masks has them
    int factor = -1;         // value, as heads.factor has it
    int product = -1;        // value: with the factor, if there is one
    int output;              // the value that has all heads' channels side by side
    AttentionHeads heads;    // but for buffers and layouts
  };

  void node(const Node& node);
  bool convolution(const Node& node);
  /// What of a Conv, which its input's value and weights tell.
  Convolution convolution_of(const Node& node) const;
  bool linear(const Node& node);
  bool pool(const Node& node);
  /// True if a node averages all pixels of each channel.
  bool averages_pictures(const Node& node) const;
  bool global_average(const Node& node);
  /// A Resize that repeats each pixel.
  bool repeated(const Node& node);
  /// Slices with steps over pixels, and zeros around channels: the shortcuts of residual networks.
  bool thinned(const Node& node);
  bool thins(const Node& node, Windows& strides, Size& before) const;
  bool unary(const Node& node);
  bool normalisation(const Node& node);
  bool recurrent(const Node& node);
  /// A Linear on more axes than two, all rows of x in vectors; its output comes back in NumPy's order.
  bool flattened(const Node& node, Size count);
  bool of_its_own(const Node& node);
  bool binary(const Node& node);
  bool concat(const Node& node);
  bool depth_to_space(const Node& node);
  bool crop(const Node& node);
  bool slice(const Node& node);
  /// A product or a sum of a value in vectors and a number for each channel, and what can be done with it.
  void scaled(const Node& node, int source, const ChannelNumbers& numbers);
  void scale_now(int value, const Scaled& scaled);
  /// True if the convolution that is a value's only reader will scale its inputs on the way.
  bool is_scaled_later(int value, const Scaled& scaled) const;
  /// True if a node combines a value with one number for each channel, or for all.
  bool channel_numbers(const Node& node, int main, const Tiling& tiling, ChannelNumbers& numbers);
  bool reshape(const Node& node);
  void plain_node(const Node& node);

  // Fixed point (planner_fixed.cpp)
  Grid grid_of(const Node& node) const;
  /// That of sums which are rounded no more; not known if they needn't have 16 bits.
  static Grid sum_of(const Grid& a, const Grid& b);
  /// The Quantize, or QuantizePlanes, that is a value's only reader, if what it gives has 16 bits and its numbers are
  /// of channels.
  const Node* quantized(int number, Operator op = Operator::kQuantize) const;
  Added added_to(const Node& quantize);
  bool fixed_convolution(const Node& node);
  bool fixed_linear(const Node& node);
  /// A Conv, or a Linear as one, of powers of two or signs. convolution: but for its weight.
  bool fixed_lanes(const Node& node, Convolution convolution, int input, const Image& from_image);
  bool fixed_depthwise(const Node& node);
  bool fixed_pool(const Node& node);
  static bool is_small(const Layout& layout);
  bool fixed_average(const Node& node);
  /// What is rounded where it is gathered, if nothing but vectors is made of it.
  bool rounded(const Node& node);
  /// Quantize of floats in vectors.
  bool quantize(const Node& node);
  /// Cuts of a rounded output at numbers of its grid are its limits.
  void take_cuts(int& output, float& low, float& high);
  Place fixed_placed(const Choice& choice, int input, const Image& image, std::int16_t outside);
  Place fixed_ready(const Node& node, const Choice& choice, int input, const Image& image, std::int16_t outside,
                    bool sees_outside);
  void done(const Node& node) { done_[static_cast<std::size_t>(&node - nodes_.data())] = true; }

  // Tokens (planner_tokens.cpp)
  bool on_tokens(const Node& node);
  bool token_linear(const Node& node);
  bool token_unary(const Node& node);
  bool token_binary(const Node& node);
  bool token_norm(const Node& node);
  bool token_concat(const Node& node);  // of channels
  /// Where entries keep their order and tokens their channels, a value in another shape is the same tokens.
  bool token_view(const Node& node);
  bool has_tokens(int value) const { return values_[static_cast<std::size_t>(value)].tokens.buffer >= 0; }
  /// In groups as wanted. Gathered if it isn't there.
  Place tokens(int value, const Layout& wanted);
  Place new_tokens(const Layout& layout);
  Layout tokens_of(const Shape& shape) const;

  // Attention (planner_attention.cpp)
  void find_attention();
  bool attention_at(const Node& product, Attended& found) const;
  /// The product of queries and keys that becomes scores of this shape when it is scaled and masked; nullptr: none.
  const Node* unmasked(int scores, Attended& found, double& scale) const;
  /// As `unmasked` where something masks scores: what it masks, and the mask. False if it doesn't.
  bool mask_at(const Node& node, const Shape& scores, int& masked, int& mask, HeadMask& use) const;
  bool is_scored(int value, const Shape& scores, int depth) const;
  bool attention(const Node& product);
  /// What a value is when transposes, reshapes, slices and factors are undone; those multiply `scale`.
  View view_of(int value, double& scale) const;
  /// Where each head of a view (..., tokens, channels) begins in its root. False if heads aren't channels of tokens.
  bool heads_of(const View& view, std::vector<HeadPlace>& places, Layout& layout) const;
  /// product: the value, of heads apart.
  bool output_of(int product, int& output, std::vector<HeadPlace>& places) const;
  /// The Mul that gives what each query sees a number, or nullptr.
  const Node* factored(const Node& product, int& factor) const;
  /// Entries from one place of a value to the next along each of so many axes, 0 where it is the same along one.
  std::vector<Size> broadcast_strides(int value, std::size_t rank) const;
  /// Where each of the heads that the axes before the last two count begins.
  static std::vector<Size> offsets_of_heads(const Shape& shape, const std::vector<Size>& strides);
  /// The value that a chain of products and quotients with single numbers begins with; they multiply `scale`.
  int unscaled(int value, double& scale, bool only_here) const;
  void outputs();
  std::vector<std::vector<std::size_t>> packed_after() const;
  double memory_cycles(const StepInfo& info) const;

  /// A Conv, or a Linear as one, in vectors. False if its offsets would be too large. alone: what follows isn't done
  /// with it.
  bool lanes(const Node& node, Convolution convolution, int input, const Image& input_image, const Image& output_image,
             Size images, bool alone = false);
  void rows(const Node& node, Size count);
  /// An operator that sees no more than entries or channels: its plain kernel, on the memory of places as these shapes,
  /// the output's last. They are asked for when every halo is known.
  void flat(const Node& node, std::vector<int> operands, Place output, std::function<std::vector<Shape>()> shapes);
  /// The ways to lay out the input of windows, and the cheapest of them. wanted: the lanes that the output should have,
  /// or nullptr.
  Choice choose(const Node& node, const Windows& windows, int input, const Image& input_image,
                const Image& output_image, Size images, const Tiling* wanted,
                const std::function<double(const Layout&)>& cycles, bool fixed = false);
  /// The lanes of what will be added to a node's output, if that is known.
  bool residual_tiling(const Node& node, Tiling& tiling);
  /// convolutions: how many without strides are passed.
  Ahead ahead_of(const Node& node, int convolutions) const;
  void see_readers(int output, bool first, Ahead& ahead) const;
  bool goes_plain(int value) const;
  static bool is_wasteful(const Layout& layout, const Image& input, const Image& output);
  double following_cycles(const Node& node, const Layout& output) const;
  /// The input as chosen: gathered, or where it is.
  Place placed(const Choice& choice, int input, const Image& image, float outside);
  /// True if windows see something of its halo that isn't filled.
  bool lacks_halo(const Choice& choice, const Place& place, bool sees_outside);
  /// The input as chosen, its halo filled.
  Place ready(const Node& node, const Choice& choice, int input, const Image& image, float outside, bool sees_outside);
  /// What follows a product and can be done with it. `output`: the value that is made then.
  Ending ending(const Tiling* tiling, int& output, int& residual_layout, bool activates = false);
  /// The product of a value with its sigmoid, if nothing else reads either: both nodes are one function then.
  const Node* times_own_sigmoid(int value) const;
  Ending token_ending(const Layout& layout, int& output, int& residual_layout, bool activates);

  int plain(int value);
  bool is_known(int value);  // has it been made already?
  /// The same, or made now: of slices and pads of what is known, which others wait for.
  bool known_by_now(int value);
  /// True if vectors of so many images are made from those of a value rather than from NumPy's order.
  bool moves_to(int value, Size images);
  int place_with(int value, const Tiling& tiling);
  int place_in(const std::vector<Place>& places, const Tiling& tiling) const;
  Place gathered(int value, const Image& image, const Tiling& tiling, const Halo& halo, float outside);
  Place new_place(const Image& image, const Tiling& tiling, const Halo& halo = {});
  Place beside(const Place& place);  // the same layout, other memory
  int new_layout(const Layout& layout);

  // Stacks (planner_entries.cpp)
  /// Values one behind another: in the memory that they have, where it can hold them so, in copies else.
  Place stacked(const std::vector<int>& numbers, const Image& whole, std::vector<Place> parts);
  int stack_of(const Place& place);  // begun with it, if there is none
  /// Some channels of a stack that lies `like` another place of it.
  Place part_of(int stack, Size first, const Image& image, const Place& like);
  /// True if steps can count on offsets that have 32 bits in a stack of so many channels, with halos that grow.
  bool has_room(const Place& place, Size channels) const;
  /// A value's place, or a copy, in memory that it will never share.
  Place alone(int number, const Place& place);
  Place alone_beside(const Place& place);
  Place copied(int number, const Place& place);
  void copy_entries(int number, const Place& from, const Place& to);
  int arena(Size entries, ValueType type = ValueType::kFloat32);
  Layout layout(int index) const;
  int root(int layout) const;
  void join(int a, int b);
  void grow(int layout, const Halo& halo) { layouts_[static_cast<std::size_t>(root(layout))].halo.grow(halo); }

  Value& value(int number) { return values_[static_cast<std::size_t>(number)]; }
  const Shape& shape(int number) const { return shapes_[static_cast<std::size_t>(number)]; }
  bool is_output(int value) const;
  /// The node that is the only reader of a value, or nullptr.
  const Node* only_reader(int value) const;
  const Node* maker(int value) const;  // nullptr: it is an input or a constant
  void draft(const Node* node, const char* kind, std::vector<int> reads, std::vector<int> writes, double cycles,
             Make make, Size multiply_adds = 0);

  const Graph& graph_;
  const std::vector<Node> filled_;  // the nodes at these sizes, if any attribute follows open axes
  const std::vector<Node>& nodes_;
  const Kernels& kernels_;
  PlanOptions options_;
  std::vector<Shape> shapes_;
  std::vector<Value> values_;
  std::vector<std::vector<const Node*>> readers_;
  std::vector<Grid> grids_;  // of each value
  std::vector<bool> done_;   // nodes that another one's step does as well
  std::vector<Layout> layouts_;
  std::vector<int> joined_;    // of each layout: one that it shares its halo with, or itself
  std::vector<Share> shares_;  // of each layout
  std::vector<bool> alone_;    // of each layout: its memory never holds anything else
  std::vector<Stack> stacks_;
  std::vector<Place> blocked_;  // buffers whose size is known at the end
  std::vector<Make> makes_;
  std::vector<std::pair<const Node*, Attended>> attended_;  // by the product with the values
  Plan plan_;
};

}  // namespace netsurgery
