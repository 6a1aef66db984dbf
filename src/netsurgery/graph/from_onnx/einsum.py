"""Translation of ONNX's Einsum: sums of products over named axes, as transposes, products of matrices and sums."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.arithmetic import of_whole_numbers
from netsurgery.graph.from_onnx.call import Call, Value, known
from netsurgery.graph.from_onnx.layers import product, shaped
from netsurgery.graph.from_onnx.places import counted


def einsum(call: Call) -> Value:
    """Einsum of any number of operands, from left to right; what only one of them has is summed before."""
    operands = [call.operand(index) for index in range(len(call.operands))]
    terms, output = _labels(call.attributes["equation"], [len(one.shape) for one in operands])
    values = [_without_repeats(call, x, names) for x, names in zip(operands, terms, strict=True)]
    x, names = values[0]
    for place, (other, others) in enumerate(values[1:], 2):
        later = {label for _, left in values[place:] for label in left} | set(output)
        x, names = _of_two(call, x, names, other, others, later)
    x, names = _summed(call, x, names, set(output))
    if set(output) != set(names):
        raise UnsupportedOperatorError(f"names axes in its result that no operand has: {call.attributes['equation']}")
    return _moved(call, x, names, output)


def _labels(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """A letter for each axis of each operand, and of the result; "..." gets letters of its own."""
    said, arrow, result = equation.replace(" ", "").partition("->")
    terms = said.split(",")
    if len(terms) != len(ranks):
        raise UnsupportedOperatorError(f"names {len(terms)} operands and has {len(ranks)}: {equation}")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    widths = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    if any(width < 0 or (width and "..." not in term) for term, width in zip(terms, widths, strict=True)):
        raise UnsupportedOperatorError(f"names other numbers of axes than its operands have: {equation}")
    most = max(widths, default=0)
    spread = "".join(free[:most])
    terms = [term.replace("...", spread[most - width :]) for term, width in zip(terms, widths, strict=True)]
    if not arrow:
        every = "".join(terms)
        result = spread + "".join(sorted(one for one in set(every) - set(spread) if every.count(one) == 1))
    return terms, result.replace("...", spread)


def _without_repeats(call: Call, x: Value, names: str) -> tuple[Value, str]:
    """The diagonal of axes that have one name."""
    while repeated := next((label for label in names if names.count(label) > 1), None):
        first, second = (place for place, label in enumerate(names) if label == repeated)
        rest = [place for place in range(len(names)) if place not in (first, second)]
        x = call.node("Transpose", [x], order=(*rest, first, second))
        size = x.shape[-1]
        places = call.reshaped(counted(call, size), (*(1 for _ in rest), size, 1))
        places = call.node("Expand", [places], shape=(*x.shape[:-1], 1))
        x = call.node("GatherElements", [x, places], axis=len(rest) + 1)
        x = call.reshaped(x, x.shape[:-1])
        names = "".join(names[place] for place in rest) + repeated
    return x, names


def _of_two(call: Call, a: Value, in_a: str, b: Value, in_b: str, later: set[str]) -> tuple[Value, str]:
    """The product of two operands, summed over axes that both have and nothing behind reads."""
    a, in_a = _summed(call, a, in_a, later | set(in_b))
    b, in_b = _summed(call, b, in_b, later | set(in_a))
    batch = [label for label in in_a if label in in_b and label in later]
    inner = [label for label in in_a if label in in_b and label not in later]
    rows, columns = ([label for label in one if label not in other] for one, other in ((in_a, in_b), (in_b, in_a)))
    sizes = dict(zip(in_b, b.shape, strict=True)) | dict(zip(in_a, a.shape, strict=True))
    left = _moved(call, a, in_a, [*batch, *rows, *inner])
    if not inner:
        left = shaped(call, left, [*(sizes[one] for one in (*batch, *rows)), *(1 for _ in columns)])
        right = _moved(call, b, in_b, [*batch, *columns])
        spread = [*(sizes[one] for one in batch), *(1 for _ in rows), *(sizes[one] for one in columns)]
        right = shaped(call, right, spread)
        return call.node("Mul", [left, right]), "".join([*batch, *rows, *columns])
    outer = [sizes[one] for one in batch]
    size = math.prod(sizes[one] for one in inner)
    above = [sizes[one] for one in rows]  # which stay apart where matrices have nothing else around them
    left = shaped(call, left, [*outer, *(above if above and not batch else [math.prod(above)]), size])
    right = _moved(call, b, in_b, [*batch, *inner, *columns])
    right = shaped(call, right, [*outer, size, math.prod(sizes[one] for one in columns)])
    made = product(call, left, right)
    names = [*batch, *rows, *columns]
    return shaped(call, made, [sizes[one] for one in names]), "".join(names)


def _summed(call: Call, x: Value, names: str, kept: set[str]) -> tuple[Value, str]:
    """Without the axes that aren't kept."""
    axes = tuple(place for place, label in enumerate(names) if label not in kept)
    if not axes:
        return x, names
    if x.kind is not None and x.kind.whole:
        x = of_whole_numbers(call, x, "ReduceSum", axes, keepdims=False)
    else:
        x = call.node("ReduceSum", [x], axes=axes, keepdims=False)
    return x, "".join(one for one in names if one in kept)


def _moved(call: Call, x: Value, names: Sequence[str], wanted: Sequence[str]) -> Value:
    """Axes in another order."""
    order = tuple(list(names).index(label) for label in wanted)
    if order == tuple(range(len(order))):
        return x
    if x.array is not None and x.whole is None:
        return known(x.array.transpose(order), f"{x.name}.transposed")
    return call.node("Transpose", [x], order=order)
