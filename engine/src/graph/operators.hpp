// The operator table, made from netsurgery/graph/operators/: don't edit, run
//
//     python -m generators
//
// docs/operators.md says what each operator does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "graph/value_types.hpp"

namespace netsurgery {

constexpr std::int64_t kLargestInteger = 2147483647;  // no whole number of a graph lies beyond +-this

/// A table in static memory.
template <class T>
struct Entries {
  const T* first = nullptr;
  std::size_t count = 0;

  constexpr Entries() = default;
  template <std::size_t N>
  constexpr Entries(const T (&all)[N]) : first(all), count(N) {}
  constexpr const T* begin() const { return first; }
  constexpr const T* end() const { return first + count; }
  constexpr std::size_t size() const { return count; }
  constexpr const T& operator[](std::size_t place) const { return first[place]; }
};

enum class AttributeKind : std::uint8_t { kInt, kInts, kFloat, kFloats, kFlag, kChoice };
enum class Default : std::uint8_t { kNone, kValue, kEmpty };  // it must be said; a value; no number at all

// Traits; the table in Python explains them.
enum class Work : std::uint8_t { kOther, kEntrywise, kBroadcast, kLayer, kSpatial };
enum class Images : std::uint8_t {
  kTogether,
  kApart,
  kApartInMatrices,
  kApartInBroadcasts,
  kApartInProducts,
  kApartBehindAxis,
  kApartOutsideAxes,
  kApartInOrder,
  kApartUnpadded
};
enum class Expected : std::uint8_t { kNothing, kKernel, kMatrix, kOutputs, kFromAxis };
enum class Length : std::uint8_t { kSpatial, kTwiceSpatial, kRank, kTwiceRank, kOne, kTwo };
enum class Operator : std::uint8_t {
  kConv = 1,
  kRelu = 2,
  kLinear = 3,
  kMaxPool = 4,
  kReshape = 5,
  kAdd = 6,
  kAdaptiveAveragePool = 7,
  kMul = 8,
  kConcat = 9,
  kClip = 10,
  kHardSwish = 11,
  kSigmoid = 12,
  kHardSigmoid = 13,
  kSilu = 14,
  kAveragePool = 15,
  kTranspose = 16,
  kGelu = 17,
  kLayerNorm = 18,
  kMean = 19,
  kSlice = 20,
  kSoftmax = 21,
  kLogSoftmax = 22,
  kLeakyRelu = 23,
  kSub = 24,
  kDiv = 25,
  kPad = 26,
  kResize = 27,
  kTanh = 28,
  kLrn = 29,
  kMatMul = 30,
  kAdaptiveMaxPool = 31,
  kAbs = 32,
  kEmbedding = 33,
  kExp = 80,
  kLog = 81,
  kSqrt = 82,
  kErf = 83,
  kSin = 84,
  kCos = 85,
  kTan = 86,
  kAsin = 87,
  kAcos = 88,
  kAtan = 89,
  kSinh = 90,
  kCosh = 91,
  kAsinh = 92,
  kAcosh = 93,
  kAtanh = 94,
  kSign = 95,
  kFloor = 96,
  kCeil = 97,
  kRound = 98,
  kTrunc = 99,
  kExpm1 = 100,
  kLog1p = 101,
  kElu = 102,
  kSoftplus = 103,
  kSoftsign = 104,
  kMish = 105,
  kThresholdedRelu = 106,
  kShrink = 107,
  kPow = 108,
  kMin = 109,
  kMax = 110,
  kRemainder = 111,
  kFmod = 112,
  kPRelu = 113,
  kReduceSum = 115,
  kReduceMax = 116,
  kReduceMin = 117,
  kReduceProd = 118,
  kReduceSumSquare = 119,
  kReduceL2 = 120,
  kRmsNorm = 122
};
enum class AttributeName : std::uint8_t {
  kStrides,
  kPads,
  kDilations,
  kGroups,
  kKernel,
  kCeilMode,
  kCountIncludePad,
  kSize,
  kMinimum,
  kMaximum,
  kAlpha,
  kBeta,
  kBias,
  kApproximate,
  kAxis,
  kShape,
  kOrder,
  kMode,
  kValue,
  kStart,
  kStop,
  kStep,
  kAxes,
  kKeepdims,
  kEpsilon,
  kScales,
  kCoordinates,
  kRounding,
  kScale,
  kInputScale,
  kThreshold
};
enum class ShapeRule : std::uint8_t {
  kConv,
  kSame,
  kLinear,
  kPool,
  kReshape,
  kBroadcast,
  kAdaptivePool,
  kConcat,
  kTranspose,
  kLayerNorm,
  kOverAxes,
  kCut,
  kAlongAxis,
  kPad,
  kResize,
  kLrn,
  kMatmul,
  kEmbedding
};
// Choices: an attribute's whole number is the place among them.
enum class GeluApproximate : std::uint8_t { kNone, kTanh };
enum class PadMode : std::uint8_t { kConstant, kReflect, kEdge, kWrap };
enum class ResizeCoordinates : std::uint8_t {
  kAsymmetric,
  kHalfPixel,
  kPytorchHalfPixel,
  kAlignCorners,
  kHalfPixelSymmetric
};
enum class ResizeRounding : std::uint8_t { kFloor, kCeil, kRoundPreferFloor, kRoundPreferCeil };

struct OperandEntry {
  const char* name;
  bool constant, optional, variadic;
  Expected expected;
  unsigned types;  // that its entries may have: a bit for each, the code says which

