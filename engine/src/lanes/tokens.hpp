// Values (..., C) as tokens of C channels, each token a lane: what fully connected layers on any number of axes,
// attention and layer normalisation work on.
//
//     memory     [group][some tokens][channel][a vector of 16 tokens][16 lanes]
//
// A group is an image's tokens, or all of them. Neighbouring tokens are neighbouring lanes. As a Layout that is a
// picture whose lanes are columns of pixels, so that a layer is the convolution of 1 x 1 that it is; where a token lies
// is said here alone.
#pragma once

#include <memory>
#include <vector>

#include "graph/step.hpp"
#include "isa/kernels.hpp"
#include "lanes/convolution.hpp"
#include "lanes/layout.hpp"

namespace netsurgery {

/// The layout of `groups` times `tokens` tokens: in rows, of which each thread finds some, so that it has what it wrote
/// in its own caches when the next step reads it.
Layout token_layout(Size groups, Size tokens, Size channels, int threads);

/// From (groups * tokens, channels) in NumPy's order; lanes without a token become 0.
std::unique_ptr<Step> make_token_gather(const Kernels& kernels, int plain, int tokens, const Layout& layout);
std::unique_ptr<Step> make_token_scatter(const Kernels& kernels, int tokens, const Layout& layout, int plain);

/// All weights times all tokens. Layouts differ in their channels alone.
std::unique_ptr<Step> make_token_product(const Kernels& kernels, const Constant& weight, const Constant* bias,
                                         int input, const Layout& input_layout, int output, const Layout& output_layout,
                                         const Ending& ending, int threads);
/// True if all weights, the zeros too, take less time than those other than zero.
bool prefers_token_product(const Constant& weight);
double token_product_cycles(const Constant& weight, const Layout& output);

/// Input and output lie alike. scale and bias: a number for each channel, or nullptr. centres: LayerNorm, else RmsNorm.
std::unique_ptr<Step> make_token_normalisation(const Kernels& kernels, int input, int output, const Layout& layout,
                                               const Constant* scale, const Constant* bias, double epsilon,
                                               bool centres);

/// Where the channels of one head begin.
struct HeadPlace {
  Size group, channel;
};

/// Numbers for the scores of all heads, in NumPy's order, or bools: where they are true, or false, `fill` stands
/// instead.
struct HeadMask {
  int buffer = -1;
  ScoreMask::Use use = ScoreMask::Use::kAdded;
  bool where = true;  // that it stands instead
  float fill = 0.0f;
  std::vector<Size> of_head;  // entries to the mask of each head
  Size query = 0, key = 0;    // entries from one to the next
};

/// Numbers for what each query sees, in NumPy's order: a query that sees nothing has 0.
struct HeadFactor {
  int buffer = -1;            // -1: there are none
  std::vector<Size> of_head;  // entries to the numbers of each head
  Size query = 0;             // entries from one to the next
};

/// factor * softmax(scale * query key^T, masked) value for each head.
struct AttentionHeads {
  int query = -1, key = -1, value = -1, output = -1;  // buffers
  Layout query_layout, key_layout, value_layout, output_layout;
  std::vector<HeadPlace> queries, keys, values, outputs;  // of each head
  Size channels = 0, value_channels = 0;                  // of a head
  float scale = 1.0f;
  std::vector<HeadMask> masks;  // in the order in which they are used
  HeadFactor factor;
};

std::unique_ptr<Step> make_attention(const Kernels& kernels, const AttentionHeads& heads);
double attention_cycles(const AttentionHeads& heads);

}  // namespace netsurgery
