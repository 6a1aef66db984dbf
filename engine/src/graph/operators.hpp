// The operator table, made from netsurgery/graph/operators/: don't edit, run
//
//     python -m generators
//
// docs/operators.md says what each operator does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>

#include "graph/value_types.hpp"

namespace netsurgery {

constexpr std::int64_t kLargestInteger = 2147483647;  // no whole number of a graph lies beyond +-this
constexpr std::int64_t kMostBits = 24;                // of numbers on a grid, their sign not counted
constexpr std::int64_t kFarthestExponent = 100;       // of a grid, +-

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
enum class Expected : std::uint8_t { kNothing, kKernel, kMatrix, kGates, kOutputs, kFromAxis };
enum class Gives : std::uint8_t { kFloat32, kFirst, kLast, kInt64, kBool, kSaid };
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
  kIntegers = 40,
  kCast = 41,
  kEqual = 42,
  kNotEqual = 43,
  kLess = 44,
  kLessOrEqual = 45,
  kGreater = 46,
  kGreaterOrEqual = 47,
  kAnd = 48,
  kOr = 49,
  kXor = 50,
  kNot = 51,
  kIsNaN = 52,
  kIsInf = 53,
  kWhere = 54,
  kGather = 55,
  kGatherElements = 56,
  kGatherND = 57,
  kScatterElements = 58,
  kScatterND = 59,
  kArgMax = 60,
  kArgMin = 61,
  kTopKValues = 62,
  kTopKIndices = 63,
  kCumSum = 64,
  kLstm = 70,
  kGru = 71,
  kRnn = 72,
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
  kRmsNorm = 122,
  kDepthToSpace = 130,
  kSpaceToDepth = 131,
  kInterpolate = 132,
  kGridSample = 133,
  kRoiAlign = 134,
  kNonMaxSuppression = 135,
  kFirstEntries = 136,
  kRange = 150,
  kExpand = 151,
  kTile = 152,
  kTrilu = 153,
  kReverse = 154,
  kQuantize = 155,
  kWalshHadamard = 156,
  kQuantizePlanes = 157
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
  kType,
  kValues,
  kPositive,
  kNegative,
  kResult,
  kBatchFirst,
  kReverse,
  kFixedLengths,
  kClip,
  kGateActivation,
  kCandidateActivation,
  kCellActivation,
  kAlphas,
  kBetas,
  kCoupled,
  kResetAfter,
  kBlocks,
  kAntialias,
  kExcludeOutside,
  kRoi,
  kAxesInCommon,
  kReduction,
  kLast,
  kCount,
  kLargest,
  kExclusive,
  kScale,
  kInputScale,
  kThreshold,
  kRepeats,
  kUpper,
  kDiagonal,
  kPadding,
  kExponent,
  kBits,
  kSigned,
  kPlanes
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
  kEmbedding,
  kIntegers,
  kGather,
  kGatherElements,
  kGatherNd,
  kScatterElements,
  kScatterNd,
  kPlaceAlongAxis,
  kTop,
  kLstm,
  kGru,
  kRnn,
  kDepthToSpace,
  kSpaceToDepth,
  kInterpolate,
  kGridSample,
  kRoiAlign,
  kNonMaxSuppression,
  kFirstEntries,
  kStretch,
  kExpand,
  kTile,
  kTriangle,
  kReverse,
  kQuantize,
  kWalshHadamard,
  kQuantizePlanes
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
enum class IntegersType : std::uint8_t { kFloat32, kInt32, kInt64, kBool };
enum class CastType : std::uint8_t { kFloat32, kInt32, kInt64, kBool };
enum class ScatterElementsReduction : std::uint8_t { kNone, kAdd, kMul, kMax, kMin };
enum class ScatterNDReduction : std::uint8_t { kNone, kAdd, kMul, kMax, kMin };
enum class LstmResult : std::uint8_t { kSteps, kHidden, kCell };
enum class LstmGateActivation : std::uint8_t {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,
  kLeakyRelu,
  kThresholdedRelu,
  kScaledTanh,
  kHardSigmoid,
  kElu,
  kSoftsign,
  kSoftplus
};
enum class LstmCandidateActivation : std::uint8_t {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,
  kLeakyRelu,
  kThresholdedRelu,
  kScaledTanh,
  kHardSigmoid,
  kElu,
  kSoftsign,
  kSoftplus
};
enum class LstmCellActivation : std::uint8_t {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,
  kLeakyRelu,
  kThresholdedRelu,
  kScaledTanh,
  kHardSigmoid,
  kElu,
  kSoftsign,
  kSoftplus
};
enum class GruResult : std::uint8_t { kSteps, kHidden };
enum class GruGateActivation : std::uint8_t {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,
  kLeakyRelu,
  kThresholdedRelu,
  kScaledTanh,
  kHardSigmoid,
  kElu,
  kSoftsign,
  kSoftplus
};
enum class GruCandidateActivation : std::uint8_t {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,
  kLeakyRelu,
  kThresholdedRelu,
  kScaledTanh,
  kHardSigmoid,
  kElu,
  kSoftsign,
  kSoftplus
};
enum class RnnResult : std::uint8_t { kSteps, kHidden };
enum class RnnCandidateActivation : std::uint8_t {
  kSigmoid,
  kTanh,
  kRelu,
  kAffine,
  kLeakyRelu,
  kThresholdedRelu,
  kScaledTanh,
  kHardSigmoid,
  kElu,
  kSoftsign,
  kSoftplus
};
enum class DepthToSpaceOrder : std::uint8_t { kCrd, kDcr };
enum class SpaceToDepthOrder : std::uint8_t { kCrd, kDcr };
enum class InterpolateCoordinates : std::uint8_t {
  kAsymmetric,
  kHalfPixel,
  kPytorchHalfPixel,
  kAlignCorners,
  kHalfPixelSymmetric,
  kTfCropAndResize
};
enum class InterpolateMode : std::uint8_t { kLinear, kCubic };
enum class GridSampleMode : std::uint8_t { kLinear, kNearest, kCubic };
enum class GridSamplePadding : std::uint8_t { kZeros, kBorder, kReflection };
enum class GridSampleCoordinates : std::uint8_t { kHalfPixel, kAlignCorners };
enum class RoiAlignCoordinates : std::uint8_t { kHalfPixel, kAsymmetric };
enum class RoiAlignMode : std::uint8_t { kMean, kMax };
enum class NonMaxSuppressionResult : std::uint8_t { kRows, kCount };
enum class NonMaxSuppressionOrder : std::uint8_t { kCorners, kCenter };

struct OperandEntry {
  const char* name;
  bool constant, optional, variadic;
  Expected expected;
  unsigned types;  // that its entries may have: a bit for each, the code says which
  bool alike;      // all operands of which this is true have one type

