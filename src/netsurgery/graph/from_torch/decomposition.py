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

    Where that doesn't help, the error is about those of the model's own operators that can't be decomposed, if these
    are all that is missing; else about the model as it is. Raises CaptureError.
    """
    try:
        return read_program(program, names)
    except UnsupportedOperatorError as error:
        first = refusal = error
    for _ in range(_MOST_ROUNDS):
        refused = {problem.operator for problem in refusal.missing}
        targets = {
            node.target for node in program.graph.nodes if str(node.target) in refused
        } & _decompositions().keys()
        if not targets:
            break
        try:
            program = program.run_decompositions({target: _decompositions()[target] for target in targets})
        except Exception:  # of any kind, from the depths of torch; the refusal says what the model needs
            raise first from None
        try:
            return read_program(program, names)
        except UnsupportedOperatorError as error:
            refusal = error
        except CaptureError:
            raise first from None
    own = {problem.operator for problem in first.missing}
    raise refusal if {problem.operator for problem in refusal.missing} <= own else first


@cache
def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    return dict(torch.export.default_decompositions().items())