  constexpr bool takes(ValueType type) const { return (types >> static_cast<unsigned>(type) & 1u) != 0; }
};

struct AttributeEntry {
  AttributeName name;
  const char* word;
  AttributeKind kind;
  Length length;
  bool flattens;
  Default standard;
  std::int64_t default_integer;  // of kInt, kFlag, kChoice
  float default_number;          // of kFloat
  std::int64_t low;              // the lowest value of kInt, kInts
  bool has_neutral;              // kInts that all equal `neutral` are kept as no numbers at all
  std::int64_t neutral;
  Entries<const char*> choices;
};

struct OperatorEntry {
  Operator op;  // its number is the operator's code in the file
  const char* name;
  ShapeRule shape;
  Work work;
  Images images;
  Entries<OperandEntry> operands;
  Entries<AttributeEntry> attributes;

  constexpr bool variadic() const { return operands[operands.size() - 1].variadic; }
  /// The operand that input number `place` is: the last one stands for all that follow it.
  constexpr const OperandEntry& operand(std::size_t place) const {
    return operands[place < operands.size() ? place : operands.size() - 1];
  }
};

// clang-format off
namespace operator_tables {

inline constexpr OperandEntry kConvOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
    {"weight", true, false, false, Expected::kKernel, 1},
    {"bias", true, true, false, Expected::kOutputs, 1},
};
inline constexpr AttributeEntry kConvAttributes[] = {
    {AttributeName::kStrides, "strides", AttributeKind::kInts, Length::kSpatial, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, {}},
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceSpatial, false, Default::kEmpty, 0, 0.0f, 0,
     true, 0, {}},
    {AttributeName::kDilations, "dilations", AttributeKind::kInts, Length::kSpatial, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, {}},
    {AttributeName::kGroups, "groups", AttributeKind::kInt, Length::kSpatial, false, Default::kValue, 1, 0.0f, 1, false,
     0, {}},
};

inline constexpr OperandEntry kReluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kLinearOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
    {"weight", true, false, false, Expected::kMatrix, 1},
    {"bias", true, true, false, Expected::kOutputs, 1},
};

inline constexpr OperandEntry kMaxPoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kMaxPoolAttributes[] = {
    {AttributeName::kKernel, "kernel", AttributeKind::kInts, Length::kSpatial, false, Default::kNone, 0, 0.0f, 1, false,
     0, {}},
    {AttributeName::kStrides, "strides", AttributeKind::kInts, Length::kSpatial, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, {}},
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceSpatial, false, Default::kEmpty, 0, 0.0f, 0,
     true, 0, {}},
    {AttributeName::kDilations, "dilations", AttributeKind::kInts, Length::kSpatial, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, {}},
    {AttributeName::kCeilMode, "ceil_mode", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kReshapeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kReshapeAttributes[] = {
    {AttributeName::kShape, "shape", AttributeKind::kInts, Length::kTwo, true, Default::kNone, 0, 0.0f, -1, false, 0,
     {}},
};

inline constexpr OperandEntry kAddOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAdaptiveAveragePoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kAdaptiveAveragePoolAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, false, Default::kNone, 0, 0.0f, 1, false, 0,
     {}},
};

inline constexpr OperandEntry kMulOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kConcatOperands[] = {
    {"x", false, false, true, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kConcatAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 0, false, 0,
     {}},
};

