"""Names and literals as the engine's C++ has them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

WIDTH = 120


def camel(name: str) -> str:
    """some_name, SomeName -> SomeName."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def constant(name: str) -> str:
    """some_name -> kSomeName."""
    return "k" + camel(name)


def flag(value: bool) -> str:
    """A bool."""
    return "true" if value else "false"


def number(value: float) -> str:
    """A float32 as a literal that comes back bit for bit."""
    if math.isinf(value):
        return ("-" if value < 0 else "") + "std::numeric_limits<float>::infinity()"
    digits = f"{value:.9g}"
    return digits + ("f" if "." in digits or "e" in digits else ".0f")


def enum_class(name: str, members: Iterable[str]) -> str:
    """Of bytes. On one line if it fits in, else one member to a line, as clang-format has it."""
    listed = list(members)
    line = f"enum class {name} : std::uint8_t {{ {', '.join(listed)} }};"
    if len(line) <= WIDTH:
        return line
    return f"enum class {name} : std::uint8_t {{\n" + textwrap.indent(",\n".join(listed), "  ") + "\n};"
