// The types that values have, made from netsurgery/graph/value_types.py: don't edit, run
//
//     python -m generators
#pragma once

#include <cstddef>
#include <cstdint>

#include "netsurgery.h"

namespace netsurgery {

enum class ValueType : std::uint8_t { kFloat32 = 0, kInt32 = 1, kInt64 = 2, kBool = 3 };

struct ValueTypeEntry {
  ValueType type;
  const char* name;
  std::size_t bytes;  // of an entry
  bool whole;         // whole numbers
};

inline constexpr ValueTypeEntry kValueTypes[] = {
    {ValueType::kFloat32, "float32", sizeof(float), false},
    {ValueType::kInt32, "int32", sizeof(std::int32_t), true},
    {ValueType::kInt64, "int64", sizeof(std::int64_t), true},
    {ValueType::kBool, "bool", sizeof(std::uint8_t), false},
};

static_assert(NS_FLOAT32 == static_cast<int>(ValueType::kFloat32));
static_assert(NS_INT32 == static_cast<int>(ValueType::kInt32));
static_assert(NS_INT64 == static_cast<int>(ValueType::kInt64));
static_assert(NS_BOOL == static_cast<int>(ValueType::kBool));

constexpr const ValueTypeEntry& entry_of(ValueType type) { return kValueTypes[static_cast<std::size_t>(type)]; }

}  // namespace netsurgery
