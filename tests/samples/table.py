"""What every operator is tried on, by its name, from the families; and what draws a case of one.

The tests of kernels, files, ONNX, passes and traits walk through it, and fuzz/ begins with it.
"""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st
from tests.samples.arithmetic import ARITHMETIC
from tests.samples.boxes import BOXES
from tests.samples.case import Case, Draw
from tests.samples.drawing import binary, unary
from tests.samples.elementary import ELEMENTARY
from tests.samples.fixed_point import FIXED_POINT
from tests.samples.functions import FUNCTIONS
from tests.samples.integers import INTEGERS
from tests.samples.layers import LAYERS
from tests.samples.moves import MOVES
from tests.samples.pictures import PICTURES
from tests.samples.places import PLACES
from tests.samples.recurrent import RECURRENT
from tests.samples.reductions import REDUCTIONS
from tests.samples.sample import IMAGE, PICTURE, ROW, Constant, Samples, sample

from netsurgery.errors import GraphError
from netsurgery.graph.ir import node
from netsurgery.graph.operators import OPERATORS, Work, working

_FAMILIES: dict[str, Samples] = {
    **{
        name: Samples(files=[sample(ROW)], drawn=unary(name), more=[sample(PICTURE)])
        for name in working(Work.ENTRYWISE)
    },
    **{
        name: Samples(
            files=[sample(IMAGE, Constant((4, 1, 1)))],
            drawn=binary(name),
            more=[sample(PICTURE, Constant((4, 1, 1))), sample(ROW, ROW)],
        )
        for name in working(Work.BROADCAST)
    },
    **LAYERS,
    **RECURRENT,
    **FUNCTIONS,
    **ELEMENTARY,
    **ARITHMETIC,
    **PICTURES,
    **BOXES,
    **REDUCTIONS,
    **MOVES,
    **INTEGERS,
    **PLACES,
    **FIXED_POINT,
}

SAMPLES: dict[str, Samples] = {name: _FAMILIES[name] for name in OPERATORS if name in _FAMILIES}
"""Operator -> what it is tried on, in the order of the operator table."""


@st.composite
def cases(draw: Draw, operator: str) -> Case:
    """A case of an operator that its shape rule allows."""
    case = SAMPLES[operator].drawn(draw)
    try:
        made = node(operator, [None if shape is None else "x" for shape in case.shapes], "y", **case.attributes)
        OPERATORS[operator].shape(case.shapes, made.attributes)
    except GraphError:
        reject()
    return case
