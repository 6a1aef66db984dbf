"""Operators that the graph doesn't have are taken apart into others by torch's own decompositions, where that helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch.export import ExportedProgram

from netsurgery.errors import CaptureError, UnsupportedOperatorError
from netsurgery.graph.from_torch.program import AxisNames, read_program
from netsurgery.graph.ir import Graph

_MOST_ROUNDS = 4
"""So often may what a decomposition gives be decomposed itself."""


def read_decomposed(program: ExportedProgram, names: AxisNames) -> Graph:
    """The graph of a program, of which nothing is decomposed but what is refused as it is.

    Where that doesn't help, the error is the one about the operators of the model itself, or, if all that they are made
    of is there, about how it is used. Raises CaptureError.
    """
    try:
        return read_program(program, names)
    except UnsupportedOperatorError as refusal:
        graph = _read_simpler(program, refusal, names, _MOST_ROUNDS)
        if graph is None:
            raise
        return graph


def _read_simpler(
    program: ExportedProgram, refusal: UnsupportedOperatorError, names: AxisNames, rounds: int
) -> Graph | None:
    """The graph of a program without the operators that were refused; None where one of them can't be replaced.

    Raises the refusal, of what an operator was replaced by, where it isn't about operators that there aren't.
    """
    refused = {problem.operator for problem in refusal.missing}
    targets = {node.target for node in program.graph.nodes if str(node.target) in refused}
    if not rounds or not targets or not targets <= _decompositions().keys():
        if rounds < _MOST_ROUNDS and not any(problem.absent for problem in refusal.missing):
            raise refusal
        return None
    try:
        simpler = program.run_decompositions({target: _decompositions()[target] for target in targets})
    except Exception:  # of any kind, from the depths of torch; the refusal says what the model needs
        return None
    try:
        return read_program(simpler, names)
    except UnsupportedOperatorError as other:
        return _read_simpler(simpler, other, names, rounds - 1)
    except CaptureError:
        return None


@cache
def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    return dict(torch.export.default_decompositions().items())
