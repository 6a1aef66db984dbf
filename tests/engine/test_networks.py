"""The files that the engine's tests in C++ and its fuzzers begin with are those that the writer makes."""

from __future__ import annotations

from tests.engine.networks import FOLDER, all_files

import netsurgery as ns
from netsurgery.graph.operators import OPERATORS


def test_the_files_are_what_the_writer_makes_of_the_networks() -> None:
    there = {path.name: path.read_bytes() for path in FOLDER.glob("*.nsm")}
    assert there == all_files(), "python -m tests.engine.networks writes them anew"


def test_every_operator_is_in_one_of_them() -> None:
    used = {node.operator for path in FOLDER.glob("*.nsm") for node in ns.load(path).graph.nodes}
    assert used == set(OPERATORS)