inline constexpr OperandEntry kClipOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kClipAttributes[] = {
    {AttributeName::kMinimum, "minimum", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0,
     -std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, {}},
    {AttributeName::kMaximum, "maximum", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0,
     std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kHardSwishOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kSigmoidOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kHardSigmoidOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kHardSigmoidAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 0.166666672f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kBeta, "beta", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 0.5f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kSiluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAveragePoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kAveragePoolAttributes[] = {
    {AttributeName::kKernel, "kernel", AttributeKind::kInts, Length::kSpatial, false, Default::kNone, 0, 0.0f, 1, false,
     0, {}},
    {AttributeName::kStrides, "strides", AttributeKind::kInts, Length::kSpatial, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, {}},
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceSpatial, false, Default::kEmpty, 0, 0.0f, 0,
     true, 0, {}},
    {AttributeName::kDilations, "dilations", AttributeKind::kInts, Length::kSpatial, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, {}},
    {AttributeName::kCeilMode, "ceil_mode", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kCountIncludePad, "count_include_pad", AttributeKind::kFlag, Length::kSpatial, false,
     Default::kValue, 0, 0.0f, -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kTransposeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kTransposeAttributes[] = {
    {AttributeName::kOrder, "order", AttributeKind::kInts, Length::kRank, false, Default::kNone, 0, 0.0f, 0, false, 0,
     {}},
};

inline constexpr OperandEntry kGeluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr const char* kGeluApproximateChoices[] = {"none", "tanh"};
inline constexpr AttributeEntry kGeluAttributes[] = {
    {AttributeName::kApproximate, "approximate", AttributeKind::kChoice, Length::kSpatial, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, kGeluApproximateChoices},
};

inline constexpr OperandEntry kLayerNormOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
    {"scale", true, true, false, Expected::kFromAxis, 1},
    {"bias", true, true, false, Expected::kFromAxis, 1},
};
inline constexpr AttributeEntry kLayerNormAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 0, false, 0,
     {}},
    {AttributeName::kEpsilon, "epsilon", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0,
     9.99999975e-06f, -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kMeanOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kMeanAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, false, Default::kNone, 0, 0.0f, 0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kSliceOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kSliceAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 0, false, 0,
     {}},
    {AttributeName::kStart, "start", AttributeKind::kInt, Length::kSpatial, false, Default::kValue, 0, 0.0f, 0, false,
     0, {}},
    {AttributeName::kStop, "stop", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 1, false, 0,
     {}},
    {AttributeName::kStep, "step", AttributeKind::kInt, Length::kSpatial, false, Default::kValue, 1, 0.0f, 1, false, 0,
     {}},
};

inline constexpr OperandEntry kSoftmaxOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kSoftmaxAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 0, false, 0,
     {}},
};

inline constexpr OperandEntry kLogSoftmaxOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kLogSoftmaxAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 0, false, 0,
     {}},
};

inline constexpr OperandEntry kLeakyReluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kLeakyReluAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 0.00999999978f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kSubOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kDivOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kPadOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr const char* kPadModeChoices[] = {"constant", "reflect", "edge", "wrap"};
inline constexpr AttributeEntry kPadAttributes[] = {
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceRank, false, Default::kNone, 0, 0.0f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kMode, "mode", AttributeKind::kChoice, Length::kSpatial, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, kPadModeChoices},
    {AttributeName::kValue, "value", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kResizeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr const char* kResizeCoordinatesChoices[] = {"asymmetric", "half_pixel", "pytorch_half_pixel",
     "align_corners", "half_pixel_symmetric"};
inline constexpr const char* kResizeRoundingChoices[] = {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"};
inline constexpr AttributeEntry kResizeAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, false, Default::kNone, 0, 0.0f, 1, false, 0,
     {}},
    {AttributeName::kScales, "scales", AttributeKind::kFloats, Length::kSpatial, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kCoordinates, "coordinates", AttributeKind::kChoice, Length::kSpatial, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, kResizeCoordinatesChoices},
    {AttributeName::kRounding, "rounding", AttributeKind::kChoice, Length::kSpatial, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, kResizeRoundingChoices},
};

