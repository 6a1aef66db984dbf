"""Operators that the graph doesn't have are taken apart into others by torch's own decompositions, where that helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from functools import cache
from typing import Any

import torch
from torch.export import ExportedProgram

from netsurgery.errors import CaptureError, UnsupportedOperatorError
from netsurgery.graph.from_torch.program import AxisNames, read_program, refusal_of
from netsurgery.graph.ir import Graph

_MOST_ROUNDS = 4
"""So often may what a decomposition gives be decomposed itself."""


def read_decomposed(program: ExportedProgram, names: AxisNames) -> Graph:
    """The graph of a program, of which nothing is decomposed but what is refused as it is.

    Where that doesn't help, the error is about those of the model's own operators that can't be decomposed into what
    the graph has. Raises CaptureError.
    """
    try:
        return read_program(program, names)
    except UnsupportedOperatorError as error:
        first = error
    found = _decomposed(program, names, first)
    if isinstance(found, Graph):
        return found
    own = _operators(first)
    if _operators(found) <= own:
        raise found
    helped = {operator for operator in own if _helps(program, names, first, operator)}
    raise refusal_of([problem for problem in first.missing if problem.operator not in helped] or first.missing)


def _helps(program: ExportedProgram, names: AxisNames, first: UnsupportedOperatorError, operator: str) -> bool:
    """Whether an operator is no longer in the way once it is decomposed, the others as they are."""
    others = _operators(first) - {operator}
    found = _decomposed(program, names, first, others)
    return isinstance(found, Graph) or _operators(found) <= others


def _decomposed(
    program: ExportedProgram,
    names: AxisNames,
    refusal: UnsupportedOperatorError,
    kept: Set[str] = frozenset(),
) -> Graph | UnsupportedOperatorError:
    """The graph of a program that was refused, or the last refusal. kept: operators that aren't decomposed."""
    first = refusal
    for _ in range(_MOST_ROUNDS):
        refused = _operators(refusal) - kept
        targets = {
            node.target for node in program.graph.nodes if str(node.target) in refused
        } & _decompositions().keys()
        if not targets:
            break
        try:
            program = program.run_decompositions({target: _decompositions()[target] for target in targets})
        except Exception:  # of any kind, from the depths of torch; the refusal says what the model needs
            return first
        try:
            return read_program(program, names)
        except UnsupportedOperatorError as error:
            refusal = error
        except CaptureError:
            return first
    return refusal


def _operators(refusal: UnsupportedOperatorError) -> Set[str]:
    return {problem.operator for problem in refusal.missing}


@cache
def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    return dict(torch.export.default_decompositions().items())
