"""engine/src/plain/kernel_table.hpp: who makes the plain kernel of which operator, from the operator table."""

from __future__ import annotations

import re

from generators.cpp import constant
from netsurgery.graph.operators import OPERATORS, Gives, Operator, Work

_BEGINNING = """\
// Who makes the plain kernel of which operator, made from netsurgery/graph/operators/: don't edit, run
//
//     python -m generators
//
// Each function stands in the file of its kernel; one that is missing is named by the linker.
#pragma once

#include "plain/makers.hpp"

namespace netsurgery::plain {
"""
_END = """
}  // namespace netsurgery::plain
"""


def kernel_table() -> str:
    """The whole file."""
    makers = {operator.name: _maker(operator) for operator in OPERATORS.values()}
    lines = [f"Kernel {maker}(const Making& making);" for maker in dict.fromkeys(makers.values())]
    lines += ["", "inline constexpr MakerEntry kMakers[] = {"]
    lines += [f"    {{Operator::{constant(name)}, {maker}}}," for name, maker in makers.items()]
    return "\n".join([_BEGINNING, *lines, "};", _END])


def _maker(operator: Operator) -> str:
    """Families of functions share a maker, which has a table of them; any other operator has one of its own name."""
    if operator.gives is Gives.BOOL:
        return "make_comparison"
    if operator.work is Work.ENTRYWISE:
        return "make_elementwise"
    if operator.work is Work.BROADCAST:
        return "make_binary"
    if operator.shape is OPERATORS["Mean"].shape:
        return "make_reduction"
    return "make_" + re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", operator.name).lower()