  constexpr bool takes(ValueType type) const { return (types >> static_cast<unsigned>(type) & 1u) != 0; }
};

struct AttributeEntry {
  AttributeName name;
  const char* word;
  AttributeKind kind;
  Length length;
  std::int64_t most;  // numbers that it may have
  bool flattens;
  Default standard;
  std::int64_t default_integer;  // of kInt, kFlag, kChoice
  float default_number;          // of kFloat
  std::int64_t low;              // the lowest value of kInt, kInts
  bool has_neutral;              // kInts that all equal `neutral` are kept as no numbers at all
  std::int64_t neutral;
  bool follows;                   // may its numbers follow open axes?
  std::int64_t lowest_following;  // the lowest one that does
  Entries<const char*> choices;
};

struct OperatorEntry {
  Operator op;  // its number is the operator's code in the file
  const char* name;
  ShapeRule shape;
  Work work;
  Images images;
  Gives gives;
  Entries<OperandEntry> operands;
  Entries<AttributeEntry> attributes;

  constexpr bool variadic() const { return operands.size() > 0 && operands[operands.size() - 1].variadic; }
  /// The operand that input number `place` is: the last one stands for all that follow it.
  constexpr const OperandEntry& operand(std::size_t place) const {
    return operands[place < operands.size() ? place : operands.size() - 1];
  }
};

// clang-format off
namespace operator_tables {

inline constexpr OperandEntry kConvOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"weight", true, false, false, Expected::kKernel, 1, false},
    {"bias", true, true, false, Expected::kOutputs, 1, false},
};
inline constexpr AttributeEntry kConvAttributes[] = {
    {AttributeName::kStrides, "strides", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, false, 0, {}},
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceSpatial, 16, false, Default::kEmpty, 0, 0.0f, 0,
     true, 0, false, 0, {}},
    {AttributeName::kDilations, "dilations", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0,
     0.0f, 1, true, 1, false, 0, {}},
    {AttributeName::kGroups, "groups", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f, 1,
     false, 0, false, 0, {}},
};

inline constexpr OperandEntry kReluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kLinearOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"weight", true, false, false, Expected::kMatrix, 1, false},
    {"bias", true, true, false, Expected::kOutputs, 1, false},
};

inline constexpr OperandEntry kMaxPoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kMaxPoolAttributes[] = {
    {AttributeName::kKernel, "kernel", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, false, 0, {}},
    {AttributeName::kStrides, "strides", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, false, 0, {}},
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceSpatial, 16, false, Default::kEmpty, 0, 0.0f, 0,
     true, 0, false, 0, {}},
    {AttributeName::kDilations, "dilations", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0,
     0.0f, 1, true, 1, false, 0, {}},
    {AttributeName::kCeilMode, "ceil_mode", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kReshapeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr AttributeEntry kReshapeAttributes[] = {
    {AttributeName::kShape, "shape", AttributeKind::kInts, Length::kTwo, 16, true, Default::kNone, 0, 0.0f, -1, false,
     0, true, 1, {}},
};

inline constexpr OperandEntry kAddOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kAdaptiveAveragePoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kAdaptiveAveragePoolAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1, false,
     0, true, 1, {}},
};

