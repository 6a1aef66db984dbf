// The constants of the .nsm file, made from netsurgery/packed/format.py: don't edit, run
//
//     python -m generators
//
// docs/format.md says what they are for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace netsurgery::format {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::uint8_t kMagic[] = {'N', 'S', 'M'};
constexpr int kVersion = 1;

constexpr std::int64_t kMostInputs = 64;
constexpr std::int64_t kMostAxes = 8;
constexpr std::int64_t kMostOutputs = 64;
constexpr std::int64_t kMostNodes = 65536;
constexpr std::int64_t kMostOperands = 262144;
constexpr std::int64_t kMostConstants = 65536;
constexpr std::int64_t kMostNameBytes = 1048576;
constexpr std::int64_t kHighestRank = 8;
constexpr std::int64_t kMostExtents = 4096;
constexpr std::int64_t kMostParts = 64;
constexpr std::int64_t kDeepestPart = 8;
constexpr std::int64_t kFollows = 159;
constexpr std::int64_t kMostCodes = 256;
constexpr std::int64_t kLargestUniform = 255;
constexpr std::int64_t kMostPlanes = 8;
constexpr std::int64_t kMostGrantedEntries = 1073741824;
constexpr std::int64_t kGrantedEntries = 16777216;
constexpr std::int64_t kGrantedEntriesPerByte = 128;
constexpr std::int64_t kGrantedDecisions = 16777216;
constexpr std::int64_t kGrantedDecisionsPerEntry = 4;

enum Context : std::size_t {
  kInputCount = 0,
  kRank = 1,
  kSize = 2,
  kNodeCount = 3,
  kDistance = 4,
  kLeftOutFlag = 5,
  kDivisor = 5,
  kConstantFlag = 6,
  kTerms = 6,
  kTied = 7,
  kOperandCount = 8,
  kOutputCount = 9,
  kOutput = 10,
  kNames = 11,
  kOutputsOfLayer = 12,
  kKernel = 13,
  kInputForm = 14,
  kOpenSize = 15,
  kMask = 16,
  kEncoding = 18,
  kMantissa = 20,
  kLeastCount = 20,
  kExponent = 22,
  kShared = 24,
  kCoefficient = 24,
  kMixed = 26,
  kFactor = 26,
  kPlane = 28,
  kWidth = 29,
  kCodes = 30,
  kPlanes = 31,
  kAttribute = 32,
  kExtent = 222,
  kLeastSize = 223,
  kOperator = 224,
};

enum class Mask : std::uint8_t { kSparse, kDense, kSparseLiveColumns, kZero, kSparsePlain };
enum class Encoding : std::uint8_t { kFloats, kCodebook, kPlanes, kUniform };

}  // namespace netsurgery::format
