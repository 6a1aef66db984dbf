#include "lanes/tokens.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "lanes/pieces.hpp"

namespace netsurgery {
namespace {

constexpr Size kMostVectors = 16;   // that lie side by side
constexpr Size kFewerVectors = 8;   // where there are more than that
constexpr Size kFewestVectors = 3;  // where there are few for the threads
constexpr Size kDepth = 256;        // inputs of a block: with the rows of a panel, about a third of the first cache
constexpr double kDenseFrom = 0.5;

Size tokens_of(const Layout& layout) { return layout.image.width; }

/// visit(group, row of vectors, vector in it, first token, tokens there) for each vector of pieces begin .. end - 1,
/// which are rows.
template <class Visit>
void each_vector(const Layout& layout, Size begin, Size end, Visit&& visit) {
  for (Size piece = begin; piece < end; ++piece) {
    const Size group = piece / layout.tiling.height, row = piece % layout.tiling.height;
    for (Size vector = 0; vector < layout.tiling.width; ++vector) {
      const Size first = (row * layout.tiling.width + vector) * kVector;
      visit(group, row, vector, first, std::clamp<Size>(tokens_of(layout) - first, 0, kVector));
    }
  }
}

/// Pieces: rows of vectors.
class TokenGather final : public Step {
 public:
  TokenGather(const Kernels& kernels, int plain, int tokens, const Layout& layout)
      : kernels_(kernels), plain_(plain), tokens_(tokens), layout_(layout) {}
  Size pieces() const override { return layout_.groups() * layout_.tiling.height; }
  void run(Buffers buffers, Size begin, Size end, float*) const override {
    const Size channels = layout_.image.channels;
    each_vector(layout_, begin, end, [&](Size group, Size row, Size vector, Size first, Size count) {
      float* const to = buffers[tokens_] + layout_.at_row(group, row, 0, vector);
      if (count > 0)
        kernels_.turn(buffers[plain_] + (group * tokens_of(layout_) + first) * channels, channels, count, channels, to,
                      layout_.channel_floats());
      if (count < kVector)
        for (Size c = 0; c < channels; ++c)
          std::fill(to + c * layout_.channel_floats() + count, to + c * layout_.channel_floats() + kVector, 0.0f);
    });
  }

 private:
  const Kernels& kernels_;
  int plain_, tokens_;
  Layout layout_;
};

class TokenScatter final : public Step {
 public:
  TokenScatter(const Kernels& kernels, int tokens, const Layout& layout, int plain)
      : kernels_(kernels), tokens_(tokens), plain_(plain), layout_(layout) {}
  Size pieces() const override { return layout_.groups() * layout_.tiling.height; }
  void run(Buffers buffers, Size begin, Size end, float*) const override {
    const Size channels = layout_.image.channels;
    each_vector(layout_, begin, end, [&](Size group, Size row, Size vector, Size first, Size count) {
      if (count > 0)
        kernels_.turn(buffers[tokens_] + layout_.at_row(group, row, 0, vector), layout_.channel_floats(), channels,
                      count, buffers[plain_] + (group * tokens_of(layout_) + first) * channels, channels);
    });
  }

 private:
  const Kernels& kernels_;
  int tokens_, plain_;
  Layout layout_;
};

/// Pieces: rows of vectors times parts of the outputs. Weights lie as [block of inputs][panel of outputs][input][row].
class TokenProduct final : public Step {
 public:
  TokenProduct(const Kernels& kernels, const Constant& weight, const Constant* bias, int input,
               const Layout& input_layout, int output, const Layout& output_layout, const Ending& ending, int threads)
      : kernels_(kernels),
        inputs_(weight.columns),
        outputs_(weight.rows),
        panels_(ceil_divided(weight.rows, kPanelRows)),
        input_(input),
        output_(output),
        input_layout_(input_layout),
        output_layout_(output_layout),
        ending_(ending) {
    bias_ = bias ? bias->dense() : std::vector<float>();
    bias_.resize(static_cast<std::size_t>(outputs_), 0.0f);
    const DenseEntries all(weight);
    weights_.reserve(static_cast<std::size_t>(panels_ * kPanelRows * inputs_));
    for (Size first = 0; first < inputs_; first += kDepth)
      for (Size panel = 0; panel < panels_; ++panel)
        for (Size k = first; k < std::min(first + kDepth, inputs_); ++k)
          for (Size row = panel * kPanelRows; row < (panel + 1) * kPanelRows; ++row)
            weights_.push_back(row < outputs_ ? all[row * inputs_ + k] : 0.0f);
    parts_ = output_parts(rows(), panels_, threads);
  }