inline constexpr OperandEntry kMulOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kConcatOperands[] = {
    {"x", false, false, true, Expected::kNothing, 15, true},
};
inline constexpr AttributeEntry kConcatAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kClipOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kClipAttributes[] = {
    {AttributeName::kMinimum, "minimum", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     -std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kMaximum, "maximum", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kHardSwishOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kSigmoidOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kHardSigmoidOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kHardSigmoidAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     0.166666672f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kBeta, "beta", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 0.5f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kSiluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAveragePoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kAveragePoolAttributes[] = {
    {AttributeName::kKernel, "kernel", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, false, 0, {}},
    {AttributeName::kStrides, "strides", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0, 0.0f, 1,
     true, 1, false, 0, {}},
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceSpatial, 16, false, Default::kEmpty, 0, 0.0f, 0,
     true, 0, false, 0, {}},
    {AttributeName::kDilations, "dilations", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0,
     0.0f, 1, true, 1, false, 0, {}},
    {AttributeName::kCeilMode, "ceil_mode", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kCountIncludePad, "count_include_pad", AttributeKind::kFlag, Length::kSpatial, 16, false,
     Default::kValue, 0, 0.0f, -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kTransposeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr AttributeEntry kTransposeAttributes[] = {
    {AttributeName::kOrder, "order", AttributeKind::kInts, Length::kRank, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kGeluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kGeluApproximateChoices[] = {"none", "tanh"};
inline constexpr AttributeEntry kGeluAttributes[] = {
    {AttributeName::kApproximate, "approximate", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue,
     0, 0.0f, -kLargestInteger, false, 0, false, 0, kGeluApproximateChoices},
};

inline constexpr OperandEntry kLayerNormOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"scale", true, true, false, Expected::kFromAxis, 1, false},
    {"bias", true, true, false, Expected::kFromAxis, 1, false},
};
inline constexpr AttributeEntry kLayerNormAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kEpsilon, "epsilon", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     9.99999975e-06f, -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kMeanOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kMeanAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kSliceOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr AttributeEntry kSliceAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kStart, "start", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f, 0,
     false, 0, true, 0, {}},
    {AttributeName::kStop, "stop", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1, false,
     0, true, 1, {}},
    {AttributeName::kStep, "step", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f, 1, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kSoftmaxOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kSoftmaxAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kLogSoftmaxOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kLogSoftmaxAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kLeakyReluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kLeakyReluAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     0.00999999978f, -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kSubOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kDivOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kPadOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr const char* kPadModeChoices[] = {"constant", "reflect", "edge", "wrap"};
inline constexpr AttributeEntry kPadAttributes[] = {
    {AttributeName::kPads, "pads", AttributeKind::kInts, Length::kTwiceRank, 16, false, Default::kNone, 0, 0.0f,
     -kLargestInteger, false, 0, true, -kLargestInteger, {}},
    {AttributeName::kMode, "mode", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kPadModeChoices},
    {AttributeName::kValue, "value", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kResizeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kResizeCoordinatesChoices[] = {"asymmetric", "half_pixel", "pytorch_half_pixel",
     "align_corners", "half_pixel_symmetric"};
inline constexpr const char* kResizeRoundingChoices[] = {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"};
inline constexpr AttributeEntry kResizeAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0, 0.0f, 1,
     false, 0, true, 1, {}},
    {AttributeName::kScales, "scales", AttributeKind::kFloats, Length::kSpatial, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kCoordinates, "coordinates", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue,
     0, 0.0f, -kLargestInteger, false, 0, false, 0, kResizeCoordinatesChoices},
    {AttributeName::kRounding, "rounding", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, kResizeRoundingChoices},
};

inline constexpr OperandEntry kTanhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kLrnOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kLrnAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1, false,
     0, false, 0, {}},
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     9.99999975e-05f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kBeta, "beta", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 0.75f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kBias, "bias", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kMatMulOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1, false},
    {"b", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAdaptiveMaxPoolOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kAdaptiveMaxPoolAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1, false,
     0, true, 1, {}},
};

inline constexpr OperandEntry kAbsOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kEmbeddingOperands[] = {
    {"x", false, false, false, Expected::kNothing, 6, false},
    {"weight", true, false, false, Expected::kNothing, 1, false},
};

inline constexpr const char* kIntegersTypeChoices[] = {"float32", "int32", "int64", "bool"};
inline constexpr AttributeEntry kIntegersAttributes[] = {
    {AttributeName::kType, "type", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kIntegersTypeChoices},
    {AttributeName::kShape, "shape", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 1, false,
     0, false, 0, {}},
    {AttributeName::kValues, "values", AttributeKind::kInts, Length::kOne, 65536, false, Default::kNone, 0, 0.0f,
     -kLargestInteger, false, 0, true, -kLargestInteger, {}},
};

inline constexpr OperandEntry kCastOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr const char* kCastTypeChoices[] = {"float32", "int32", "int64", "bool"};
inline constexpr AttributeEntry kCastAttributes[] = {
    {AttributeName::kType, "type", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kCastTypeChoices},
};

inline constexpr OperandEntry kEqualOperands[] = {
    {"a", false, false, false, Expected::kNothing, 15, true},
    {"b", false, false, false, Expected::kNothing, 15, true},
};

inline constexpr OperandEntry kNotEqualOperands[] = {
    {"a", false, false, false, Expected::kNothing, 15, true},
    {"b", false, false, false, Expected::kNothing, 15, true},
};

inline constexpr OperandEntry kLessOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kLessOrEqualOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kGreaterOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kGreaterOrEqualOperands[] = {
    {"a", false, false, false, Expected::kNothing, 7, true},
    {"b", false, false, false, Expected::kNothing, 7, true},
};

inline constexpr OperandEntry kAndOperands[] = {
    {"a", false, false, false, Expected::kNothing, 8, false},
    {"b", false, false, false, Expected::kNothing, 8, false},
};

inline constexpr OperandEntry kOrOperands[] = {
    {"a", false, false, false, Expected::kNothing, 8, false},
    {"b", false, false, false, Expected::kNothing, 8, false},
};

inline constexpr OperandEntry kXorOperands[] = {
    {"a", false, false, false, Expected::kNothing, 8, false},
    {"b", false, false, false, Expected::kNothing, 8, false},
};

inline constexpr OperandEntry kNotOperands[] = {
    {"x", false, false, false, Expected::kNothing, 8, false},
};

inline constexpr OperandEntry kIsNaNOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kIsInfOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kIsInfAttributes[] = {
    {AttributeName::kPositive, "positive", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kNegative, "negative", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kWhereOperands[] = {
    {"condition", false, false, false, Expected::kNothing, 8, false},
    {"a", false, false, false, Expected::kNothing, 15, true},
    {"b", false, false, false, Expected::kNothing, 15, true},
};

inline constexpr OperandEntry kGatherOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
    {"indices", false, false, false, Expected::kNothing, 6, false},
};
inline constexpr AttributeEntry kGatherAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kGatherElementsOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
    {"indices", false, false, false, Expected::kNothing, 6, false},
};
inline constexpr AttributeEntry kGatherElementsAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kGatherNDOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
    {"indices", false, false, false, Expected::kNothing, 6, false},
};
inline constexpr AttributeEntry kGatherNDAttributes[] = {
    {AttributeName::kAxesInCommon, "axes_in_common", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue,
     0, 0.0f, 0, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kScatterElementsOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, true},
    {"indices", false, false, false, Expected::kNothing, 6, false},
    {"updates", false, false, false, Expected::kNothing, 15, true},
};
inline constexpr const char* kScatterElementsReductionChoices[] = {"none", "add", "mul", "max", "min"};
inline constexpr AttributeEntry kScatterElementsAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kReduction, "reduction", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, kScatterElementsReductionChoices},
};

inline constexpr OperandEntry kScatterNDOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, true},
    {"indices", false, false, false, Expected::kNothing, 6, false},
    {"updates", false, false, false, Expected::kNothing, 15, true},
};
inline constexpr const char* kScatterNDReductionChoices[] = {"none", "add", "mul", "max", "min"};
inline constexpr AttributeEntry kScatterNDAttributes[] = {
    {AttributeName::kReduction, "reduction", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, kScatterNDReductionChoices},
};

