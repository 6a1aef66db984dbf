"""The arrows that CONTRIBUTING.md draws between the parts of the package are the imports that there are."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

from tests.each_case import each_case

SOURCE = Path(__file__).resolve().parents[1] / "src" / "netsurgery"
PAGE = (SOURCE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").rstrip("."): path
    for path in SOURCE.rglob("*.py")
}
"""Name within the package -> file; the package itself is ""."""
PARTS = {name.partition(".")[0] for name in MODULES} - {""}


def imported(name: str) -> list[str]:
    """Full names of what a module imports, in functions and for types too; modules of the package as deep as known."""
    found = []
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            deeper = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [full if own(full) in MODULES else node.module for full in deeper]
    return found


def own(full: str) -> str | None:
    """The name within the package; None for what lies outside."""
    return None if full.partition(".")[0] != "netsurgery" else full.partition(".")[2]


def drawn() -> dict[str, set[str]]:
    """Part -> the parts that arrows lead to directly, as the page draws them."""
    (block,) = re.findall(r"Imports point one way:\n\n((?: {4}.+\n)+)", PAGE)
    arrows: dict[str, set[str]] = {}
    for line in block.splitlines():
        chain = [[name.strip() for name in group.split(",")] for group in line.split("->")]
        for sources, targets in pairwise(chain):
            for source in sources:
                arrows.setdefault(source, set()).update(targets)
    return arrows


def reachable(part: str, arrows: dict[str, set[str]]) -> set[str]:
    found = {part}
    while more := {target for name in found for target in arrows.get(name, ())} - found:
        found |= more
    return found


ARROWS = drawn()
EVERYWHERE = set(re.findall(r"`(\w+)`", re.findall(r"Everything may import (.*?)\.", PAGE, flags=re.DOTALL)[0]))


def test_there_are_arrows_from_the_command_line_to_the_graph() -> None:
    assert {"graph", "methods"} <= reachable("cli", ARROWS)
    assert "errors" in EVERYWHERE


def test_arrows_lead_between_parts_that_exist_and_never_in_a_circle() -> None:
    list(TopologicalSorter(ARROWS).static_order())
    named = {*ARROWS, *(target for targets in ARROWS.values() for target in targets)}
    assert named | EVERYWHERE == PARTS


@each_case("name", sorted(MODULES.keys() - {""}))
def test_a_module_imports_only_what_the_arrows_lead_to(name: str) -> None:
    part = name.partition(".")[0]
    wanted = {found.partition(".")[0] for full in imported(name) if (found := own(full))}
    allowed = EVERYWHERE if part in EVERYWHERE else reachable(part, ARROWS) | EVERYWHERE
    assert wanted - {"_native"} <= allowed


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: {found for full in imported(name) if (found := own(full))} & MODULES.keys() for name in MODULES}
    graph[""] = set()  # names the public ones for type checkers, and imports them when they are used
    for name in graph:  # a package's first file, which gathers what lies in it, isn't what that imports
        graph[name] -= {name, *(above(name))}
    list(TopologicalSorter(graph).static_order())


def above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts))]


def outside(name: str) -> set[str]:
    """Packages that a module imports, beside Python's own and this one."""
    found = {full.partition(".")[0] for full in imported(name)}
    return found - {*sys.stdlib_module_names, "netsurgery"}


DEPLOYED = reachable("deployment", ARROWS) | reachable("analysis", ARROWS) | EVERYWHERE
FOREIGN = {
    "graph.capture": {"torch"},
    "graph.from_torch": {"torch", "sympy"},  # which torch brings: its sizes are expressions of it
    "graph.from_onnx": {"onnx"},
    "graph.to_onnx": {"onnx"},
    "deployment.dense_runtime": {"onnxruntime"},
    "evaluation_mode": {"torch"},
    "transforms": {"torch"},
}
"""Modules and folders of the deployed side that know another library, which is imported when a model of it comes in."""


@each_case("name", sorted(name for name in MODULES if name.partition(".")[0] in DEPLOYED))
def test_the_deployed_side_needs_numpy_only(name: str) -> None:
    known = set().union(*(FOREIGN.get(place, set()) for place in [name, *above(name)]))
    assert outside(name) <= {"numpy", *known}
    assert "netsurgery.evaluation_mode" not in imported(name) or "torch" in known


@each_case("part", sorted(PARTS))
def test_the_map_has_every_part(part: str) -> None:
    (tree,) = re.findall(r"    src/netsurgery/\n(.*?)\n    engine/", PAGE, flags=re.DOTALL)
    assert re.search(rf"\b{part}(/|\.py)", tree)
    if (SOURCE / part).is_dir():
        first_line = (SOURCE / part / "__init__.py").read_text(encoding="utf-8").splitlines()[0]
        assert re.fullmatch(r'""".+\.( .*)?"""|""".+', first_line)