  Size pieces() const override { return rows() * parts_; }
  Size readers() const override { return parts_; }

  void run(Buffers buffers, Size begin, Size end, float*) const override {
    for (Size piece = begin; piece < end; ++piece) {
      const Size part = piece % parts_, row = piece / parts_;
      multiply(buffers, row / output_layout_.tiling.height, row % output_layout_.tiling.height, panels_ * part / parts_,
               panels_ * (part + 1) / parts_);
    }
  }

 private:
  Size rows() const { return output_layout_.groups() * output_layout_.tiling.height; }

  void multiply(Buffers buffers, Size group, Size y, Size begin, Size end) const {
    Product work{};
    work.a_row = 1;
    work.a_step = kPanelRows;
    work.b_step = input_layout_.channel_floats();
    work.output_row = output_layout_.channel_floats();
    work.vectors = output_layout_.tiling.width;
    work.finish = finish_of(ending_);
    work.finish.residual_row = ending_.residual_layout.channel_floats();
    for (Size first = 0; first < inputs_; first += kDepth) {
      work.depth = std::min(kDepth, inputs_ - first);
      work.b = buffers[input_] + input_layout_.at_row(group, y, first, 0);
      work.goes_on = first > 0;
      work.last = first + work.depth == inputs_;
      for (Size panel = begin; panel < end; ++panel) {
        const Size row = panel * kPanelRows;
        work.a = weights_.data() + first * panels_ * kPanelRows + panel * work.depth * kPanelRows;
        work.rows = std::min<Size>(kPanelRows, outputs_ - row);
        work.bias = work.goes_on ? nullptr : bias_.data() + row;
        work.output = buffers[output_] + output_layout_.at_row(group, y, row, 0);
        if (ending_.residual >= 0)
          work.finish.residual = buffers[ending_.residual] + ending_.residual_layout.at_row(group, y, row, 0);
        kernels_.product(work);
        if (work.last && ending_.activation) {
          const auto function = kernels_.functions[static_cast<int>(ending_.activation->function)];
          for (Size r = 0; r < work.rows; ++r) {
            float* const at = work.output + r * work.output_row;
            function(at, at, work.vectors * kVector, ending_.activation->parameters);
          }
        }
      }
    }
  }

  const Kernels& kernels_;
  Size inputs_, outputs_, panels_;
  int input_, output_;
  Layout input_layout_, output_layout_;
  Ending ending_;
  std::vector<float> weights_, bias_;
  Size parts_ = 1;
};

/// Pieces: rows of vectors.
class TokenNormalisation final : public Step {
 public:
  TokenNormalisation(const Kernels& kernels, int input, int output, const Layout& layout, const Constant* scale,
                     const Constant* bias, double epsilon, bool centres)
      : kernels_(kernels), input_(input), output_(output), layout_(layout), epsilon_(epsilon), centres_(centres) {
    scale_ = dense_or(scale, layout.image.channels, 1.0f);
    bias_ = dense_or(bias, layout.image.channels, 0.0f);
  }
  Size pieces() const override { return layout_.groups() * layout_.tiling.height; }
  void run(Buffers buffers, Size begin, Size end, float*) const override {
    NormalisedTokens work{};
    work.channels = layout_.image.channels;
    work.channel = layout_.channel_floats();
    work.vectors = layout_.tiling.width;
    work.scale = scale_.data();
    work.bias = bias_.data();
    work.epsilon = epsilon_;
    work.centres = centres_;
    for (Size piece = begin; piece < end; ++piece) {
      const Size at = layout_.at_row(piece / layout_.tiling.height, piece % layout_.tiling.height, 0, 0);
      work.input = buffers[input_] + at;
      work.output = buffers[output_] + at;
      kernels_.normalise_tokens(work);
    }
  }

