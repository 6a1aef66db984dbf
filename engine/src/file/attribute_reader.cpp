#include "file/attribute_reader.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "graph/shapes.hpp"

namespace netsurgery {
namespace {

using namespace format;

/// How many numbers an attribute is expected to have, x having `rank` axes.
std::size_t expected_count(Length length, std::size_t rank) {
  const std::size_t spatial = rank > 2 ? rank - 2 : 0;
  switch (length) {
    case Length::kSpatial:
      return spatial;
    case Length::kTwiceSpatial:
      return 2 * spatial;
    case Length::kRank:
      return rank;
    case Length::kTwiceRank:
      return 2 * rank;
    case Length::kOne:
      return 1;
    case Length::kTwo:
      return 2;
  }
  return 0;
}

constexpr Size kEndOfFactors = 0, kQuotient = 1, kAbove = 2, kFirstAxis = 3;  // what a factor of an extent is

/// Numbers that follow open axes are checked when these have sizes.
bool is_allowed(const AttributeEntry& attribute, const AttributeValue& value) {
  for (std::size_t i = 0; i < value.integers.size(); ++i) {
    const bool follows = !value.extents.empty() && value.extents[i] != kFixed;
    if (!follows && (value.integers[i] < attribute.low || value.integers[i] > kLargestInteger)) return false;
  }
  return std::none_of(value.numbers.begin(), value.numbers.end(), [](float number) { return std::isnan(number); });
}

std::string not_allowed(const AttributeEntry& attribute, const AttributeValue& value) {
  const bool several = attribute.kind == AttributeKind::kInts || attribute.kind == AttributeKind::kFloats;
  const bool whole = attribute.kind == AttributeKind::kInt || attribute.kind == AttributeKind::kInts;
  const std::string given = !whole    ? several ? text_of(value.numbers) : "nan"
                            : several ? text_of(value.integers)
                                      : std::to_string(value.integers[0]);
  std::string allowed = whole ? several ? "whole numbers" : "a whole number" : several ? "numbers" : "a number";
  if (whole && attribute.low > -kLargestInteger) allowed += " >= " + std::to_string(attribute.low);
  return std::string(attribute.word) + "=" + given + " is not allowed: " + attribute.word + " must be " + allowed + ".";
}

}  // namespace

SaidAttributes AttributeReader::read(const OperatorEntry& entry, const Shape& x, bool open_axes) {
  SaidAttributes values;
  for (const AttributeEntry& one : entry.attributes) values.push_back(attribute(one, x, open_axes));
  return values;
}

AttributeValue AttributeReader::attribute(const AttributeEntry& attribute, const Shape& x, bool open_axes) {
  const std::size_t context = kAttribute + static_cast<std::size_t>(attribute.name);
  AttributeValue standard;
  bool has_standard = attribute.standard != Default::kNone;
  if (attribute.flattens && !x.empty()) {
    standard.integers = {open_axes ? -1 : x[0], entries_of(Shape(x.begin() + 1, x.end()))};
    has_standard = true;
  } else if (attribute.standard == Default::kValue) {
    if (attribute.kind == AttributeKind::kFloat)
      standard.numbers = {attribute.default_number};
    else
      standard.integers = {attribute.default_integer};
  }
  if (attribute.kind == AttributeKind::kFlag) {
    standard.integers[0] ^= stream_.flag(context) ? 1 : 0;
    return standard;
  }
  if (has_standard && !stream_.flag(context)) return standard;
  AttributeValue result;
  if (attribute.kind != AttributeKind::kInts && attribute.kind != AttributeKind::kFloats) {
    number(attribute, result);
    return result;
  }
  Size count = static_cast<Size>(expected_count(attribute.length, x.size()));
  if (stream_.flag(kRank)) count = stream_.count(kRank, attribute.most, std::string("numbers of ") + attribute.word, 0);
  for (Size i = 0; i < count; ++i) {
    const bool repeated = i > 0 && !stream_.flag(kKernel);
    if (!repeated)
      number(attribute, result);
    else if (attribute.kind == AttributeKind::kInts) {
      result.integers.push_back(result.integers.back());
      if (!result.extents.empty()) result.extents.push_back(result.extents.back());
    } else
      result.numbers.push_back(result.numbers.back());
  }
  return result;
}

void AttributeReader::number(const AttributeEntry& attribute, AttributeValue& numbers) {
  if (attribute.kind == AttributeKind::kFloat || attribute.kind == AttributeKind::kFloats) {
    const std::uint32_t upper = stream_.raw(16), bits = upper << 16 | stream_.raw(16);
    float number;
    std::memcpy(&number, &bits, sizeof number);
    numbers.numbers.push_back(number);
    return;
  }
  if (follows_ && attribute.follows) {
    const bool is_extent = stream_.flag(kExtent);
    numbers.extents.push_back(is_extent ? extent() : kFixed);
    if (is_extent) {
      numbers.integers.push_back(extents_[static_cast<std::size_t>(numbers.extents.back())].at(least_));
      return;
    }
  }
  const Size code = stream_.integer(kAttribute + static_cast<std::size_t>(attribute.name));
  if (attribute.kind == AttributeKind::kChoice) {
    if (code >= static_cast<Size>(attribute.choices.size()))
      refuse_file(std::string(attribute.word) + " has no choice " + std::to_string(code) + ".");
    numbers.integers.push_back(code);
  } else {
    numbers.integers.push_back(attribute.low < -1 ? unzigzag(code) : code + attribute.low);
  }
}

int AttributeReader::extent() {
  const Size number = stream_.integer(kExtent), count = static_cast<Size>(extents_.size());
  if (number > count)
    refuse_file("extent " + std::to_string(number) + " appears before number " + std::to_string(count) + ".");
  if (number == count) {
    if (number == kMostExtents) refuse_limit("the file declares more than " + with_commas(kMostExtents) + " extents.");
    parts_ = 0;
    extents_.push_back(told(1));
  }
  return static_cast<int>(number);
}

Extent AttributeReader::told(int depth) {
  if (depth > kDeepestPart) refuse_limit("an extent is more than " + std::to_string(kDeepestPart) + " quotients deep.");
  Extent result;
  for (Size left = stream_.integer(kTerms) + 1; left > 0; --left) {
    count_part();
    ExtentTerm term;
    term.coefficient = unzigzag(stream_.integer(kCoefficient));
    for (Size kind; (kind = stream_.integer(kFactor)) != kEndOfFactors;) {
      count_part();
      term.factors.push_back(factor(kind, depth));
    }
    result.terms.push_back(std::move(term));
  }
  return result;
}

ExtentFactor AttributeReader::factor(Size kind, int depth) {
  ExtentFactor result;
  if (kind == kAbove) {
    result.kind = ExtentFactor::Kind::kAbove;
    result.of = told(depth + 1);
  } else if (kind == kQuotient) {
    result.kind = ExtentFactor::Kind::kQuotient;
    result.divisor = stream_.integer(kDivisor) + 2;
    if (result.divisor > kLargestInteger)
      refuse_file("an extent has the divisor " + std::to_string(result.divisor) + "; it is at most " +
                  std::to_string(kLargestInteger) + ".");
    result.of = told(depth + 1);
  } else {
    if (kind - kFirstAxis >= static_cast<Size>(axes_))
      refuse_file("an extent follows open axis " + std::to_string(kind - kFirstAxis) + " of " + std::to_string(axes_) +
                  ".");
    result.axis = static_cast<std::size_t>(kind - kFirstAxis);
  }
  return result;
}

void AttributeReader::count_part() {
  if (++parts_ > kMostParts)
    refuse_limit("an extent has more than " + std::to_string(kMostParts) + " terms and factors.");
}

const AttributeValue& said(const OperatorEntry& entry, const SaidAttributes& values, AttributeName name) {
  std::size_t place = 0;
  while (entry.attributes[place].name != name) ++place;
  return values[place];
}

Attributes checked(const OperatorEntry& entry, SaidAttributes values) {
  Attributes result;
  for (std::size_t place = 0; place < values.size(); ++place) {
    const AttributeEntry& attribute = entry.attributes[place];
    AttributeValue& value = values[place];
    if (!is_allowed(attribute, value)) refuse_file(not_allowed(attribute, value));
    if (attribute.has_neutral && value.extents.empty() &&
        std::all_of(value.integers.begin(), value.integers.end(),
                    [&](Size number) { return number == attribute.neutral; }))
      value.integers.clear();
    result.set(attribute.name, std::move(value));
  }
  return result;
}

}  // namespace netsurgery
