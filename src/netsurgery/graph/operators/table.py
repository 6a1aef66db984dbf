"""All operators by name, from the families."""

from __future__ import annotations

from netsurgery.graph.operators.arithmetic import ARITHMETIC
from netsurgery.graph.operators.boxes import BOXES
from netsurgery.graph.operators.elementary import ELEMENTARY
from netsurgery.graph.operators.fixed_point import FIXED_POINT
from netsurgery.graph.operators.functions import FUNCTIONS
from netsurgery.graph.operators.integers import INTEGERS
from netsurgery.graph.operators.layers import LAYERS
from netsurgery.graph.operators.moves import MOVES
from netsurgery.graph.operators.operator import Operator, Work
from netsurgery.graph.operators.pictures import PICTURES
from netsurgery.graph.operators.places import PLACES
from netsurgery.graph.operators.recurrent import RECURRENT
from netsurgery.graph.operators.reductions import REDUCTIONS

# Codes are in the order of how often the operators occur, which saves bits. They never change once released.
_ALL = sorted(
    (
        *(*LAYERS, *RECURRENT, *FUNCTIONS, *ELEMENTARY, *ARITHMETIC, *PICTURES, *BOXES, *REDUCTIONS, *MOVES),
        *(*INTEGERS, *PLACES, *FIXED_POINT),
    ),
    key=lambda operator: operator.code,
)

OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _ALL}
"""Operator name -> operator, in the order of their codes."""


def working(work: Work) -> tuple[str, ...]:
    """The names of the operators with that trait."""
    return tuple(operator.name for operator in _ALL if operator.work is work)
