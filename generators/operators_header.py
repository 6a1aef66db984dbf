"""engine/src/graph/operators.hpp: the operator table for the engine, from netsurgery/graph/operators/."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from enum import Enum

from generators.cpp import WIDTH, camel, constant, enum_class, flag, number
from netsurgery.graph.operators import (
    LARGEST_INT,
    OPERATORS,
    Attribute,
    Expected,
    Gives,
    Images,
    Length,
    Operator,
    Work,
)
from netsurgery.graph.shapes import FARTHEST_EXPONENT, MOST_BITS
from netsurgery.packed.format import ATTRIBUTES

TRAITS: tuple[type[Enum], ...] = (Work, Images, Expected, Gives, Length)

_TYPES = f"""\
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

namespace netsurgery {{

constexpr std::int64_t kLargestInteger = {LARGEST_INT};  // no whole number of a graph lies beyond +-this
constexpr std::int64_t kMostBits = {MOST_BITS};                // of numbers on a grid, their sign not counted
constexpr std::int64_t kFarthestExponent = {FARTHEST_EXPONENT};       // of a grid, +-

/// A table in static memory.
template <class T>
struct Entries {{
  const T* first = nullptr;
  std::size_t count = 0;

  constexpr Entries() = default;
  template <std::size_t N>
  constexpr Entries(const T (&all)[N]) : first(all), count(N) {{}}
  constexpr const T* begin() const {{ return first; }}
  constexpr const T* end() const {{ return first + count; }}
  constexpr std::size_t size() const {{ return count; }}
  constexpr const T& operator[](std::size_t place) const {{ return first[place]; }}
}};

enum class AttributeKind : std::uint8_t {{ kInt, kInts, kFloat, kFloats, kFlag, kChoice }};
enum class Default : std::uint8_t {{ kNone, kValue, kEmpty }};  // it must be said; a value; no number at all
"""

_ENTRIES = """\
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
"""

_END = """\
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
"""


def operators_header() -> str:
    """The whole file."""
    operators = list(OPERATORS.values())
    enums = [
        "// Traits; the table in Python explains them.",
        *(enum_class(kind.__name__, (constant(one.name.lower()) for one in kind)) for kind in TRAITS),
        enum_class("Operator", (f"{constant(operator.name)} = {operator.code}" for operator in operators)),
        enum_class("AttributeName", map(constant, ATTRIBUTES)),
        enum_class("ShapeRule", dict.fromkeys(constant(_rule(operator)) for operator in operators)),
        "// Choices: an attribute's whole number is the place among them.",
        *(
            enum_class(operator.name + camel(attribute.name), map(constant, attribute.choices))
            for operator in operators
            for attribute in operator.attributes
            if attribute.choices
        ),
    ]
    tables = ["// clang-format off", "namespace operator_tables {", ""]
    for operator in operators:
        tables += _tables(operator)
    tables += ["}  // namespace operator_tables", "", "inline constexpr OperatorEntry kOperators[] = {"]
    tables += [f"    {_operator(operator)}," for operator in operators]
    tables += ["};", "// clang-format on", ""]
    tables = [textwrap.fill(line, WIDTH, subsequent_indent=" " * 5, break_on_hyphens=False) for line in tables]
    return "\n".join([_TYPES, *enums, "", _ENTRIES, *tables, _END])


def _tables(operator: Operator) -> Iterator[str]:
    """The arrays that an operator's entry points to."""
    if operator.operands:
        yield f"inline constexpr OperandEntry {constant(operator.name)}Operands[] = {{"
    for operand in operator.operands:
        said = ", ".join(flag(given) for given in (operand.constant, operand.optional, operand.variadic))
        types = sum(1 << one.code for one in operand.types)
        yield f'    {{"{operand.name}", {said}, {_trait(operand.expected)}, {types}, {flag(operand.alike)}}},'
    if operator.operands:
        yield "};"
    for attribute in operator.attributes:
        if attribute.choices:
            listed = ", ".join(f'"{choice}"' for choice in attribute.choices)
            yield f"inline constexpr const char* {_choices(operator, attribute)}[] = {{{listed}}};"
    if operator.attributes:
        yield f"inline constexpr AttributeEntry {constant(operator.name)}Attributes[] = {{"
        yield from (f"    {_attribute(operator, attribute)}," for attribute in operator.attributes)
        yield "};"
    yield ""


def _operator(operator: Operator) -> str:
    name, tables = constant(operator.name), "operator_tables::"
    attributes = f"{tables}{name}Attributes" if operator.attributes else "{}"
    rule = f"ShapeRule::{constant(_rule(operator))}"
    traits = f"{_trait(operator.work)}, {_trait(operator.images)}, {_trait(operator.gives)}"
    operands = f"{tables}{name}Operands" if operator.operands else "{}"
    return f'{{Operator::{name}, "{operator.name}", {rule}, {traits}, {operands}, {attributes}}}'


def _attribute(operator: Operator, attribute: Attribute) -> str:
    default, integer, floating = attribute.default, "0", "0.0f"
    if isinstance(default, str):
        integer = str(attribute.choices.index(default))
    elif isinstance(default, int):
        integer = str(int(default))
    elif isinstance(default, float):
        floating = number(default)
    fields = [
        f"AttributeName::{constant(attribute.name)}",
        f'"{attribute.name}"',
        f"AttributeKind::{constant(attribute.kind)}",
        _trait(attribute.length),
        str(attribute.most),
        flag(attribute.flattens),
        "Default::" + ("kNone" if default is None else "kEmpty" if default == () else "kValue"),
        integer,
        floating,
        _low(attribute.low),
        flag(attribute.neutral is not None),
        str(attribute.neutral or 0),
        flag(attribute.follows is not None),
        _low(attribute.follows or 0),
        _choices(operator, attribute) if attribute.choices else "{}",
    ]
    return "{" + ", ".join(fields) + "}"


def _low(number: int) -> str:
    return str(number) if number > -LARGEST_INT else "-kLargestInteger"


def _trait(trait: Enum) -> str:
    """SOME_TRAIT -> Kind::kSomeTrait."""
    return f"{type(trait).__name__}::{constant(trait.name.lower())}"


def _rule(operator: Operator) -> str:
    return operator.shape.__name__


def _choices(operator: Operator, attribute: Attribute) -> str:
    return f"{constant(operator.name)}{camel(attribute.name)}Choices"