inline constexpr OperandEntry kArgMaxOperands[] = {
    {"x", false, false, false, Expected::kNothing, 7, false},
};
inline constexpr AttributeEntry kArgMaxAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kLast, "last", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kArgMinOperands[] = {
    {"x", false, false, false, Expected::kNothing, 7, false},
};
inline constexpr AttributeEntry kArgMinAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kLast, "last", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kTopKValuesOperands[] = {
    {"x", false, false, false, Expected::kNothing, 7, false},
};
inline constexpr AttributeEntry kTopKValuesAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kCount, "count", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, true, 1, {}},
    {AttributeName::kLargest, "largest", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kTopKIndicesOperands[] = {
    {"x", false, false, false, Expected::kNothing, 7, false},
};
inline constexpr AttributeEntry kTopKIndicesAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kCount, "count", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, true, 1, {}},
    {AttributeName::kLargest, "largest", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kCumSumOperands[] = {
    {"x", false, false, false, Expected::kNothing, 7, false},
};
inline constexpr AttributeEntry kCumSumAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kExclusive, "exclusive", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kReverse, "reverse", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kLstmOperands[] = {
    {"gates", false, false, false, Expected::kNothing, 1, false},
    {"weight", true, false, false, Expected::kGates, 1, false},
    {"bias", true, true, false, Expected::kOutputs, 1, false},
    {"peepholes", true, true, false, Expected::kNothing, 1, false},
    {"projection", true, true, false, Expected::kNothing, 1, false},
    {"lengths", false, true, false, Expected::kNothing, 6, false},
    {"hidden", false, true, false, Expected::kNothing, 1, false},
    {"cell", false, true, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kLstmResultChoices[] = {"steps", "hidden", "cell"};
inline constexpr const char* kLstmGateActivationChoices[] = {"sigmoid", "tanh", "relu", "affine", "leaky_relu",
     "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign", "softplus"};
inline constexpr const char* kLstmCandidateActivationChoices[] = {"sigmoid", "tanh", "relu", "affine", "leaky_relu",
     "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign", "softplus"};
inline constexpr const char* kLstmCellActivationChoices[] = {"sigmoid", "tanh", "relu", "affine", "leaky_relu",
     "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign", "softplus"};
inline constexpr AttributeEntry kLstmAttributes[] = {
    {AttributeName::kResult, "result", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kLstmResultChoices},
    {AttributeName::kBatchFirst, "batch_first", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kReverse, "reverse", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kFixedLengths, "fixed_lengths", AttributeKind::kInts, Length::kTwo, 16, false, Default::kEmpty, 0,
     0.0f, 0, false, 0, false, 0, {}},
    {AttributeName::kClip, "clip", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kGateActivation, "gate_activation", AttributeKind::kChoice, Length::kSpatial, 16, false,
     Default::kValue, 0, 0.0f, -kLargestInteger, false, 0, false, 0, kLstmGateActivationChoices},
    {AttributeName::kCandidateActivation, "candidate_activation", AttributeKind::kChoice, Length::kSpatial, 16, false,
     Default::kValue, 1, 0.0f, -kLargestInteger, false, 0, false, 0, kLstmCandidateActivationChoices},
    {AttributeName::kCellActivation, "cell_activation", AttributeKind::kChoice, Length::kSpatial, 16, false,
     Default::kValue, 1, 0.0f, -kLargestInteger, false, 0, false, 0, kLstmCellActivationChoices},
    {AttributeName::kAlphas, "alphas", AttributeKind::kFloats, Length::kRank, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kBetas, "betas", AttributeKind::kFloats, Length::kRank, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kCoupled, "coupled", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kGruOperands[] = {
    {"gates", false, false, false, Expected::kNothing, 1, false},
    {"weight", true, false, false, Expected::kGates, 1, false},
    {"bias", true, true, false, Expected::kOutputs, 1, false},
    {"lengths", false, true, false, Expected::kNothing, 6, false},
    {"hidden", false, true, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kGruResultChoices[] = {"steps", "hidden"};
inline constexpr const char* kGruGateActivationChoices[] = {"sigmoid", "tanh", "relu", "affine", "leaky_relu",
     "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign", "softplus"};
inline constexpr const char* kGruCandidateActivationChoices[] = {"sigmoid", "tanh", "relu", "affine", "leaky_relu",
     "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign", "softplus"};
inline constexpr AttributeEntry kGruAttributes[] = {
    {AttributeName::kResult, "result", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kGruResultChoices},
    {AttributeName::kBatchFirst, "batch_first", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kReverse, "reverse", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kFixedLengths, "fixed_lengths", AttributeKind::kInts, Length::kTwo, 16, false, Default::kEmpty, 0,
     0.0f, 0, false, 0, false, 0, {}},
    {AttributeName::kClip, "clip", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kGateActivation, "gate_activation", AttributeKind::kChoice, Length::kSpatial, 16, false,
     Default::kValue, 0, 0.0f, -kLargestInteger, false, 0, false, 0, kGruGateActivationChoices},
    {AttributeName::kCandidateActivation, "candidate_activation", AttributeKind::kChoice, Length::kSpatial, 16, false,
     Default::kValue, 1, 0.0f, -kLargestInteger, false, 0, false, 0, kGruCandidateActivationChoices},
    {AttributeName::kAlphas, "alphas", AttributeKind::kFloats, Length::kTwo, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kBetas, "betas", AttributeKind::kFloats, Length::kTwo, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kResetAfter, "reset_after", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1,
     0.0f, -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kRnnOperands[] = {
    {"gates", false, false, false, Expected::kNothing, 1, false},
    {"weight", true, false, false, Expected::kGates, 1, false},
    {"bias", true, true, false, Expected::kOutputs, 1, false},
    {"lengths", false, true, false, Expected::kNothing, 6, false},
    {"hidden", false, true, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kRnnResultChoices[] = {"steps", "hidden"};
inline constexpr const char* kRnnCandidateActivationChoices[] = {"sigmoid", "tanh", "relu", "affine", "leaky_relu",
     "thresholded_relu", "scaled_tanh", "hard_sigmoid", "elu", "softsign", "softplus"};
inline constexpr AttributeEntry kRnnAttributes[] = {
    {AttributeName::kResult, "result", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kRnnResultChoices},
    {AttributeName::kBatchFirst, "batch_first", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kReverse, "reverse", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kFixedLengths, "fixed_lengths", AttributeKind::kInts, Length::kTwo, 16, false, Default::kEmpty, 0,
     0.0f, 0, false, 0, false, 0, {}},
    {AttributeName::kClip, "clip", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kCandidateActivation, "candidate_activation", AttributeKind::kChoice, Length::kSpatial, 16, false,
     Default::kValue, 1, 0.0f, -kLargestInteger, false, 0, false, 0, kRnnCandidateActivationChoices},
    {AttributeName::kAlphas, "alphas", AttributeKind::kFloats, Length::kOne, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kBetas, "betas", AttributeKind::kFloats, Length::kOne, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kExpOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kLogOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kSqrtOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kErfOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kSinOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kCosOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kTanOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAsinOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAcosOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAtanOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kSinhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kCoshOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAsinhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAcoshOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kAtanhOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kSignOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kFloorOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kCeilOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kRoundOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kTruncOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kExpm1Operands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kLog1pOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kEluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kEluAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kScale, "scale", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kInputScale, "input_scale", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     1.0f, -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kSoftplusOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kSoftsignOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kMishOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kThresholdedReluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kThresholdedReluAttributes[] = {
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kShrinkOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kShrinkAttributes[] = {
    {AttributeName::kThreshold, "threshold", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     0.5f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kBias, "bias", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kPowOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1, false},
    {"b", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kMinOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1, false},
    {"b", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kMaxOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1, false},
    {"b", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kRemainderOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1, false},
    {"b", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kFmodOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1, false},
    {"b", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kPReluOperands[] = {
    {"a", false, false, false, Expected::kNothing, 1, false},
    {"b", false, false, false, Expected::kNothing, 1, false},
};

inline constexpr OperandEntry kReduceSumOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kReduceSumAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kReduceMaxOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kReduceMaxAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kReduceMinOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kReduceMinAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kReduceProdOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kReduceProdAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kReduceSumSquareOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kReduceSumSquareAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kReduceL2Operands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kReduceL2Attributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
    {AttributeName::kKeepdims, "keepdims", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kRmsNormOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"scale", true, true, false, Expected::kFromAxis, 1, false},
};
inline constexpr AttributeEntry kRmsNormAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kEpsilon, "epsilon", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     9.99999975e-06f, -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kDepthToSpaceOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kDepthToSpaceOrderChoices[] = {"crd", "dcr"};
inline constexpr AttributeEntry kDepthToSpaceAttributes[] = {
    {AttributeName::kBlocks, "blocks", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, false, 0, {}},
    {AttributeName::kOrder, "order", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kDepthToSpaceOrderChoices},
};

inline constexpr OperandEntry kSpaceToDepthOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kSpaceToDepthOrderChoices[] = {"crd", "dcr"};
inline constexpr AttributeEntry kSpaceToDepthAttributes[] = {
    {AttributeName::kBlocks, "blocks", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, false, 0, {}},
    {AttributeName::kOrder, "order", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kSpaceToDepthOrderChoices},
};

inline constexpr OperandEntry kInterpolateOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kInterpolateCoordinatesChoices[] = {"asymmetric", "half_pixel", "pytorch_half_pixel",
     "align_corners", "half_pixel_symmetric", "tf_crop_and_resize"};
inline constexpr const char* kInterpolateModeChoices[] = {"linear", "cubic"};
inline constexpr AttributeEntry kInterpolateAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kEmpty, 0, 0.0f, 1,
     false, 0, true, 1, {}},
    {AttributeName::kScales, "scales", AttributeKind::kFloats, Length::kSpatial, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kCoordinates, "coordinates", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue,
     1, 0.0f, -kLargestInteger, false, 0, false, 0, kInterpolateCoordinatesChoices},
    {AttributeName::kMode, "mode", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kInterpolateModeChoices},
    {AttributeName::kAlpha, "alpha", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, -0.75f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kAntialias, "antialias", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kExcludeOutside, "exclude_outside", AttributeKind::kFlag, Length::kSpatial, 16, false,
     Default::kValue, 0, 0.0f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kRoi, "roi", AttributeKind::kFloats, Length::kTwiceSpatial, 16, false, Default::kEmpty, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kValue, "value", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kGridSampleOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"grid", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kGridSampleModeChoices[] = {"linear", "nearest", "cubic"};
inline constexpr const char* kGridSamplePaddingChoices[] = {"zeros", "border", "reflection"};
inline constexpr const char* kGridSampleCoordinatesChoices[] = {"half_pixel", "align_corners"};
inline constexpr AttributeEntry kGridSampleAttributes[] = {
    {AttributeName::kMode, "mode", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kGridSampleModeChoices},
    {AttributeName::kPadding, "padding", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kGridSamplePaddingChoices},
    {AttributeName::kCoordinates, "coordinates", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue,
     0, 0.0f, -kLargestInteger, false, 0, false, 0, kGridSampleCoordinatesChoices},
};

inline constexpr OperandEntry kRoiAlignOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"indices", false, false, false, Expected::kNothing, 6, false},
    {"boxes", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kRoiAlignCoordinatesChoices[] = {"half_pixel", "asymmetric"};
inline constexpr const char* kRoiAlignModeChoices[] = {"mean", "max"};
inline constexpr AttributeEntry kRoiAlignAttributes[] = {
    {AttributeName::kSize, "size", AttributeKind::kInts, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1, false,
     0, false, 0, {}},
    {AttributeName::kCount, "count", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f, 0,
     false, 0, false, 0, {}},
    {AttributeName::kScale, "scale", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kCoordinates, "coordinates", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue,
     0, 0.0f, -kLargestInteger, false, 0, false, 0, kRoiAlignCoordinatesChoices},
    {AttributeName::kMode, "mode", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kRoiAlignModeChoices},
};

inline constexpr OperandEntry kNonMaxSuppressionOperands[] = {
    {"boxes", false, false, false, Expected::kNothing, 1, false},
    {"scores", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr const char* kNonMaxSuppressionResultChoices[] = {"rows", "count"};
inline constexpr const char* kNonMaxSuppressionOrderChoices[] = {"corners", "center"};
inline constexpr AttributeEntry kNonMaxSuppressionAttributes[] = {
    {AttributeName::kResult, "result", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kNonMaxSuppressionResultChoices},
    {AttributeName::kCount, "count", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, false, 0, {}},
    {AttributeName::kThreshold, "threshold", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     0.0f, -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kMinimum, "minimum", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0,
     -std::numeric_limits<float>::infinity(), -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kOrder, "order", AttributeKind::kChoice, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, kNonMaxSuppressionOrderChoices},
};

inline constexpr OperandEntry kFirstEntriesOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
    {"count", false, false, false, Expected::kNothing, 4, false},
};
inline constexpr AttributeEntry kFirstEntriesAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kRangeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kRangeAttributes[] = {
    {AttributeName::kCount, "count", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, true, 1, {}},
    {AttributeName::kScale, "scale", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, 1.0f,
     -kLargestInteger, false, 0, false, 0, {}},
};

inline constexpr OperandEntry kExpandOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr AttributeEntry kExpandAttributes[] = {
    {AttributeName::kShape, "shape", AttributeKind::kInts, Length::kRank, 16, false, Default::kNone, 0, 0.0f, 1, false,
     0, true, 1, {}},
};

inline constexpr OperandEntry kTileOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr AttributeEntry kTileAttributes[] = {
    {AttributeName::kRepeats, "repeats", AttributeKind::kInts, Length::kRank, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, true, 1, {}},
};

inline constexpr OperandEntry kTriluOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr AttributeEntry kTriluAttributes[] = {
    {AttributeName::kUpper, "upper", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kDiagonal, "diagonal", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 0, 0.0f,
     -kLargestInteger, false, 0, true, -kLargestInteger, {}},
};

inline constexpr OperandEntry kReverseOperands[] = {
    {"x", false, false, false, Expected::kNothing, 15, false},
};
inline constexpr AttributeEntry kReverseAttributes[] = {
    {AttributeName::kAxes, "axes", AttributeKind::kInts, Length::kOne, 16, false, Default::kNone, 0, 0.0f, 0, false, 0,
     false, 0, {}},
};

inline constexpr OperandEntry kQuantizeOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"scale", true, true, false, Expected::kNothing, 1, false},
    {"shift", true, true, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kQuantizeAttributes[] = {
    {AttributeName::kExponent, "exponent", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f,
     -100, false, 0, false, 0, {}},
    {AttributeName::kBits, "bits", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 8, 0.0f, 1, false,
     0, false, 0, {}},
    {AttributeName::kSigned, "signed", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kWalshHadamardOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kWalshHadamardAttributes[] = {
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 0, false,
     0, false, 0, {}},
};

inline constexpr OperandEntry kQuantizePlanesOperands[] = {
    {"x", false, false, false, Expected::kNothing, 1, false},
    {"scale", true, false, false, Expected::kNothing, 1, false},
    {"shift", true, true, false, Expected::kNothing, 1, false},
};
inline constexpr AttributeEntry kQuantizePlanesAttributes[] = {
    {AttributeName::kExponent, "exponent", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f,
     -100, false, 0, false, 0, {}},
    {AttributeName::kBits, "bits", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 8, 0.0f, 1, false,
     0, false, 0, {}},
    {AttributeName::kSigned, "signed", AttributeKind::kFlag, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f,
     -kLargestInteger, false, 0, false, 0, {}},
    {AttributeName::kAxis, "axis", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kValue, 1, 0.0f, 0, false,
     0, false, 0, {}},
    {AttributeName::kPlanes, "planes", AttributeKind::kInt, Length::kSpatial, 16, false, Default::kNone, 0, 0.0f, 1,
     false, 0, false, 0, {}},
};

}  // namespace operator_tables

inline constexpr OperatorEntry kOperators[] = {
    {Operator::kConv, "Conv", ShapeRule::kConv, Work::kLayer, Images::kApart, Gives::kFloat32,
     operator_tables::kConvOperands, operator_tables::kConvAttributes},
    {Operator::kRelu, "Relu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kReluOperands, {}},
    {Operator::kLinear, "Linear", ShapeRule::kLinear, Work::kLayer, Images::kApartInMatrices, Gives::kFloat32,
     operator_tables::kLinearOperands, {}},
    {Operator::kMaxPool, "MaxPool", ShapeRule::kPool, Work::kSpatial, Images::kApart, Gives::kFloat32,
     operator_tables::kMaxPoolOperands, operator_tables::kMaxPoolAttributes},
    {Operator::kReshape, "Reshape", ShapeRule::kReshape, Work::kOther, Images::kApart, Gives::kFirst,
     operator_tables::kReshapeOperands, operator_tables::kReshapeAttributes},
    {Operator::kAdd, "Add", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFirst,
     operator_tables::kAddOperands, {}},
    {Operator::kAdaptiveAveragePool, "AdaptiveAveragePool", ShapeRule::kAdaptivePool, Work::kSpatial, Images::kApart,
     Gives::kFloat32, operator_tables::kAdaptiveAveragePoolOperands, operator_tables::kAdaptiveAveragePoolAttributes},
    {Operator::kMul, "Mul", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFirst,
     operator_tables::kMulOperands, {}},
    {Operator::kConcat, "Concat", ShapeRule::kConcat, Work::kOther, Images::kApartBehindAxis, Gives::kFirst,
     operator_tables::kConcatOperands, operator_tables::kConcatAttributes},
    {Operator::kClip, "Clip", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kClipOperands, operator_tables::kClipAttributes},
    {Operator::kHardSwish, "HardSwish", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kHardSwishOperands, {}},
    {Operator::kSigmoid, "Sigmoid", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSigmoidOperands, {}},
    {Operator::kHardSigmoid, "HardSigmoid", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kHardSigmoidOperands, operator_tables::kHardSigmoidAttributes},
    {Operator::kSilu, "Silu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSiluOperands, {}},
    {Operator::kAveragePool, "AveragePool", ShapeRule::kPool, Work::kSpatial, Images::kApart, Gives::kFloat32,
     operator_tables::kAveragePoolOperands, operator_tables::kAveragePoolAttributes},
    {Operator::kTranspose, "Transpose", ShapeRule::kTranspose, Work::kOther, Images::kApartInOrder, Gives::kFirst,
     operator_tables::kTransposeOperands, operator_tables::kTransposeAttributes},
    {Operator::kGelu, "Gelu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kGeluOperands, operator_tables::kGeluAttributes},
    {Operator::kLayerNorm, "LayerNorm", ShapeRule::kLayerNorm, Work::kOther, Images::kApartBehindAxis, Gives::kFloat32,
     operator_tables::kLayerNormOperands, operator_tables::kLayerNormAttributes},
    {Operator::kMean, "Mean", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes, Gives::kFloat32,
     operator_tables::kMeanOperands, operator_tables::kMeanAttributes},
    {Operator::kSlice, "Slice", ShapeRule::kCut, Work::kOther, Images::kApartBehindAxis, Gives::kFirst,
     operator_tables::kSliceOperands, operator_tables::kSliceAttributes},
    {Operator::kSoftmax, "Softmax", ShapeRule::kAlongAxis, Work::kOther, Images::kApartBehindAxis, Gives::kFloat32,
     operator_tables::kSoftmaxOperands, operator_tables::kSoftmaxAttributes},
    {Operator::kLogSoftmax, "LogSoftmax", ShapeRule::kAlongAxis, Work::kOther, Images::kApartBehindAxis,
     Gives::kFloat32, operator_tables::kLogSoftmaxOperands, operator_tables::kLogSoftmaxAttributes},
    {Operator::kLeakyRelu, "LeakyRelu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kLeakyReluOperands, operator_tables::kLeakyReluAttributes},
    {Operator::kSub, "Sub", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFirst,
     operator_tables::kSubOperands, {}},
    {Operator::kDiv, "Div", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFirst,
     operator_tables::kDivOperands, {}},
    {Operator::kPad, "Pad", ShapeRule::kPad, Work::kOther, Images::kApartUnpadded, Gives::kFirst,
     operator_tables::kPadOperands, operator_tables::kPadAttributes},
    {Operator::kResize, "Resize", ShapeRule::kResize, Work::kSpatial, Images::kApart, Gives::kFloat32,
     operator_tables::kResizeOperands, operator_tables::kResizeAttributes},
    {Operator::kTanh, "Tanh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kTanhOperands, {}},
    {Operator::kLrn, "Lrn", ShapeRule::kLrn, Work::kOther, Images::kApart, Gives::kFloat32,
     operator_tables::kLrnOperands, operator_tables::kLrnAttributes},
    {Operator::kMatMul, "MatMul", ShapeRule::kMatmul, Work::kOther, Images::kApartInProducts, Gives::kFloat32,
     operator_tables::kMatMulOperands, {}},
    {Operator::kAdaptiveMaxPool, "AdaptiveMaxPool", ShapeRule::kAdaptivePool, Work::kSpatial, Images::kApart,
     Gives::kFloat32, operator_tables::kAdaptiveMaxPoolOperands, operator_tables::kAdaptiveMaxPoolAttributes},
    {Operator::kAbs, "Abs", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kAbsOperands, {}},
    {Operator::kEmbedding, "Embedding", ShapeRule::kEmbedding, Work::kOther, Images::kApart, Gives::kFloat32,
     operator_tables::kEmbeddingOperands, {}},
    {Operator::kIntegers, "Integers", ShapeRule::kIntegers, Work::kOther, Images::kTogether, Gives::kSaid, {},
     operator_tables::kIntegersAttributes},
    {Operator::kCast, "Cast", ShapeRule::kSame, Work::kOther, Images::kApart, Gives::kSaid,
     operator_tables::kCastOperands, operator_tables::kCastAttributes},
    {Operator::kEqual, "Equal", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kBool,
     operator_tables::kEqualOperands, {}},
    {Operator::kNotEqual, "NotEqual", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kBool,
     operator_tables::kNotEqualOperands, {}},
    {Operator::kLess, "Less", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kBool,
     operator_tables::kLessOperands, {}},
    {Operator::kLessOrEqual, "LessOrEqual", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts,
     Gives::kBool, operator_tables::kLessOrEqualOperands, {}},
    {Operator::kGreater, "Greater", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kBool,
     operator_tables::kGreaterOperands, {}},
    {Operator::kGreaterOrEqual, "GreaterOrEqual", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts,
     Gives::kBool, operator_tables::kGreaterOrEqualOperands, {}},
    {Operator::kAnd, "And", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kBool,
     operator_tables::kAndOperands, {}},
    {Operator::kOr, "Or", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kBool,
     operator_tables::kOrOperands, {}},
    {Operator::kXor, "Xor", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kBool,
     operator_tables::kXorOperands, {}},
    {Operator::kNot, "Not", ShapeRule::kSame, Work::kOther, Images::kApart, Gives::kBool, operator_tables::kNotOperands,
     {}},
    {Operator::kIsNaN, "IsNaN", ShapeRule::kSame, Work::kOther, Images::kApart, Gives::kBool,
     operator_tables::kIsNaNOperands, {}},
    {Operator::kIsInf, "IsInf", ShapeRule::kSame, Work::kOther, Images::kApart, Gives::kBool,
     operator_tables::kIsInfOperands, operator_tables::kIsInfAttributes},
    {Operator::kWhere, "Where", ShapeRule::kBroadcast, Work::kOther, Images::kApartInBroadcasts, Gives::kLast,
     operator_tables::kWhereOperands, {}},
    {Operator::kGather, "Gather", ShapeRule::kGather, Work::kOther, Images::kTogether, Gives::kFirst,
     operator_tables::kGatherOperands, operator_tables::kGatherAttributes},
    {Operator::kGatherElements, "GatherElements", ShapeRule::kGatherElements, Work::kOther, Images::kApartBehindAxis,
     Gives::kFirst, operator_tables::kGatherElementsOperands, operator_tables::kGatherElementsAttributes},
    {Operator::kGatherND, "GatherND", ShapeRule::kGatherNd, Work::kOther, Images::kTogether, Gives::kFirst,
     operator_tables::kGatherNDOperands, operator_tables::kGatherNDAttributes},
    {Operator::kScatterElements, "ScatterElements", ShapeRule::kScatterElements, Work::kOther, Images::kApartBehindAxis,
     Gives::kFirst, operator_tables::kScatterElementsOperands, operator_tables::kScatterElementsAttributes},
    {Operator::kScatterND, "ScatterND", ShapeRule::kScatterNd, Work::kOther, Images::kTogether, Gives::kFirst,
     operator_tables::kScatterNDOperands, operator_tables::kScatterNDAttributes},
    {Operator::kArgMax, "ArgMax", ShapeRule::kPlaceAlongAxis, Work::kOther, Images::kApartBehindAxis, Gives::kInt64,
     operator_tables::kArgMaxOperands, operator_tables::kArgMaxAttributes},
    {Operator::kArgMin, "ArgMin", ShapeRule::kPlaceAlongAxis, Work::kOther, Images::kApartBehindAxis, Gives::kInt64,
     operator_tables::kArgMinOperands, operator_tables::kArgMinAttributes},
    {Operator::kTopKValues, "TopKValues", ShapeRule::kTop, Work::kOther, Images::kApartBehindAxis, Gives::kFirst,
     operator_tables::kTopKValuesOperands, operator_tables::kTopKValuesAttributes},
    {Operator::kTopKIndices, "TopKIndices", ShapeRule::kTop, Work::kOther, Images::kApartBehindAxis, Gives::kInt64,
     operator_tables::kTopKIndicesOperands, operator_tables::kTopKIndicesAttributes},
    {Operator::kCumSum, "CumSum", ShapeRule::kAlongAxis, Work::kOther, Images::kApartBehindAxis, Gives::kFirst,
     operator_tables::kCumSumOperands, operator_tables::kCumSumAttributes},
    {Operator::kLstm, "Lstm", ShapeRule::kLstm, Work::kOther, Images::kTogether, Gives::kFloat32,
     operator_tables::kLstmOperands, operator_tables::kLstmAttributes},
    {Operator::kGru, "Gru", ShapeRule::kGru, Work::kOther, Images::kTogether, Gives::kFloat32,
     operator_tables::kGruOperands, operator_tables::kGruAttributes},
    {Operator::kRnn, "Rnn", ShapeRule::kRnn, Work::kOther, Images::kTogether, Gives::kFloat32,
     operator_tables::kRnnOperands, operator_tables::kRnnAttributes},
    {Operator::kExp, "Exp", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kExpOperands, {}},
    {Operator::kLog, "Log", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kLogOperands, {}},
    {Operator::kSqrt, "Sqrt", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSqrtOperands, {}},
    {Operator::kErf, "Erf", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kErfOperands, {}},
    {Operator::kSin, "Sin", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSinOperands, {}},
    {Operator::kCos, "Cos", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kCosOperands, {}},
    {Operator::kTan, "Tan", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kTanOperands, {}},
    {Operator::kAsin, "Asin", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kAsinOperands, {}},
    {Operator::kAcos, "Acos", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kAcosOperands, {}},
    {Operator::kAtan, "Atan", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kAtanOperands, {}},
    {Operator::kSinh, "Sinh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSinhOperands, {}},
    {Operator::kCosh, "Cosh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kCoshOperands, {}},
    {Operator::kAsinh, "Asinh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kAsinhOperands, {}},
    {Operator::kAcosh, "Acosh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kAcoshOperands, {}},
    {Operator::kAtanh, "Atanh", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kAtanhOperands, {}},
    {Operator::kSign, "Sign", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSignOperands, {}},
    {Operator::kFloor, "Floor", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kFloorOperands, {}},
    {Operator::kCeil, "Ceil", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kCeilOperands, {}},
    {Operator::kRound, "Round", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kRoundOperands, {}},
    {Operator::kTrunc, "Trunc", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kTruncOperands, {}},
    {Operator::kExpm1, "Expm1", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kExpm1Operands, {}},
    {Operator::kLog1p, "Log1p", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kLog1pOperands, {}},
    {Operator::kElu, "Elu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kEluOperands, operator_tables::kEluAttributes},
    {Operator::kSoftplus, "Softplus", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSoftplusOperands, {}},
    {Operator::kSoftsign, "Softsign", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kSoftsignOperands, {}},
    {Operator::kMish, "Mish", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kMishOperands, {}},
    {Operator::kThresholdedRelu, "ThresholdedRelu", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kThresholdedReluOperands, operator_tables::kThresholdedReluAttributes},
    {Operator::kShrink, "Shrink", ShapeRule::kSame, Work::kEntrywise, Images::kApart, Gives::kFloat32,
     operator_tables::kShrinkOperands, operator_tables::kShrinkAttributes},
    {Operator::kPow, "Pow", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFloat32,
     operator_tables::kPowOperands, {}},
    {Operator::kMin, "Min", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFloat32,
     operator_tables::kMinOperands, {}},
    {Operator::kMax, "Max", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFloat32,
     operator_tables::kMaxOperands, {}},
    {Operator::kRemainder, "Remainder", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts,
     Gives::kFloat32, operator_tables::kRemainderOperands, {}},
    {Operator::kFmod, "Fmod", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFloat32,
     operator_tables::kFmodOperands, {}},
    {Operator::kPRelu, "PRelu", ShapeRule::kBroadcast, Work::kBroadcast, Images::kApartInBroadcasts, Gives::kFloat32,
     operator_tables::kPReluOperands, {}},
    {Operator::kReduceSum, "ReduceSum", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes, Gives::kFloat32,
     operator_tables::kReduceSumOperands, operator_tables::kReduceSumAttributes},
    {Operator::kReduceMax, "ReduceMax", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes, Gives::kFloat32,
     operator_tables::kReduceMaxOperands, operator_tables::kReduceMaxAttributes},
    {Operator::kReduceMin, "ReduceMin", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes, Gives::kFloat32,
     operator_tables::kReduceMinOperands, operator_tables::kReduceMinAttributes},
    {Operator::kReduceProd, "ReduceProd", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     Gives::kFloat32, operator_tables::kReduceProdOperands, operator_tables::kReduceProdAttributes},
    {Operator::kReduceSumSquare, "ReduceSumSquare", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes,
     Gives::kFloat32, operator_tables::kReduceSumSquareOperands, operator_tables::kReduceSumSquareAttributes},
    {Operator::kReduceL2, "ReduceL2", ShapeRule::kOverAxes, Work::kOther, Images::kApartOutsideAxes, Gives::kFloat32,
     operator_tables::kReduceL2Operands, operator_tables::kReduceL2Attributes},
    {Operator::kRmsNorm, "RmsNorm", ShapeRule::kLayerNorm, Work::kOther, Images::kApartBehindAxis, Gives::kFloat32,
     operator_tables::kRmsNormOperands, operator_tables::kRmsNormAttributes},
    {Operator::kDepthToSpace, "DepthToSpace", ShapeRule::kDepthToSpace, Work::kOther, Images::kApart, Gives::kFloat32,
     operator_tables::kDepthToSpaceOperands, operator_tables::kDepthToSpaceAttributes},
    {Operator::kSpaceToDepth, "SpaceToDepth", ShapeRule::kSpaceToDepth, Work::kOther, Images::kApart, Gives::kFloat32,
     operator_tables::kSpaceToDepthOperands, operator_tables::kSpaceToDepthAttributes},
    {Operator::kInterpolate, "Interpolate", ShapeRule::kInterpolate, Work::kSpatial, Images::kApart, Gives::kFloat32,
     operator_tables::kInterpolateOperands, operator_tables::kInterpolateAttributes},
    {Operator::kGridSample, "GridSample", ShapeRule::kGridSample, Work::kSpatial, Images::kApartInBroadcasts,
     Gives::kFloat32, operator_tables::kGridSampleOperands, operator_tables::kGridSampleAttributes},
    {Operator::kRoiAlign, "RoiAlign", ShapeRule::kRoiAlign, Work::kOther, Images::kTogether, Gives::kFloat32,
     operator_tables::kRoiAlignOperands, operator_tables::kRoiAlignAttributes},
    {Operator::kNonMaxSuppression, "NonMaxSuppression", ShapeRule::kNonMaxSuppression, Work::kOther, Images::kTogether,
     Gives::kInt64, operator_tables::kNonMaxSuppressionOperands, operator_tables::kNonMaxSuppressionAttributes},
    {Operator::kFirstEntries, "FirstEntries", ShapeRule::kFirstEntries, Work::kOther, Images::kTogether, Gives::kFirst,
     operator_tables::kFirstEntriesOperands, operator_tables::kFirstEntriesAttributes},
    {Operator::kRange, "Range", ShapeRule::kStretch, Work::kOther, Images::kTogether, Gives::kFloat32,
     operator_tables::kRangeOperands, operator_tables::kRangeAttributes},
    {Operator::kExpand, "Expand", ShapeRule::kExpand, Work::kOther, Images::kApartInBroadcasts, Gives::kFirst,
     operator_tables::kExpandOperands, operator_tables::kExpandAttributes},
    {Operator::kTile, "Tile", ShapeRule::kTile, Work::kOther, Images::kTogether, Gives::kFirst,
     operator_tables::kTileOperands, operator_tables::kTileAttributes},
    {Operator::kTrilu, "Trilu", ShapeRule::kTriangle, Work::kOther, Images::kTogether, Gives::kFirst,
     operator_tables::kTriluOperands, operator_tables::kTriluAttributes},
    {Operator::kReverse, "Reverse", ShapeRule::kReverse, Work::kOther, Images::kApartOutsideAxes, Gives::kFirst,
     operator_tables::kReverseOperands, operator_tables::kReverseAttributes},
    {Operator::kQuantize, "Quantize", ShapeRule::kQuantize, Work::kOther, Images::kApartBehindAxis, Gives::kFloat32,
     operator_tables::kQuantizeOperands, operator_tables::kQuantizeAttributes},
    {Operator::kWalshHadamard, "WalshHadamard", ShapeRule::kWalshHadamard, Work::kOther, Images::kApartBehindAxis,
     Gives::kFloat32, operator_tables::kWalshHadamardOperands, operator_tables::kWalshHadamardAttributes},
    {Operator::kQuantizePlanes, "QuantizePlanes", ShapeRule::kQuantizePlanes, Work::kOther, Images::kApartBehindAxis,
     Gives::kFloat32, operator_tables::kQuantizePlanesOperands, operator_tables::kQuantizePlanesAttributes},
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