 private:
  const Kernels& kernels_;
  int input_, output_;
  Layout layout_;
  double epsilon_;
  bool centres_;
  std::vector<float> scale_, bias_;
};

/// Pieces: some vectors of queries of one head. The scores of all keys for these lie in scratch memory.
class AttentionStep final : public Step {
 public:
  AttentionStep(const Kernels& kernels, const AttentionHeads& heads) : kernels_(kernels), heads_(heads) {
    constexpr Size kMostScores = 64 * 1024, kMostAtOnce = 4;  // floats; vectors
    const Size keys = tokens_of(heads.key_layout), most = kMostScores / (keys * kVector);
    const Size width = heads.query_layout.tiling.width;
    const Size count = ceil_divided(width, std::clamp<Size>(most, 1, kMostAtOnce));
    for (Size row = 0; row < heads.query_layout.tiling.height; ++row)
      for (Size i = 0; i < count; ++i) {
        const Strip strip{row, width * i / count, width * (i + 1) / count};
        if ((row * width + strip.begin) * kVector < tokens_of(heads.query_layout)) strips_.push_back(strip);
        widest_ = std::max(widest_, strip.end - strip.begin);
      }
  }

  Size pieces() const override { return static_cast<Size>(strips_.size() * heads_.queries.size()); }
  Size scratch() const override { return (static_cast<Size>(heads_.masks.size()) + 1) * scores() + widest_ * kVector; }

  void run(Buffers buffers, Size begin, Size end, float* scratch) const override {
    const Size count = static_cast<Size>(heads_.queries.size());
    const Size run = heads_.key_layout.tiling.width * kVector;
    Attention work{};
    work.query_channel = heads_.query_layout.channel_floats();
    work.key_channel = heads_.key_layout.channel_floats();
    work.value_channel = heads_.value_layout.channel_floats();
    work.output_channel = heads_.output_layout.channel_floats();
    work.channels = heads_.channels;
    work.value_channels = heads_.value_channels;
    work.key_run = run;
    work.key_runs_apart = heads_.key_layout.row_floats();
    work.value_runs_apart = heads_.value_layout.row_floats();
    work.keys = tokens_of(heads_.key_layout);
    work.scale = heads_.scale;
    work.scores = scratch;
    work.mask_count = static_cast<int>(heads_.masks.size());
    Turned turned[kMostMasks];
    for (Size piece = begin; piece < end; ++piece) {
      const auto head = static_cast<std::size_t>(piece % count);
      const Strip& strip = strips_[static_cast<std::size_t>(piece / count)];
      const auto at = [&](int buffer, const Layout& layout, const HeadPlace& place, Size row, Size vector) {
        return buffers[buffer] + layout.at_row(place.group, row, place.channel, vector);
      };
      work.vectors = strip.end - strip.begin;
      work.query = at(heads_.query, heads_.query_layout, heads_.queries[head], strip.row, strip.begin);
      work.key = at(heads_.key, heads_.key_layout, heads_.keys[head], 0, 0);
      work.value = at(heads_.value, heads_.value_layout, heads_.values[head], 0, 0);
      work.output = at(heads_.output, heads_.output_layout, heads_.outputs[head], strip.row, strip.begin);
      for (std::size_t i = 0; i < heads_.masks.size(); ++i) {
        const HeadMask& mask = heads_.masks[i];
        float* const numbers = scratch + static_cast<Size>(i + 1) * scores();
        const Turned wanted{&strip, mask.of_head[head]};
        if (!(turned[i] == wanted)) turn_mask(mask, buffers[mask.buffer], wanted, numbers);
        turned[i] = wanted;
        work.masks[i] = {numbers, mask.use};
      }
      if (heads_.factor.buffer >= 0) {
        float* const factors = scratch + (static_cast<Size>(heads_.masks.size()) + 1) * scores();
        fill_factors(buffers[heads_.factor.buffer] + heads_.factor.of_head[head], strip, factors);
        work.factors = factors;
      }
      kernels_.attend(work);
    }
  }

 private:
  struct Strip {
    Size row, begin, end;  // vectors
  };

  Size scores() const { return tokens_of(heads_.key_layout) * widest_ * kVector; }

  /// What lies in scratch memory: the mask of some heads for a strip.
  struct Turned {
    const Strip* strip = nullptr;
    Size begin = 0;
    bool operator==(const Turned& other) const { return strip == other.strip && begin == other.begin; }
  };

  /// Lanes without a query get what the last one has.
  void fill_factors(const float* numbers, const Strip& strip, float* factors) const {
    const Size first = (strip.row * heads_.query_layout.tiling.width + strip.begin) * kVector;
    for (Size lane = 0; lane < (strip.end - strip.begin) * kVector; ++lane)
      factors[lane] = numbers[std::min(first + lane, tokens_of(heads_.query_layout) - 1) * heads_.factor.query];
  }