inline constexpr OperandEntry kTanhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kLrnOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kLrnAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 1, false, 0,
     {}},
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0,
     9.99999975e-05f, -kLargestInteger, false, 0, {}},
    {AttributeName::kBeta, "beta", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 0.75f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kBias, "bias", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kMatMulOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAdaptiveMaxPoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kAdaptiveMaxPoolAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, false, Default::kNone, 0, 0.0f, 1, false, 0,
     {}},
};

inline constexpr OperandEntry kAbsOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kEmbeddingOperands[] = {
    {"x", false, false, false, Expected::kNothing, 6},
    {"weight", true, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kExpOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kLogOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kSqrtOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kErfOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kSinOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kCosOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kTanOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAsinOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAcosOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAtanOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kSinhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kCoshOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAsinhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAcoshOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kAtanhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kSignOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kFloorOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kCeilOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kRoundOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kTruncOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kExpm1Operands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kLog1pOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kEluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kEluAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kScale, "scale", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kInputScale, "input_scale", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0,
     1.0f, -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kSoftplusOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kSoftsignOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kMishOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kThresholdedReluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kThresholdedReluAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kShrinkOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kShrinkAttributes[] = {
    {AttributeName::kThreshold, "threshold", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 0.5f,
     -kLargestInteger, false, 0, {}},
    {AttributeName::kBias, "bias", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kPowOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kMinOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kMaxOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kRemainderOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kFmodOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kPReluOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1},
    {"b", false, false, false, Expected::kNothing, 1},
};

inline constexpr OperandEntry kReduceSumOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kReduceSumAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, false, Default::kNone, 0, 0.0f, 0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kReduceMaxOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kReduceMaxAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, false, Default::kNone, 0, 0.0f, 0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kReduceMinOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kReduceMinAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, false, Default::kNone, 0, 0.0f, 0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kReduceProdOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kReduceProdAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, false, Default::kNone, 0, 0.0f, 0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kReduceSumSquareOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kReduceSumSquareAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, false, Default::kNone, 0, 0.0f, 0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kReduceL2Operands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
};
inline constexpr AttributeEntry kReduceL2Attributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, false, Default::kNone, 0, 0.0f, 0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, {}},
};

inline constexpr OperandEntry kRmsNormOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1},
    {"scale", true, true, false, Expected::kFromAxis, 1},
};
inline constexpr AttributeEntry kRmsNormAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, false, Default::kNone, 0, 0.0f, 0, false, 0,
     {}},
    {AttributeName::kEpsilon, "epsilon", AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0,
     9.99999975e-06f, -kLargestInteger, false, 0, {}},
};

}  // namespace operator_tables

