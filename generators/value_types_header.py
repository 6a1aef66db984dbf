"""engine/src/graph/value_types.hpp: the types of values for the engine, from netsurgery/graph/value_types.py."""

from __future__ import annotations

from generators.cpp import constant, enum_class
from netsurgery.graph.value_types import ValueType

_BEGINNING = """\
// The types that values have, made from netsurgery/graph/value_types.py: don't edit, run
//
//     python -m generators
#pragma once

#include <cstddef>
#include <cstdint>

#include "netsurgery.h"

namespace netsurgery {
"""

_ENTRY = """\
struct ValueTypeEntry {
  ValueType type;
  const char* name;
  std::size_t bytes;  // of an entry
  bool whole;         // whole numbers
};
"""

_END = """
constexpr const ValueTypeEntry& entry_of(ValueType type) { return kValueTypes[static_cast<std::size_t>(type)]; }

}  // namespace netsurgery
"""


def value_types_header() -> str:
    """The whole file."""
    types = sorted(ValueType, key=lambda one: one.code)
    enum = enum_class("ValueType", (f"{constant(str(one))} = {one.code}" for one in types))
    entries = [
        f'    {{ValueType::{constant(str(one))}, "{one}", sizeof({_spelt(one)}), {str(one.whole).lower()}}},'
        for one in types
    ]
    same = [f"static_assert(NS_{one.name} == static_cast<int>(ValueType::{constant(str(one))}));" for one in types]
    table = ["inline constexpr ValueTypeEntry kValueTypes[] = {", *entries, "};"]
    return "\n".join([_BEGINNING, enum, "", _ENTRY, *table, "", *same, _END])


def _spelt(one: ValueType) -> str:
    return f"std::{one.c_type}" if one.c_type.endswith("_t") else one.c_type
