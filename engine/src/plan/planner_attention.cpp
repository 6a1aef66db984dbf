// Attention, found in a graph: softmax(scale * query key^T, masked) value, spelt out in products, transposes and
// reshapes, is one step. Heads are channels of tokens, so that transposing them is another stride and no work.
#include <algorithm>

#include "plan/planner.hpp"

namespace netsurgery {
namespace {

constexpr Size kFewestQueries = 4;  // of a head: with fewer, most lanes are empty

std::vector<Size> contiguous(const Shape& shape) {
  std::vector<Size> strides(shape.size(), 1);
  for (std::size_t axis = shape.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return strides;
}

/// The strides of the same entries in the same order under another shape. False if one axis would need two strides.
bool reshaped(const Shape& from, const std::vector<Size>& strides, const Shape& to, std::vector<Size>& result) {
  result.assign(to.size(), 1);
  std::size_t a = 0, b = 0;
  while (a < from.size() || b < to.size()) {
    // As few axes of both as hold as many entries.
    std::size_t a_end = a, b_end = b;
    Size a_size = 1, b_size = 1;
    if (a_end < from.size()) a_size = from[a_end++];
    if (b_end < to.size()) b_size = to[b_end++];
    while (a_size != b_size) {
      if (a_size < b_size) {
        if (a_end == from.size()) return false;
        a_size *= from[a_end++];
      } else {
        if (b_end == to.size()) return false;
        b_size *= to[b_end++];
      }
    }
    Size stride = 0, walked = 1;
    for (std::size_t axis = a_end; axis-- > a;) {
      if (from[axis] == 1) continue;
      if (walked == 1)
        stride = strides[axis];
      else if (strides[axis] != stride * walked)
        return false;
      walked *= from[axis];
    }
    for (std::size_t axis = b_end; axis-- > b;) {
      result[axis] = stride;
      stride *= to[axis];
    }
    a = a_end;
    b = b_end;
  }
  return true;
}

template <class Of>
std::vector<Of> permuted(const std::vector<Of>& given, const std::vector<Size>& order) {
  std::vector<Of> result;
  for (const Size axis : order) result.push_back(given[static_cast<std::size_t>(axis)]);
  return result;
}

}  // namespace

Planner::View Planner::view_of(int number, double& scale) const {
  const View whole{number, shape(number), contiguous(shape(number)), 0};
  double factor = 1;
  if (const int below = unscaled(number, factor, false); below != number) {
    scale *= factor;
    return view_of(below, scale);
  }
  const Node* node = maker(number);
  if (!node || node->inputs.empty() || graph_.is_constant(node->inputs[0])) return whole;
  if (node->op != Operator::kReshape && node->op != Operator::kTranspose && node->op != Operator::kSlice) return whole;
  View view = view_of(node->inputs[0], factor);
  switch (node->op) {
    case Operator::kTranspose:
      view.strides = permuted(view.strides, node->attributes.integers(AttributeName::kOrder));
      break;
    case Operator::kSlice: {
      const auto axis = static_cast<std::size_t>(node->attributes.integer(AttributeName::kAxis));
      view.offset += node->attributes.integer(AttributeName::kStart) * view.strides[axis];
      view.strides[axis] *= node->attributes.integer(AttributeName::kStep);
      break;
    }
    default: {
      std::vector<Size> strides;
      if (!reshaped(view.shape, view.strides, shape(number), strides)) return whole;
      view.strides = strides;
    }
  }
  view.shape = shape(number);
  scale *= factor;
  return view;
}

bool Planner::heads_of(const View& view, std::vector<HeadPlace>& places, Layout& layout) const {
  const Shape& root = shape(view.root);
  const std::size_t rank = view.shape.size();
  if (rank < 2 || root.size() < 2 || graph_.is_constant(view.root)) return false;
  // Tokens as other steps have them; or those of each head apart, as arithmetic on heads leaves them.
  layout = tokens_of(root);
  if (view.shape[rank - 2] != layout.image.width)
    layout = token_layout(netsurgery::product(root) / (root.back() * root[root.size() - 2]), root[root.size() - 2],
                          root.back(), options_.threads);
  const Size of_root = layout.image.width, all = layout.image.channels, channels = view.shape[rank - 1];
  if (view.shape[rank - 2] != of_root || view.strides[rank - 2] != all) return false;
  if (view.strides[rank - 1] != 1 && channels != 1) return false;
  Size heads = 1;
  for (std::size_t axis = 0; axis + 2 < rank; ++axis) heads *= view.shape[axis];
  for (Size head = 0; head < heads; ++head) {
    Size offset = view.offset, rest = head;
    for (std::size_t axis = rank - 2; axis-- > 0;) {
      offset += rest % view.shape[axis] * view.strides[axis];
      rest /= view.shape[axis];
    }
    const HeadPlace place{offset / (of_root * all), offset % (of_root * all)};
    if (place.channel + channels > all) return false;
    places.push_back(place);
  }
  return true;
}

bool Planner::output_of(int product, int& output, std::vector<HeadPlace>& places) const {
  const Shape& made = shape(product);
  const Size channels = made.back(), count = made[made.size() - 2],
             heads = netsurgery::product(made) / (channels * count);
  // A view of the product, then what that is when its entries are laid out in order.
  Shape sizes = made;
  std::vector<Size> strides = contiguous(made);
  for (output = product;;) {
    const Shape& whole = shape(output);
    if (whole.size() >= 2 && whole.back() >= channels) {
      const Layout layout = tokens_of(whole);
      const Size all = layout.image.channels;
      const std::vector<Size> own = contiguous(sizes);
      const auto place_of = [&](Size entry) {
        Size place = 0;
        for (std::size_t axis = 0; axis < sizes.size(); ++axis)
          if (sizes[axis] > 1) place += entry / strides[axis] % sizes[axis] * own[axis];
        return place;
      };
      bool fits = layout.image.width == count;
      places.clear();
      for (Size head = 0; head < heads && fits; ++head) {
        const Size first = head * count * channels, begin = place_of(first);
        const HeadPlace place{begin / (count * all), begin % (count * all)};
        fits = place.channel + channels <= all;
        for (Size token = 0; token < count && fits; ++token)
          fits = place_of(first + token * channels) == begin + token * all;
        for (Size channel = 0; channel < channels && fits; ++channel)
          fits = place_of(first + channel) == begin + channel;
        places.push_back(place);
      }
      if (fits) return true;
    }
    const Node* reader = only_reader(output);
    if (!reader) return false;
    if (reader->op == Operator::kTranspose) {
      // A reshape before this one has made another order of entries than the view's: nothing that is known here.
      if (sizes != whole) return false;
      const std::vector<Size>& order = reader->attributes.integers(AttributeName::kOrder);
      sizes = permuted(sizes, order);
      strides = permuted(strides, order);
    } else if (reader->op != Operator::kReshape) {
      return false;
    }
    output = reader->output;
  }
}

int Planner::unscaled(int number, double& scale, bool only_here) const {
  for (;;) {
    const Node* node = maker(number);
    if (!node || (node->op != Operator::kMul && node->op != Operator::kDiv)) return number;
    if (only_here && !only_reader(number)) return number;
    const bool divides = node->op == Operator::kDiv;
    const int a = node->inputs[0], b = node->inputs[1];
    const bool is_number = graph_.is_constant(b) && product(shape(b)) == 1;
    if (!is_number && (divides || !graph_.is_constant(a) || product(shape(a)) != 1)) return number;
    const int from = is_number ? a : b;
    if (shape(from) != shape(number)) return number;
    const auto factor = static_cast<double>(graph_.constant(is_number ? b : a).dense().front());
    scale = divides ? scale / factor : scale * factor;
    number = from;
  }
}

bool Planner::is_scored(int number, const Shape& scores, int depth) const {
  double ignored = 1;
  const int at = unscaled(number, ignored, true);
  const Node* node = graph_.is_constant(at) ? nullptr : maker(at);
  if (!node || depth == 0 || !only_reader(number) || shape(at) != scores) return false;
  int masked = -1, mask = -1;
  HeadMask use;
  if (node->op == Operator::kMatMul) return true;
  return depth > 1 && mask_at(*node, scores, masked, mask, use) && is_scored(masked, scores, depth - 1);
}

bool Planner::mask_at(const Node& node, const Shape& scores, int& masked, int& mask, HeadMask& use) const {
  if (node.op == Operator::kWhere) {
    for (const std::size_t side : {std::size_t{1}, std::size_t{2}}) {
      const int fill = node.inputs[3 - side];
      if (!graph_.is_constant(fill) || product(shape(fill)) != 1) continue;
      masked = node.inputs[side];
      mask = node.inputs[0];
      use.use = ScoreMask::Use::kInstead;
      use.where = side == 2;
      use.fill = graph_.constant(fill).dense().front();
      return !graph_.is_constant(masked);
    }
    return false;
  }
  if (node.op != Operator::kAdd && node.op != Operator::kMul) return false;
  // The mask is the operand that isn't a product of two values.
  for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
    if (!is_scored(node.inputs[side], scores, kMostMasks)) continue;
    masked = node.inputs[side];
    mask = node.inputs[1 - side];
    use.use = node.op == Operator::kAdd ? ScoreMask::Use::kAdded : ScoreMask::Use::kMultiplied;
    return true;
  }
  return false;
}

const Node* Planner::unmasked(int number, Attended& found, double& scale) const {
  const Shape& scores = shape(number);
  for (scale = 1;;) {
    number = unscaled(number, scale, true);
    const Node* node = maker(number);
    if (!node || !only_reader(number) || shape(number) != scores) return nullptr;
    if (node->op == Operator::kMatMul) return node;
    int masked = -1, mask = -1;
    HeadMask use;
    // A factor outside of a mask would be the mask's as well.
    if (scale != 1 || found.masks.size() == kMostMasks || !mask_at(*node, scores, masked, mask, use)) return nullptr;
    found.masks.insert(found.masks.begin(), mask);
    found.heads.masks.insert(found.heads.masks.begin(), use);
    number = masked;
  }
}

std::vector<Size> Planner::broadcast_strides(int number, std::size_t rank) const {
  const Shape& own = shape(number);
  std::vector<Size> strides(rank, 0);
  const std::vector<Size> apart = contiguous(own);
  for (std::size_t axis = 0; axis < own.size(); ++axis)
    if (own[axis] != 1) strides[rank - own.size() + axis] = apart[axis];
  return strides;
}

std::vector<Size> Planner::offsets_of_heads(const Shape& whole, const std::vector<Size>& strides) {
  const std::size_t axes = whole.size() - 2;
  Size heads = 1;
  for (std::size_t axis = 0; axis < axes; ++axis) heads *= whole[axis];
  std::vector<Size> offsets;
  for (Size head = 0; head < heads; ++head) {
    Size offset = 0, rest = head;
    for (std::size_t axis = axes; axis-- > 0;) {
      offset += rest % whole[axis] * strides[axis];
      rest /= whole[axis];
    }
    offsets.push_back(offset);
  }
  return offsets;
}

const Node* Planner::factored(const Node& product, int& factor) const {
  const Node* times = only_reader(product.output);
  if (!times || times->op != Operator::kMul || shape(times->output) != shape(product.output)) return nullptr;
  const int other = times->inputs[times->inputs[0] == product.output ? 1 : 0];
  // It has to be there before: the step takes the product's place.
  if (other == product.output || (!graph_.is_constant(other) && maker(other) && maker(other) > &product))
    return nullptr;
  if (shape(other).empty() || shape(other).back() != 1 || shape(other).size() > shape(product.output).size())
    return nullptr;
  factor = other;
  return times;
}

bool Planner::attention_at(const Node& product, Attended& found) const {
  const Node* softmax = product.op == Operator::kMatMul ? maker(product.inputs[0]) : nullptr;
  if (product.op != Operator::kMatMul || !softmax || softmax->op != Operator::kSoftmax || !only_reader(softmax->output))
    return false;
  const Shape& scores = shape(softmax->output);
  if (scores.size() < 2 || softmax->attributes.integer(AttributeName::kAxis) + 1 != static_cast<Size>(scores.size()))
    return false;
  double scale = 1;
  const Node* scored = unmasked(softmax->inputs[0], found, scale);
  if (!scored) return false;
  const Shape &a = shape(scored->inputs[0]), &b = shape(scored->inputs[1]), &v = shape(product.inputs[1]);
  const std::size_t rank = scores.size();
  if (a.size() != rank || b.size() != rank || v.size() != rank) return false;
  for (std::size_t axis = 0; axis + 2 < rank; ++axis)
    if (a[axis] != scores[axis] || b[axis] != scores[axis] || v[axis] != scores[axis]) return false;
  if (a[rank - 2] < kFewestQueries) return false;
  double unused = 1;
  const View query = view_of(scored->inputs[0], scale), value = view_of(product.inputs[1], unused);
  if (unused != 1) return false;
  View key = view_of(scored->inputs[1], scale);
  std::swap(key.shape[rank - 1], key.shape[rank - 2]);
  std::swap(key.strides[rank - 1], key.strides[rank - 2]);
  AttentionHeads& heads = found.heads;
  if (!heads_of(query, heads.queries, heads.query_layout) || !heads_of(key, heads.keys, heads.key_layout) ||
      !heads_of(value, heads.values, heads.value_layout))
    return false;
  // A value lies in one layout only.
  if (heads.key_layout.image.width != heads.value_layout.image.width) return false;
  const Node* const times = factored(product, found.factor);
  found.product = times ? times->output : product.output;
  if (!output_of(found.product, found.output, heads.outputs)) return false;
  for (std::size_t i = 0; i < found.masks.size(); ++i) {
    if (shape(found.masks[i]).size() > rank) return false;
    const std::vector<Size> strides = broadcast_strides(found.masks[i], rank);
    HeadMask& use = heads.masks[i];
    use.query = strides[rank - 2];
    use.key = strides[rank - 1];
    use.of_head = offsets_of_heads(scores, strides);
  }
  if (times) {
    const std::vector<Size> strides = broadcast_strides(found.factor, rank);
    heads.factor.query = strides[rank - 2];
    heads.factor.of_head = offsets_of_heads(scores, strides);
  }
  found.query = query.root;
  found.key = key.root;
  found.value = value.root;
  heads.channels = query.shape[rank - 1];
  heads.value_channels = value.shape[rank - 1];
  heads.scale = static_cast<float>(scale);
  return true;
}

void Planner::find_attention() {
  const auto index = [this](const Node* node) { return static_cast<std::size_t>(node - nodes_.data()); };
  std::vector<bool> unread(nodes_.size(), false);  // what nobody reads once attention is a step
  for (const Node& node : nodes_) {
    Attended found{};
    if (!attention_at(node, found)) continue;
    // All between its operands and the output is part of it.
    for (int number = found.output; number != found.product; number = maker(number)->inputs[0])
      done_[index(maker(number))] = true;
    if (found.product != node.output) done_[index(maker(found.product))] = true;
    const Node* softmax = maker(node.inputs[0]);
    unread[index(softmax)] = true;
    attended_.push_back({&node, std::move(found)});
  }
  if (attended_.empty()) return;
  const auto is_attended = [this](const Node* node) {
    return std::any_of(attended_.begin(), attended_.end(), [node](const auto& one) { return one.first == node; });
  };
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    const Node& node = nodes_[i];
    const std::vector<const Node*>& readers = readers_[static_cast<std::size_t>(node.output)];
    if (is_output(node.output) || readers.empty() || done_[i]) continue;
    const bool is_root = std::any_of(attended_.begin(), attended_.end(), [&](const auto& one) {
      const Attended& found = one.second;
      return node.output == found.query || node.output == found.key || node.output == found.value ||
             node.output == found.factor ||
             std::find(found.masks.begin(), found.masks.end(), node.output) != found.masks.end();
    });
    if (is_root) continue;
    if (std::all_of(readers.begin(), readers.end(),
                    [&](const Node* reader) { return unread[index(reader)] || is_attended(reader); }))
      unread[i] = true;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    if (unread[i]) done_[i] = true;
}

bool Planner::attention(const Node& node) {
  const auto one = std::find_if(attended_.begin(), attended_.end(), [&](const auto& it) { return it.first == &node; });
  if (one == attended_.end()) return false;
  const Attended& found = one->second;
  AttentionHeads heads = found.heads;
  const Place query = tokens(found.query, heads.query_layout), key = tokens(found.key, heads.key_layout),
              value = tokens(found.value, heads.value_layout);
  heads.query = query.buffer;
  heads.key = key.buffer;
  heads.value = value.buffer;
  heads.query_layout = layout(query.layout);
  heads.key_layout = layout(key.layout);
  heads.value_layout = layout(value.layout);
  heads.output_layout = tokens_of(shape(found.output));
  std::vector<int> reads{query.buffer, key.buffer, value.buffer};
  for (std::size_t i = 0; i < found.masks.size(); ++i) {
    heads.masks[i].buffer = plain(found.masks[i]);
    reads.push_back(heads.masks[i].buffer);
  }
  if (found.factor >= 0) {
    heads.factor.buffer = plain(found.factor);
    reads.push_back(heads.factor.buffer);
  }
  const Place to = new_tokens(heads.output_layout);
  heads.output = to.buffer;
  this->value(found.output).tokens = to;
  const Size useful = static_cast<Size>(heads.queries.size()) * heads.query_layout.image.width *
                      heads.key_layout.image.width * (heads.channels + heads.value_channels);
  draft(
      &node, "attention", reads, {to.buffer}, attention_cycles(heads), [=] { return make_attention(kernels_, heads); },
      useful);
  return true;
}

}  // namespace netsurgery