inline constexpr OperatorEntry kOperators[] = {
    {Operator::kConv, "Conv", ShapeRule::kConv, Work::kLayer, Images::kApart, operator_tables::kConvOperands,
     operator_tables::kConvAttributes},
    {Operator::kRelu, "Relu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kReluOperands, {}},
    {Operator::kLinear, "Linear", ShapeRule::kLinear, Work::kLayer, Images::kApartInMatrices,
     operator_tables::kLinearOperands, {}},
    {Operator::kMaxPool, "MaxPool", ShapeRule::kPool, Work::kSpatial, Images::kApart, operator_tables::kMaxPoolOperands,
     operator_tables::kMaxPoolAttributes},
    {Operator::kReshape, "Reshape", ShapeRule::kReshape, Work::kOther, Images::kApart,
     operator_tables::kReshapeOperands, operator_tables::kReshapeAttributes},
    {Operator::kAdd, "Add", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kAddOperands, {}},
    {Operator::kAdaptiveAveragePool, "AdaptiveAveragePool", ShapeRule::kAdaptivePool, Work::kSpatial, Images::kApart,
     operator_tables::kAdaptiveAveragePoolOperands, operator_tables::kAdaptiveAveragePoolAttributes},
    {Operator::kMul, "Mul", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kMulOperands, {}},
    {Operator::kConcat, "Concat", ShapeRule::kConcat, Work::kOther, Images::kApartBehindAxis,
     operator_tables::kConcatOperands, operator_tables::kConcatAttributes},
    {Operator::kClip, "Clip", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kClipOperands,
     operator_tables::kClipAttributes},
    {Operator::kHardSwish, "HardSwish", ShapeRule::kSame, Work::kEntrywise, Images::kApart,
     operator_tables::kHardSwishOperands, {}},
    {Operator::kSigmoid, "Sigmoid", ShapeRule::kSame, Work::kEntrywise, Images::kApart,
     operator_tables::kSigmoidOperands, {}},
    {Operator::kHardSigmoid, "HardSigmoid", ShapeRule::kSame, Work::kEntrywise, Images::kApart,
     operator_tables::kHardSigmoidOperands, operator_tables::kHardSigmoidAttributes},
    {Operator::kSilu, "Silu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kSiluOperands, {}},
    {Operator::kAveragePool, "AveragePool", ShapeRule::kPool, Work::kSpatial, Images::kApart,
     operator_tables::kAveragePoolOperands, operator_tables::kAveragePoolAttributes},
    {Operator::kTranspose, "Transpose", ShapeRule::kTranspose, Work::kOther, Images::kApartInOrder,
     operator_tables::kTransposeOperands, operator_tables::kTransposeAttributes},
    {Operator::kGelu, "Gelu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kGeluOperands,
     operator_tables::kGeluAttributes},
    {Operator::kLayerNorm, "LayerNorm", ShapeRule::kLayerNorm, Work::kOther, Images::kApartBehindAxis,
     operator_tables::kLayerNormOperands, operator_tables::kLayerNormAttributes},
    {Operator::kMean, "Mean", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     operator_tables::kMeanOperands, operator_tables::kMeanAttributes},
    {Operator::kSlice, "Slice", ShapeRule::kCut, Work::kOther, Images::kApartBehindAxis,
     operator_tables::kSliceOperands, operator_tables::kSliceAttributes},
    {Operator::kSoftmax, "Softmax", ShapeRule::kAlongAxis, Work::kOther, Images::kApartBehindAxis,
     operator_tables::kSoftmaxOperands, operator_tables::kSoftmaxAttributes},
    {Operator::kLogSoftmax, "LogSoftmax", ShapeRule::kAlongAxis, Work::kOther, Images::kApartBehindAxis,
     operator_tables::kLogSoftmaxOperands, operator_tables::kLogSoftmaxAttributes},
    {Operator::kLeakyRelu, "LeakyRelu", ShapeRule::kSame, Work::kEntrywise, Images::kApart,
     operator_tables::kLeakyReluOperands, operator_tables::kLeakyReluAttributes},
    {Operator::kSub, "Sub", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kSubOperands, {}},
    {Operator::kDiv, "Div", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kDivOperands, {}},
    {Operator::kPad, "Pad", ShapeRule::kPad, Work::kOther, Images::kApartUnpadded, operator_tables::kPadOperands,
     operator_tables::kPadAttributes},
    {Operator::kResize, "Resize", ShapeRule::kResize, Work::kSpatial, Images::kApart, operator_tables::kResizeOperands,
     operator_tables::kResizeAttributes},
    {Operator::kTanh, "Tanh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kTanhOperands, {}},
    {Operator::kLrn, "Lrn", ShapeRule::kLrn, Work::kOther, Images::kApart, operator_tables::kLrnOperands,
     operator_tables::kLrnAttributes},
    {Operator::kMatMul, "MatMul", ShapeRule::kMatmul, Work::kOther, Images::kApartInProducts,
     operator_tables::kMatMulOperands, {}},
    {Operator::kAdaptiveMaxPool, "AdaptiveMaxPool", ShapeRule::kAdaptivePool, Work::kSpatial, Images::kApart,
     operator_tables::kAdaptiveMaxPoolOperands, operator_tables::kAdaptiveMaxPoolAttributes},
    {Operator::kAbs, "Abs", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kAbsOperands, {}},
    {Operator::kEmbedding, "Embedding", ShapeRule::kEmbedding, Work::kOther, Images::kApart,
     operator_tables::kEmbeddingOperands, {}},
    {Operator::kExp, "Exp", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kExpOperands, {}},
    {Operator::kLog, "Log", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kLogOperands, {}},
    {Operator::kSqrt, "Sqrt", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kSqrtOperands, {}},
    {Operator::kErf, "Erf", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kErfOperands, {}},
    {Operator::kSin, "Sin", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kSinOperands, {}},
    {Operator::kCos, "Cos", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kCosOperands, {}},
    {Operator::kTan, "Tan", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kTanOperands, {}},
    {Operator::kAsin, "Asin", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kAsinOperands, {}},
    {Operator::kAcos, "Acos", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kAcosOperands, {}},
    {Operator::kAtan, "Atan", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kAtanOperands, {}},
    {Operator::kSinh, "Sinh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kSinhOperands, {}},
    {Operator::kCosh, "Cosh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kCoshOperands, {}},
    {Operator::kAsinh, "Asinh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kAsinhOperands,
     {}},
    {Operator::kAcosh, "Acosh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kAcoshOperands,
     {}},
    {Operator::kAtanh, "Atanh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kAtanhOperands,
     {}},
    {Operator::kSign, "Sign", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kSignOperands, {}},
    {Operator::kFloor, "Floor", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kFloorOperands,
     {}},
    {Operator::kCeil, "Ceil", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kCeilOperands, {}},
    {Operator::kRound, "Round", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kRoundOperands,
     {}},
    {Operator::kTrunc, "Trunc", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kTruncOperands,
     {}},
    {Operator::kExpm1, "Expm1", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kExpm1Operands,
     {}},
    {Operator::kLog1p, "Log1p", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kLog1pOperands,
     {}},
    {Operator::kElu, "Elu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kEluOperands,
     operator_tables::kEluAttributes},
    {Operator::kSoftplus, "Softplus", ShapeRule::kSame, Work::kEntrywise, Images::kApart,
     operator_tables::kSoftplusOperands, {}},
    {Operator::kSoftsign, "Softsign", ShapeRule::kSame, Work::kEntrywise, Images::kApart,
     operator_tables::kSoftsignOperands, {}},
    {Operator::kMish, "Mish", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kMishOperands, {}},
    {Operator::kThresholdedRelu, "ThresholdedRelu", ShapeRule::kSame, Work::kEntrywise, Images::kApart,
     operator_tables::kThresholdedReluOperands, operator_tables::kThresholdedReluAttributes},
    {Operator::kShrink, "Shrink", ShapeRule::kSame, Work::kEntrywise, Images::kApart, operator_tables::kShrinkOperands,
     operator_tables::kShrinkAttributes},
    {Operator::kPow, "Pow", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kPowOperands, {}},
    {Operator::kMin, "Min", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kMinOperands, {}},
    {Operator::kMax, "Max", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kMaxOperands, {}},
    {Operator::kRemainder, "Remainder", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kRemainderOperands, {}},
    {Operator::kFmod, "Fmod", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kFmodOperands, {}},
    {Operator::kPRelu, "PRelu", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     operator_tables::kPReluOperands, {}},
    {Operator::kReduceSum, "ReduceSum", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     operator_tables::kReduceSumOperands, operator_tables::kReduceSumAttributes},
    {Operator::kReduceMax, "ReduceMax", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     operator_tables::kReduceMaxOperands, operator_tables::kReduceMaxAttributes},
    {Operator::kReduceMin, "ReduceMin", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     operator_tables::kReduceMinOperands, operator_tables::kReduceMinAttributes},
    {Operator::kReduceProd, "ReduceProd", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     operator_tables::kReduceProdOperands, operator_tables::kReduceProdAttributes},
    {Operator::kReduceSumSquare, "ReduceSumSquare", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     operator_tables::kReduceSumSquareOperands, operator_tables::kReduceSumSquareAttributes},
    {Operator::kReduceL2, "ReduceL2", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     operator_tables::kReduceL2Operands, operator_tables::kReduceL2Attributes},
    {Operator::kRmsNorm, "RmsNorm", ShapeRule::kLayerNorm, Work::kOther, Images::kApartBehindAxis,
     operator_tables::kRmsNormOperands, operator_tables::kRmsNormAttributes},
};
// clang-format on

constexpr std::size_t kMostOperatorCodes = 256;
constexpr int kNoOperator = -1;

/// For each code the place of its operator in kOperators, or kNoOperator.
struct OperatorPlaces {
  int of[kMostOperatorCodes] = {};

  constexpr OperatorPlaces() {
    for (int& place : of) place = kNoOperator;
    int place = 0;
    for (const OperatorEntry& entry : kOperators) of[static_cast<std::size_t>(entry.op)] = place++;
  }
};
inline constexpr OperatorPlaces kOperatorPlaces;

constexpr bool is_operator(std::int64_t code) {
  return code >= 0 && code < static_cast<std::int64_t>(kMostOperatorCodes) && kOperatorPlaces.of[code] != kNoOperator;
}
constexpr const OperatorEntry& entry_of(Operator op) {
  return kOperators[kOperatorPlaces.of[static_cast<std::size_t>(op)]];
}

}  // namespace netsurgery