  /// As [key][query]; lanes without a query get what the last one has.
  void turn_mask(const HeadMask& mask, const float* buffer, const Turned& part, float* turned) const {
    if (mask.use == ScoreMask::Use::kInstead) {
      const auto* const entries = reinterpret_cast<const std::uint8_t*>(buffer) + part.begin;
      const float kept = std::numeric_limits<float>::quiet_NaN();
      turn_entries(mask, part, [&](Size at) { return (entries[at] != 0) == mask.where ? mask.fill : kept; }, turned);
    } else {
      turn_entries(mask, part, [entries = buffer + part.begin](Size at) { return entries[at]; }, turned);
    }
  }

  template <class Number>
  void turn_entries(const HeadMask& mask, const Turned& part, Number&& number, float* turned) const {
    const Strip& strip = *part.strip;
    const Size width = (strip.end - strip.begin) * kVector, keys = tokens_of(heads_.key_layout);
    const Size first = (strip.row * heads_.query_layout.tiling.width + strip.begin) * kVector;
    if (mask.query == 0) {
      for (Size key = 0; key < keys; ++key) std::fill_n(turned + key * width, width, number(key * mask.key));
      return;
    }
    for (Size lane = 0; lane < width; ++lane) {
      const Size row = std::min(first + lane, tokens_of(heads_.query_layout) - 1) * mask.query;
      for (Size key = 0; key < keys; ++key) turned[key * width + lane] = number(row + key * mask.key);
    }
  }

  const Kernels& kernels_;
  AttentionHeads heads_;
  std::vector<Strip> strips_;
  Size widest_ = 1;
};

}  // namespace

Layout token_layout(Size groups, Size tokens, Size channels, int threads) {
  const Size vectors = ceil_divided(tokens, kVector);
  const Size by_cache = vectors <= kMostVectors ? 1 : ceil_divided(vectors, kFewerVectors);
  const Size by_threads = std::min(ceil_divided(Size{threads}, groups), vectors / kFewestVectors);
  const Size rows = std::max(by_cache, by_threads);
  Layout layout;
  layout.image = {groups, channels, 1, 1, tokens};
  layout.tiling = {1, 1, 1, kVector, 1, rows, ceil_divided(vectors, rows)};
  return layout;
}

std::unique_ptr<Step> make_token_gather(const Kernels& kernels, int plain, int tokens, const Layout& layout) {
  return std::make_unique<TokenGather>(kernels, plain, tokens, layout);
}

std::unique_ptr<Step> make_token_scatter(const Kernels& kernels, int tokens, const Layout& layout, int plain) {
  return std::make_unique<TokenScatter>(kernels, tokens, layout, plain);
}

std::unique_ptr<Step> make_token_product(const Kernels& kernels, const Constant& weight, const Constant* bias,
                                         int input, const Layout& input_layout, int output, const Layout& output_layout,
                                         const Ending& ending, int threads) {
  return std::make_unique<TokenProduct>(kernels, weight, bias, input, input_layout, output, output_layout, ending,
                                        threads);
}

bool prefers_token_product(const Constant& weight) { return density(weight) >= kDenseFrom; }

double token_product_cycles(const Constant& weight, const Layout& output) {
  return static_cast<double>(weight.entries()) * static_cast<double>(output.groups() * output.tiling.vectors());
}

std::unique_ptr<Step> make_token_normalisation(const Kernels& kernels, int input, int output, const Layout& layout,
                                               const Constant* scale, const Constant* bias, double epsilon,
                                               bool centres) {
  return std::make_unique<TokenNormalisation>(kernels, input, output, layout, scale, bias, epsilon, centres);
}

std::unique_ptr<Step> make_attention(const Kernels& kernels, const AttentionHeads& heads) {
  return std::make_unique<AttentionStep>(kernels, heads);
}

double attention_cycles(const AttentionHeads& heads) {
  constexpr double kCyclesPerPower = 30;  // of a vector
  const double scores = static_cast<double>(heads.queries.size()) *
                        static_cast<double>(heads.query_layout.tiling.vectors()) *
                        static_cast<double>(tokens_of(heads.key_layout));
  return scores * (static_cast<double>(heads.channels + heads.value_channels) + kCyclesPerPower);
}

}  // namespace netsurgery
