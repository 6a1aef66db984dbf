"""docs/operators.md: every operator, from netsurgery/graph/operators/."""

from __future__ import annotations

import inspect
import math
import textwrap

from netsurgery.graph.operators import LARGEST_INT, OPERATORS, Attribute, Gives, Operand, Operator
from netsurgery.graph.value_types import ALL_TYPES, ValueType

_BEGINNING = """\
# Operators

What a graph can hold, and so what an .nsm file can hold and every engine runs. Made from the operator table in
`netsurgery/graph/operators/`; [format.md](format.md) says how operators are written.

Operands and outputs are float32 where nothing else is said; operands of which several types are allowed
have the same one, indices and conditions aside. `N` is the batch, `C` channels; the axes after them, `S`,
are spatial: one to three of them. In `strides`, `dilations` and `pads` (all begins, then all ends) no number at all
means 1, 1 and 0 for every axis. A number that may follow open axes is a number or an extent: an exact expression of
their sizes, which is worked out for each run.
"""


def operators_page() -> str:
    """The whole page, as Markdown."""
    return _BEGINNING + "".join(f"\n{_section(operator)}" for operator in OPERATORS.values())


def _section(operator: Operator) -> str:
    lines = [f"## {operator.code}. {operator.name}", "", operator.summary, ""]
    lines.append("- operands: " + (", ".join(_operand(operand) for operand in operator.operands) or "none"))
    lines += [f"- `{attribute.name}`: {_attribute(attribute)}" for attribute in operator.attributes]
    rule = " ".join(inspect.getdoc(operator.shape).split()) if operator.shape.__doc__ else ""  # type: ignore[union-attr]
    lines.append(f"- shape: {rule}")
    if operator.gives is not Gives.FLOAT32:
        lines.append(f"- type: {_type(operator)}")
    return "\n".join(textwrap.fill(line, 118, subsequent_indent="  " * line.startswith("-")) for line in lines) + "\n"


def _type(operator: Operator) -> str:
    """The type of the output."""
    if operator.gives is Gives.SAID:
        return "as `type` says"
    if operator.gives in (Gives.FIRST, Gives.LAST):
        return f"that of `{operator.operands[0 if operator.gives is Gives.FIRST else -1].name}`"
    return operator.gives.name.lower()


def _operand(operand: Operand) -> str:
    said = [
        word
        for word, holds in (
            ("constant", operand.constant),
            ("optional", operand.optional),
            ("any number", operand.variadic),
            (_types(operand.types), operand.types != (ValueType.FLOAT32,)),
        )
        if holds
    ]
    return f"`{operand.name}`" + (f" ({', '.join(said)})" if said else "")


def _types(types: tuple[ValueType, ...]) -> str:
    return "of any type" if types == ALL_TYPES else " or ".join(map(str, types))


def _attribute(attribute: Attribute) -> str:
    default = "" if attribute.default is None else f"; default {_value(attribute.default)}"
    return attribute.allowed + default + _following(attribute)


def _following(attribute: Attribute) -> str:
    if attribute.follows is None:
        return ""
    return "; may follow open axes" + (f", from {attribute.follows} on" if attribute.follows > -LARGEST_INT else "")


def _value(value: object) -> str:
    if value == ():
        return "none"
    if isinstance(value, float):
        return ("-" if value < 0 else "") + "infinity" if math.isinf(value) else f"{value:.9g}"
    return str(value)
