"""`python -m generators` writes every generated file, `python -m generators --check` says which are out of date."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from generators.format_header import format_header
from generators.kernel_table import kernel_table
from generators.operators_header import operators_header
from generators.operators_page import operators_page
from generators.value_types_header import value_types_header

ROOT = Path(__file__).parents[1]
FILES: dict[str, Callable[[], str]] = {
    "docs/operators.md": operators_page,
    "engine/src/file/format.hpp": format_header,
    "engine/src/graph/operators.hpp": operators_header,
    "engine/src/graph/value_types.hpp": value_types_header,
    "engine/src/plain/kernel_table.hpp": kernel_table,
}
"""Path from the project's root -> what makes it."""


def outdated() -> list[str]:
    """The files that aren't what their tables say."""
    return [name for name, make in FILES.items() if _found(ROOT / name) != make()]


def _found(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main(arguments: list[str]) -> int:
    """The exit status: 1 if --check found something."""
    names = outdated()
    if arguments == ["--check"]:
        for name in names:
            print(f"{name} is out of date: run python -m generators")
        return min(len(names), 1)
    for name in names:
        (ROOT / name).write_text(FILES[name](), encoding="utf-8")
        print(f"{name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
