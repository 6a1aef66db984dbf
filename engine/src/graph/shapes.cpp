#include "graph/shapes.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "base/error.hpp"
#include "base/sentences.hpp"
#include "graph/recurrence.hpp"

namespace netsurgery {
namespace {

using Operands = std::vector<const Shape*>;
using Name = AttributeName;

[[noreturn]] void refuse(const std::string& sentence) { throw Error(NS_ERROR_FILE, sentence); }
[[noreturn]] void refuse_room(const std::string& sentence) { throw TooSmall(sentence); }

std::string text_of(Size number) { return std::to_string(number); }
using netsurgery::text_of;

const Shape* operand(const Operands& operands, std::size_t place) {
  return place < operands.size() ? operands[place] : nullptr;
}

void require_axis(const Shape& shape, Size axis) {
  if (axis < 0 || axis >= static_cast<Size>(shape.size()))
    refuse("axis " + text_of(axis) + " doesn't exist in shape " + text_of(shape) + ".");
}

std::vector<Size> spatial_of(const Shape& x) {
  if (x.size() < 3 || x.size() > 5)
    refuse("x has shape " + text_of(x) + "; (N, C, *S) with one to three spatial axes is needed.");
  return {x.begin() + 2, x.end()};
}

template <class Number>
void require_count(const std::vector<Number>& numbers, std::size_t count, const char* name) {
  if (numbers.size() != count)
    refuse(std::string(name) + "=" + text_of(numbers) + " has " + std::to_string(numbers.size()) + " numbers, " +
           std::to_string(count) + " are needed.");
}

std::vector<Size> filled(const Attributes& attributes, Name name, std::size_t count, Size neutral, const char* word) {
  std::vector<Size> numbers = attributes.filled(name, count, neutral);
  require_count(numbers, count, word);
  return numbers;
}

/// The first two sizes of x and these.
Shape with_spatial(const Shape& x, const std::vector<Size>& spatial) {
  Shape result(x.begin(), x.begin() + 2);
  result.insert(result.end(), spatial.begin(), spatial.end());
  return result;
}

/// How many windows fit along each spatial axis.
std::vector<Size> windows(const std::vector<Size>& spatial, const Size* kernel, const Attributes& attributes,
                          bool ceil) {
  const std::size_t count = spatial.size();
  const std::vector<Size> strides = filled(attributes, Name::kStrides, count, 1, "strides");
  const std::vector<Size> dilations = filled(attributes, Name::kDilations, count, 1, "dilations");
  const std::vector<Size> pads = filled(attributes, Name::kPads, 2 * count, 0, "pads");
  std::vector<Size> result;
  for (std::size_t axis = 0; axis < count; ++axis) {
    const Size stride = strides[axis];
    const Size reach = (kernel[axis] - 1) * dilations[axis] + 1;
    const Size free = spatial[axis] + pads[axis] + pads[count + axis] - reach;
    if (free < 0 && !(ceil && free > -stride))
      refuse_room("a window of " + text_of(reach) + " doesn't fit in shape " + text_of(spatial) + ".");
    // Rounded up, -stride < free < 0 gives 0 and so one window: as division rounds towards 0 there.
    Size fitting = (ceil && free > 0 ? (free - 1) / stride + 1 : free / stride) + 1;
    if (ceil && (fitting - 1) * stride >= spatial[axis] + pads[axis]) --fitting;
    result.push_back(fitting);
  }
  return result;
}

Shape conv(const Operands& operands, const Attributes& attributes) {
  const Shape &x = *operands[0], &weight = *operands[1];
  const Shape* bias = operand(operands, 2);
  const std::vector<Size> spatial = spatial_of(x);
  const Size groups = attributes.integer(Name::kGroups);
  if (weight.size() != x.size())
    refuse("weight has shape " + text_of(weight) + ", x has shape " + text_of(x) + ": they need as many axes.");
  if (x[1] % groups != 0) refuse(text_of(x[1]) + " input channels can't be shared by " + text_of(groups) + " groups.");
  if (weight[0] % groups != 0)
    refuse(text_of(weight[0]) + " output channels can't be shared by " + text_of(groups) + " groups.");
  if (weight[1] != x[1] / groups)
    refuse("weight has shape " + text_of(weight) + ": its second size must be " + text_of(x[1] / groups) +
           " (channels of x / groups).");
  if (bias && *bias != Shape{weight[0]})
    refuse("bias has shape " + text_of(*bias) + ", (" + text_of(weight[0]) + ",) is needed.");
  return with_spatial({x[0], weight[0]}, windows(spatial, weight.data() + 2, attributes, false));
}

Shape pool(const Operands& operands, const Attributes& attributes) {
  const std::vector<Size> spatial = spatial_of(*operands[0]);
  const std::vector<Size>& kernel = attributes.integers(Name::kKernel);
  require_count(kernel, spatial.size(), "kernel");
  const std::vector<Size> pads = filled(attributes, Name::kPads, 2 * spatial.size(), 0, "pads");
  const std::vector<Size> dilations = filled(attributes, Name::kDilations, spatial.size(), 1, "dilations");
  for (std::size_t i = 0; i < pads.size(); ++i) {
    const std::size_t axis = i % spatial.size();
    if (pads[i] >= (kernel[axis] - 1) * dilations[axis] + 1)
      refuse("pads=" + text_of(pads) + ": a window of " + text_of(kernel) + " could lie in padding alone.");
  }
  return with_spatial(*operands[0], windows(spatial, kernel.data(), attributes, attributes.flag(Name::kCeilMode)));
}

Shape adaptive_pool(const Operands& operands, const Attributes& attributes) {
  const std::vector<Size>& size = attributes.integers(Name::kSize);
  require_count(size, spatial_of(*operands[0]).size(), "size");
  return with_spatial(*operands[0], size);
}

Shape linear(const Operands& operands) {
  const Shape &x = *operands[0], &weight = *operands[1];
  const Shape* bias = operand(operands, 2);
  if (x.empty() || weight.size() != 2)
    refuse("x has shape " + text_of(x) + ", weight " + text_of(weight) + "; (..., I) and (O, I) are needed.");
  if (x.back() != weight[1])
    refuse("x has " + text_of(x.back()) + " features, weight of shape " + text_of(weight) + " takes " +
           text_of(weight[1]) + ".");
  if (bias && *bias != Shape{weight[0]})
    refuse("bias has shape " + text_of(*bias) + ", (" + text_of(weight[0]) + ",) is needed.");
  Shape result = x;
  result.back() = weight[0];
  return result;
}

Shape broadcast(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (std::size_t i = 1; i <= result.size(); ++i) {
    const Size p = i <= a.size() ? a[a.size() - i] : 1, q = i <= b.size() ? b[b.size() - i] : 1;
    if (p != q && p != 1 && q != 1) refuse("shapes " + text_of(a) + " and " + text_of(b) + " don't broadcast.");
    result[result.size() - i] = std::max(p, q);
  }
  return result;
}

Shape broadcast(const Operands& operands) {
  Shape result = *operands[0];
  for (std::size_t place = 1; place < operands.size(); ++place) result = broadcast(result, *operands[place]);
  return result;
}

Shape matmul(const Operands& operands) {
  const Shape &a = *operands[0], &b = *operands[1];
  if (a.empty() || b.empty() || a.back() != b[b.size() - (b.size() == 1 ? 1 : 2)])
    refuse("shapes " + text_of(a) + " and " + text_of(b) + " can't be multiplied as matrices.");
  const auto stacked = [](const Shape& shape) {
    return Shape(shape.begin(), shape.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(shape.size(), 2)));
  };
  Shape result = broadcast(stacked(a), stacked(b));
  if (a.size() > 1) result.push_back(a[a.size() - 2]);
  if (b.size() > 1) result.push_back(b.back());
  return result;
}

Shape concat(const Operands& operands, const Attributes& attributes) {
  const Shape& first = *operands[0];
  const Size axis = attributes.integer(Name::kAxis);
  require_axis(first, axis);
  const auto joined = static_cast<std::size_t>(axis);
  Shape result = first;
  for (std::size_t i = 1; i < operands.size(); ++i) {
    const Shape& other = *operands[i];
    bool fits = other.size() == first.size();
    for (std::size_t j = 0; fits && j < first.size(); ++j) fits = j == joined || other[j] == first[j];
    if (!fits)
      refuse("shapes " + text_of(first) + " and " + text_of(other) + " can't be joined along axis " + text_of(axis) +
             ".");
    result[joined] += other[joined];
  }
  return result;
}

Shape reshape(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& said = attributes.integers(Name::kShape);
  Shape target = said;
  const auto open = std::count(target.begin(), target.end(), Size{-1});
  if (open > 1) refuse("shape=" + text_of(said) + " must hold -1 at most once.");
  for (std::size_t place = 0; place < target.size(); ++place) {
    if (target[place] != 0) continue;
    if (place >= x.size())
      refuse("shape=" + text_of(said) + " has a 0 in a place that x of shape " + text_of(x) + " doesn't have.");
    target[place] = x[place];
  }
  const Size count = entries_of(x);
  Size known = 1;  // where this many can't be counted, it is no divisor of what can
  for (const Size size : target) known = size == -1 ? known : product_of(known, size);
  if (open ? count % known != 0 : count != known)
    refuse(text_of(count) + " values of shape " + text_of(x) + " don't fill shape " + text_of(said) + ".");
  std::replace(target.begin(), target.end(), Size{-1}, count / known);
  return target;
}

Shape transpose(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& order = attributes.integers(Name::kOrder);
  std::vector<Size> sorted = order, axes(x.size());
  std::sort(sorted.begin(), sorted.end());
  std::iota(axes.begin(), axes.end(), Size{0});
  if (sorted != axes) refuse("order=" + text_of(order) + " must name each axis of " + text_of(x) + " once.");
  Shape result;
  for (const Size axis : order) result.push_back(x[static_cast<std::size_t>(axis)]);
  return result;
}

Shape pad(const Shape& x, const Attributes& attributes) {
  const auto mode = attributes.choice<PadMode>(Name::kMode);
  const std::vector<Size> pads = filled(attributes, Name::kPads, 2 * x.size(), 0, "pads");
  Shape result;
  for (std::size_t axis = 0; axis < x.size(); ++axis) {
    const Size before = pads[axis], after = pads[x.size() + axis];
    const Size left = x[axis] + std::min<Size>(before, 0) + std::min<Size>(after, 0);
    const Size furthest = std::max(before, after);
    const std::string where = " axis " + std::to_string(axis) + " of shape " + text_of(x) + ".";
    if (left < 1) refuse_room("pads=" + text_of(pads) + " cut all of" + where);
    if (mode == PadMode::kReflect && furthest >= left) refuse_room("pads=" + text_of(pads) + " reflect beyond" + where);
    if (mode == PadMode::kWrap && furthest > left) refuse_room("pads=" + text_of(pads) + " wrap beyond" + where);
    result.push_back(x[axis] + before + after);
  }
  return result;
}

Shape cut(const Shape& x, const Attributes& attributes) {
  const Size axis = attributes.integer(Name::kAxis);
  require_axis(x, axis);
  const Size start = attributes.integer(Name::kStart), stop = attributes.integer(Name::kStop);
  Shape result = x;
  Size& size = result[static_cast<std::size_t>(axis)];
  if (start >= stop || stop > size)
    refuse_room("start=" + text_of(start) + ", stop=" + text_of(stop) + " must lie inside axis " + text_of(axis) +
                " of shape " + text_of(x) + ".");
  size = (stop - start - 1) / attributes.integer(Name::kStep) + 1;
  return result;
}

Shape over_axes(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& axes = attributes.integers(Name::kAxes);
  std::vector<Size> sorted = axes;
  std::sort(sorted.begin(), sorted.end());
  if (axes.empty() || std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    refuse("axes=" + text_of(axes) + " must name at least one axis, each once.");
  for (const Size axis : axes) require_axis(x, axis);
  Shape result;
  for (std::size_t axis = 0; axis < x.size(); ++axis) {
    if (!std::binary_search(sorted.begin(), sorted.end(), static_cast<Size>(axis)))
      result.push_back(x[axis]);
    else if (attributes.flag(Name::kKeepdims))
      result.push_back(1);
  }
  return result;
}

Shape integers(const Attributes& attributes) {
  const std::vector<Size>& shape = attributes.integers(Name::kShape);
  const Size count = static_cast<Size>(attributes.integers(Name::kValues).size());
  if (count != 1 && count != entries_of(shape))
    refuse(text_of(count) + " values don't fill shape " + text_of(shape) + ".");
  return shape;
}

Shape embedding(const Operands& operands) {
  const Shape& weight = *operands[1];
  if (weight.size() != 2) refuse("weight has shape " + text_of(weight) + "; (V, F) is needed: a row for each number.");
  Shape result = *operands[0];
  result.push_back(weight[1]);
  return result;
}

Shape gather(const Operands& operands, const Attributes& attributes) {
  const Shape &x = *operands[0], &indices = *operands[1];
  const Size axis = attributes.integer(Name::kAxis);
  require_axis(x, axis);
  Shape result(x.begin(), x.begin() + axis);
  result.insert(result.end(), indices.begin(), indices.end());
  result.insert(result.end(), x.begin() + axis + 1, x.end());
  return result;
}

Shape gather_elements(const Operands& operands, const Attributes& attributes) {
  const Shape &x = *operands[0], &indices = *operands[1];
  const auto axis = static_cast<std::size_t>(attributes.integer(Name::kAxis));
  require_axis(x, attributes.integer(Name::kAxis));
  bool fits = x.size() == indices.size();
  for (std::size_t i = 0; fits && i < x.size(); ++i) fits = indices[i] <= x[i] || i == axis;
  if (!fits) refuse("indices of shape " + text_of(indices) + " have no place beside x of shape " + text_of(x) + ".");
  return indices;
}

Shape gather_nd(const Shape& x, const Shape& indices, Size shared) {
  const auto ranks = [](const Shape& shape) { return static_cast<Size>(shape.size()); };
  const bool fits = ranks(indices) > shared && ranks(x) >= shared &&
                    std::equal(x.begin(), x.begin() + shared, indices.begin()) && indices.back() <= ranks(x) - shared;
  if (!fits)
    refuse("indices of shape " + text_of(indices) + " name no places of shape " + text_of(x) + " with " +
           text_of(shared) + " in common.");
  Shape result(indices.begin(), indices.end() - 1);
  result.insert(result.end(), x.begin() + shared + indices.back(), x.end());
  return result;
}

void require_updates(const Shape& updates, const Shape& needed) {
  if (updates != needed) refuse("updates have shape " + text_of(updates) + ", " + text_of(needed) + " is needed.");
}

Shape scatter_elements(const Operands& operands, const Attributes& attributes) {
  require_updates(*operands[2], gather_elements(operands, attributes));
  return *operands[0];
}

Shape scatter_nd(const Operands& operands) {
  require_updates(*operands[2], gather_nd(*operands[0], *operands[1], 0));
  return *operands[0];
}

Shape walsh_hadamard(const Shape& x, const Attributes& attributes) {
  const Size axis = attributes.integer(Name::kAxis);
  require_axis(x, axis);
  const Size size = x[static_cast<std::size_t>(axis)];
  if ((size & (size - 1)) != 0)
    refuse("x has " + text_of(size) + " entries along axis " + text_of(axis) + "; a power of two is needed.");
  return x;
}

Shape place_along_axis(Shape x, const Attributes& attributes) {
  const Size axis = attributes.integer(Name::kAxis);
  require_axis(x, axis);
  if (attributes.flag(Name::kKeepdims))
    x[static_cast<std::size_t>(axis)] = 1;
  else
    x.erase(x.begin() + axis);
  return x;
}

Shape top(Shape x, const Attributes& attributes) {
  const Size axis = attributes.integer(Name::kAxis), count = attributes.integer(Name::kCount);
  require_axis(x, axis);
  Size& size = x[static_cast<std::size_t>(axis)];
  if (count > size)
    refuse("count=" + text_of(count) + " is more than axis " + text_of(axis) + " of shape " + text_of(x) + " has.");
  size = count;
  return x;
}

Shape stretch(Shape x, const Attributes& attributes) {
  x.push_back(attributes.integer(Name::kCount));
  return x;
}

Shape tile(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& repeats = attributes.integers(Name::kRepeats);
  require_count(repeats, x.size(), "repeats");
  Shape result;
  for (std::size_t axis = 0; axis < x.size(); ++axis) result.push_back(product_of(x[axis], repeats[axis]));
  return result;
}

Shape triangle(const Shape& x) {
  if (x.size() < 2) refuse("x has shape " + text_of(x) + "; (..., rows, columns) is needed.");
  return x;
}

/// Axes of x, at least one, each named once.
void require_axes(const Shape& x, const std::vector<Size>& axes) {
  std::vector<Size> sorted = axes;
  std::sort(sorted.begin(), sorted.end());
  if (axes.empty() || std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    refuse("axes=" + text_of(axes) + " must name at least one axis, each once.");
  for (const Size axis : axes) require_axis(x, axis);
}

Shape reverse(const Shape& x, const Attributes& attributes) {
  require_axes(x, attributes.integers(Name::kAxes));
  return x;
}

Shape lrn(const Shape& x) {
  if (x.size() < 2) refuse("x has shape " + text_of(x) + "; (N, C, ...) is needed.");
  return x;
}

Shape layer_norm(const Operands& operands, const Attributes& attributes) {
  const Shape& x = *operands[0];
  require_axis(x, attributes.integer(Name::kAxis));
  const Shape normal(x.begin() + attributes.integer(Name::kAxis), x.end());
  for (std::size_t place = 1; place <= 2; ++place) {
    const Shape* given = operand(operands, place);
    if (given && *given != normal)
      refuse(std::string(place == 1 ? "scale" : "bias") + " has shape " + text_of(*given) + ", " + text_of(normal) +
             " is needed.");
  }
  return x;
}

/// planes: entries that make one.
Shape quantize(const Operands& operands, const Attributes& attributes, Size planes) {
  Shape x = *operands[0];
  const Size axis = attributes.integer(Name::kAxis);
  require_axis(x, axis);
  Size& size = x[static_cast<std::size_t>(axis)];
  if (size % planes != 0)
    refuse("planes=" + text_of(planes) + " does not divide the " + text_of(size) + " entries along axis " +
           text_of(axis) + ".");
  for (std::size_t place = 1; place <= 2; ++place) {
    const Shape* given = operand(operands, place);
    const Shape needed{place == 1 ? size : size / planes};
    if (given && *given != needed)
      refuse(std::string(place == 1 ? "scale" : "shift") + " has shape " + text_of(*given) + ", " + text_of(needed) +
             " is needed.");
  }
  size /= planes;
  const Size exponent = attributes.integer(Name::kExponent), bits = attributes.integer(Name::kBits);
  const Size sign = attributes.flag(Name::kSigned) ? 1 : 0;
  if (exponent > kFarthestExponent) refuse("exponent=" + text_of(exponent) + " is too far from 0.");
  if (bits - sign < 1) refuse("bits=" + text_of(bits) + " leave none beside the sign.");
  if (bits > kMostBits + sign)
    refuse("bits=" + text_of(bits) + " is not allowed: at most " + text_of(kMostBits + sign) + " are.");
  return x;
}

Shape resize(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& size = attributes.integers(Name::kSize);
  const std::vector<float>& scales = attributes.numbers(Name::kScales);
  const std::vector<Size> spatial = spatial_of(x);
  if (size.empty() && scales.empty()) refuse("size and scales are both missing: one of them is needed.");
  if (!scales.empty()) require_count(scales, spatial.size(), "scales");
  for (const float scale : scales)
    if (!(scale > 0 && std::isfinite(scale))) refuse("scales=" + text_of(scales) + " must be finite numbers above 0.");
  if (!size.empty()) {
    require_count(size, spatial.size(), "size");
    return with_spatial(x, size);
  }
  std::vector<Size> scaled;
  for (std::size_t axis = 0; axis < spatial.size(); ++axis) {
    const float size_there = static_cast<float>(spatial[axis]) * scales[axis];
    if (!(size_there >= 1)) refuse("scales=" + text_of(scales) + " leave nothing of shape " + text_of(x) + ".");
    if (!(size_there < 2147483648.0f))
      refuse("scales=" + text_of(scales) + " make too much of shape " + text_of(x) + ".");
    scaled.push_back(static_cast<Size>(size_there));
  }
  return with_spatial(x, scaled);
}

Shape interpolate(const Shape& x, const Attributes& attributes) {
  const std::vector<float>& roi = attributes.numbers(Name::kRoi);
  const bool crops =
      attributes.choice<InterpolateCoordinates>(Name::kCoordinates) == InterpolateCoordinates::kTfCropAndResize;
  require_count(roi, crops ? 2 * spatial_of(x).size() : 0, "roi");
  for (const float number : roi)
    if (!std::isfinite(number)) refuse("roi=" + text_of(roi) + " must be finite.");
  if (!std::isfinite(attributes.number(Name::kAlpha))) refuse("alpha must be finite.");
  if (!std::isfinite(attributes.number(Name::kValue))) refuse("value must be finite.");
  const Shape result = resize(x, attributes);
  const std::vector<float>& scales = attributes.numbers(Name::kScales);
  if (!attributes.flag(Name::kAntialias)) return result;
  for (std::size_t axis = 0; axis < scales.size(); ++axis) {
    const double scaled = static_cast<double>(x[axis + 2]) * static_cast<double>(scales[axis]);
    if (scaled < 0.5 || static_cast<double>(result[axis + 2]) > scaled + 1.0)
      refuse("scales=" + text_of(scales) + " don't give " + text_of(result) + " from " + text_of(x) +
             ", as antialias needs it.");
  }
  return result;
}

Shape grid_sample(const Operands& operands) {
  const Shape &x = *operands[0], &grid = *operands[1];
  const auto count = static_cast<Size>(spatial_of(x).size());
  if (grid.size() != x.size() || grid.front() != x.front() || grid.back() != count)
    refuse("grid has shape " + text_of(grid) + "; (" + text_of(x.front()) + ", *T, " + text_of(count) +
           ") is needed for x of shape " + text_of(x) + ".");
  return with_spatial(x, {grid.begin() + 1, grid.end() - 1});
}

Shape roi_align(const Operands& operands, const Attributes& attributes) {
  constexpr Size kMostSamples = 64;
  const Shape &x = *operands[0], &indices = *operands[1], &boxes = *operands[2];
  const std::vector<Size>& size = attributes.integers(Name::kSize);
  const Size count = attributes.integer(Name::kCount);
  if (x.size() != 4) refuse("x has shape " + text_of(x) + "; (N, C, H, W) is needed.");
  if (boxes.size() != 2 || boxes[1] != 4 || indices != Shape{boxes[0]})
    refuse("boxes have shape " + text_of(boxes) + ", indices " + text_of(indices) + "; (R, 4) and (R,) are needed.");
  require_count(size, 2, "size");
  if (count > kMostSamples) refuse("count=" + text_of(count) + " must be at most " + text_of(kMostSamples) + ".");
  if (!std::isfinite(attributes.number(Name::kScale))) refuse("scale must be finite.");
  return {boxes[0], x[1], size[0], size[1]};
}

Shape non_max_suppression(const Operands& operands, const Attributes& attributes) {
  const Shape &boxes = *operands[0], &scores = *operands[1];
  if (boxes.size() != 3 || boxes[2] != 4 || scores.size() != 3 || boxes[0] != scores[0] || boxes[1] != scores[2])
    refuse("boxes have shape " + text_of(boxes) + ", scores " + text_of(scores) +
           "; (N, B, 4) and (N, C, B) are needed.");
  if (attributes.choice<NonMaxSuppressionResult>(Name::kResult) == NonMaxSuppressionResult::kCount) return {1};
  return {product_of(product_of(scores[0], scores[1]), std::min(attributes.integer(Name::kCount), scores[2])), 3};
}

Shape first_entries(const Operands& operands, const Attributes& attributes) {
  require_axis(*operands[0], attributes.integer(Name::kAxis));
  if (*operands[1] != Shape{1}) refuse("count has shape " + text_of(*operands[1]) + "; (1,) is needed.");
  return *operands[0];
}

/// One for each spatial axis of x.
const std::vector<Size>& blocks_of(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& blocks = attributes.integers(Name::kBlocks);
  require_count(blocks, spatial_of(x).size(), "blocks");
  return blocks;
}

Shape depth_to_space(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& blocks = blocks_of(x, attributes);
  const Size count = entries_of(blocks);
  if (x[1] % count != 0) refuse(text_of(x[1]) + " channels can't be shared by blocks of " + text_of(blocks) + ".");
  Shape result = x;
  result[1] /= count;
  for (std::size_t axis = 0; axis < blocks.size(); ++axis) result[axis + 2] = product_of(x[axis + 2], blocks[axis]);
  return result;
}

Shape space_to_depth(const Shape& x, const Attributes& attributes) {
  const std::vector<Size>& blocks = blocks_of(x, attributes);
  Shape result = x;
  for (std::size_t axis = 0; axis < blocks.size(); ++axis) {
    if (x[axis + 2] % blocks[axis] != 0)
      refuse("shape " + text_of(x) + " can't be cut in blocks of " + text_of(blocks) + ".");
    result[axis + 2] /= blocks[axis];
    result[1] = product_of(result[1], blocks[axis]);
  }
  return result;
}

}  // namespace

Size product_of(Size a, Size b) {
  if (a == 0 || b == 0) return 0;
  return a > kUncounted / b ? kUncounted : a * b;
}

Size entries_of(const Shape& shape) { return std::accumulate(shape.begin(), shape.end(), Size{1}, product_of); }

void require_possible(const Shape& shape) {
  const bool counts =
      std::all_of(shape.begin(), shape.end(), [](Size size) { return size >= 1 && size <= kLargestSize; });
  if (!counts || entries_of(shape) > kMostEntries)
    refuse("shape " + text_of(shape) + ": sizes must be 1 to " + text_of(kLargestSize) + ", entries at most 2^60.");
}

Shape output_shape(Operator op, const std::vector<const Shape*>& operands, const Attributes& attributes) {
  static const Shape kNone;
  const Shape& x = operands.empty() ? kNone : *operands[0];
  switch (entry_of(op).shape) {
    case ShapeRule::kConv:
      return conv(operands, attributes);
    case ShapeRule::kSame:
      return x;
    case ShapeRule::kLinear:
      return linear(operands);
    case ShapeRule::kPool:
      return pool(operands, attributes);
    case ShapeRule::kReshape:
      return reshape(x, attributes);
    case ShapeRule::kBroadcast:
      return broadcast(operands);
    case ShapeRule::kAdaptivePool:
      return adaptive_pool(operands, attributes);
    case ShapeRule::kConcat:
      return concat(operands, attributes);
    case ShapeRule::kTranspose:
      return transpose(x, attributes);
    case ShapeRule::kLayerNorm:
      return layer_norm(operands, attributes);
    case ShapeRule::kQuantize:
      return quantize(operands, attributes, 1);
    case ShapeRule::kQuantizePlanes:
      return quantize(operands, attributes, attributes.integer(Name::kPlanes));
    case ShapeRule::kOverAxes:
      return over_axes(x, attributes);
    case ShapeRule::kCut:
      return cut(x, attributes);
    case ShapeRule::kAlongAxis:
      require_axis(x, attributes.integer(Name::kAxis));
      return x;
    case ShapeRule::kWalshHadamard:
      return walsh_hadamard(x, attributes);
    case ShapeRule::kPad:
      return pad(x, attributes);
    case ShapeRule::kResize:
      return resize(x, attributes);
    case ShapeRule::kLrn:
      return lrn(x);
    case ShapeRule::kMatmul:
      return matmul(operands);
    case ShapeRule::kEmbedding:
      return embedding(operands);
    case ShapeRule::kGather:
      return gather(operands, attributes);
    case ShapeRule::kGatherElements:
      return gather_elements(operands, attributes);
    case ShapeRule::kGatherNd:
      return gather_nd(x, *operands[1], attributes.integer(Name::kAxesInCommon));
    case ShapeRule::kScatterElements:
      return scatter_elements(operands, attributes);
    case ShapeRule::kScatterNd:
      return scatter_nd(operands);
    case ShapeRule::kPlaceAlongAxis:
      return place_along_axis(x, attributes);
    case ShapeRule::kTop:
      return top(x, attributes);
    case ShapeRule::kIntegers:
      return integers(attributes);
    case ShapeRule::kLstm:
    case ShapeRule::kGru:
    case ShapeRule::kRnn:
      return recurrent_shape(op, operands, attributes);
    case ShapeRule::kDepthToSpace:
      return depth_to_space(x, attributes);
    case ShapeRule::kSpaceToDepth:
      return space_to_depth(x, attributes);
    case ShapeRule::kInterpolate:
      return interpolate(x, attributes);
    case ShapeRule::kGridSample:
      return grid_sample(operands);
    case ShapeRule::kRoiAlign:
      return roi_align(operands, attributes);
    case ShapeRule::kNonMaxSuppression:
      return non_max_suppression(operands, attributes);
    case ShapeRule::kFirstEntries:
      return first_entries(operands, attributes);
    case ShapeRule::kStretch:
      return stretch(x, attributes);
    case ShapeRule::kExpand:
      return broadcast(x, attributes.integers(Name::kShape));
    case ShapeRule::kTile:
      return tile(x, attributes);
    case ShapeRule::kTriangle:
      return triangle(x);
    case ShapeRule::kReverse:
      return reverse(x, attributes);
  }
  throw Error(NS_ERROR_FILE, "an operator has no shape rule.");
}

}  // namespace netsurgery
