"""engine/src/file/format.hpp: the constants of the .nsm file, from netsurgery/packed/format.py."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from generators.cpp import constant, enum_class
from netsurgery.packed import format as constants

_BEGINNING = """\
// The constants of the .nsm file, made from netsurgery/packed/format.py: don't edit, run
//
//     python -m generators
//
// docs/format.md says what they are for.
#pragma once

#include <cstddef>
#include <cstdint>

namespace netsurgery::format {
"""
_END = """
}  // namespace netsurgery::format
"""


def format_header() -> str:
    """The whole file."""
    magic = ", ".join(f"'{letter}'" for letter in constants.MAGIC.decode("ascii"))
    lines = [
        f"constexpr std::size_t kHeaderBytes = {constants.HEADER_BYTES};",
        f"constexpr std::uint8_t kMagic[] = {{{magic}}};",
        f"constexpr int kVersion = {constants.VERSION};",
        "",
        *(f"constexpr std::int64_t {constant(name)} = {value};" for name, value in _limits()),
        "",
        "enum Context : std::size_t {",
        *(f"  {constant(name.lower())} = {one.value}," for name, one in constants.Context.__members__.items()),
        "};",
        "",
        enum_class("Mask", map(_member, constants.Mask)),
        enum_class("Encoding", map(_member, constants.Encoding)),
    ]
    return "\n".join([_BEGINNING, *lines, _END])


def _limits() -> Iterator[tuple[str, int]]:
    for name, value in vars(constants).items():
        if name.startswith(("MOST_", "HIGHEST_", "LARGEST_", "GRANTED_", "DEEPEST_", "FOLLOWS")):
            yield name.lower(), value


def _member(one: IntEnum) -> str:
    return constant(one.name.lower())
