"""Translations of ATen's determinants and inverses, of matrices of up to three rows: sums of products of entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Activation, Call, Sizes

Outputs = tuple[str | None, ...]
LARGEST = 3
"""Rows of the largest matrix that is written out."""


def determinant(call: Call) -> Outputs:
    """aten.linalg_det and _linalg_det, of which nothing else may be read."""
    matrix = _Matrix(call)
    every = range(matrix.size)
    return (call.reshaped(matrix.minor(every, every), matrix.single, matrix.single[:-2], "determinant"),)


def log_determinant(call: Call) -> str:
    """aten.logdet: of determinants below 0 it is NaN."""
    return _by_rows(call, signed=False)[1]


def sign_and_log(call: Call) -> Outputs:
    """aten.linalg_slogdet, slogdet and _linalg_slogdet, of which nothing else may be read."""
    return _by_rows(call, signed=True)


def _by_rows(call: Call, *, signed: bool) -> tuple[str, str]:
    """The sign of a determinant, and its logarithm (signed: of its size).

    Each row is divided by its largest entry first: a determinant may be beyond float32 where its logarithm isn't.
    """
    sizes, first = call.sizes(call.first), call.first
    rank = len(sizes)
    zero, one = call.placed(0.0, "zero"), call.placed(1.0, "one")
    x = call.operand(first)
    largest = call.node("ReduceMax", [call.node("Abs", [x], "sizes")], "largest", axes=(rank - 1,))
    some = call.node("Less", [zero, largest], "some")
    finite = call.node("LessOrEqual", [largest, call.placed(torch.finfo(torch.float32).max, "most")], "finite")
    largest = call.node("Where", [call.node("And", [some, finite], "divides"), largest, one], "divisors")
    scaled = Activation(call.node("Div", [x, largest], "scaled"), sizes)
    matrix = _Matrix(replace(call, arguments={**call.arguments, first: scaled}))
    every = range(matrix.size)
    determinant = matrix.minor(every, every)
    size = call.node("Abs", [determinant], "size") if signed else determinant
    logarithms = call.node("ReduceSum", [call.node("Log", [largest], "logs")], "factors", axes=(rank - 2,))
    logarithm = call.node("Add", [call.node("Log", [size], "log"), logarithms], "both")
    single, after = matrix.single, matrix.single[:-2]
    sign = call.reshaped(call.node("Sign", [determinant], "signs"), single, after, "sign")
    return sign, call.reshaped(logarithm, single, after, "logarithm")


def inverse(call: Call) -> Outputs:
    """aten.linalg_inv, inverse and linalg_inv_ex: cofactors over the determinant, and no word of failure."""
    matrix = _Matrix(call)
    every = range(matrix.size)
    rows = []
    for row in every:  # of the adjugate, which is transposed
        entries = []
        for column in every:
            if matrix.size == 1:
                entries.append(call.expanded(call.placed(1.0, "one"), matrix.single, "one"))
                continue
            rest = ([other for other in every if other != column], [other for other in every if other != row])
            minor = matrix.minor(*rest)
            sign = -1.0 if (row + column) % 2 else 1.0
            entries.append(call.node("Mul", [minor, call.placed(sign, "sign")], "cofactor"))
        rows.append(_joined(call, entries, len(matrix.single) - 1, "row"))
    adjugate = _joined(call, rows, len(matrix.single) - 2, "adjugate")
    return (call.node("Div", [adjugate, matrix.minor(every, every)], "inverse"),)


def _joined(call: Call, parts: list[str], axis: int, suffix: str) -> str:
    return parts[0] if len(parts) == 1 else call.node("Concat", parts, suffix, axis=axis)


class _Matrix:
    """The entries of the first argument, each of shape (..., 1, 1)."""

    def __init__(self, call: Call) -> None:
        sizes = call.sizes(call.first)
        self.size = int(call.known(sizes[-1:])[0])
        if self.size > LARGEST:
            raise UnsupportedOperatorError(
                f"has computed matrices of {self.size} rows; up to {LARGEST}, or constant ones, are supported"
            )
        self.single: Sizes = (*sizes[:-2], 1, 1)
        self._call, x, rank = call, call.operand(call.first), len(sizes)
        rows = [call.node("Slice", [x], "row", axis=rank - 2, start=row, stop=row + 1) for row in range(self.size)]
        self._entries = {
            (row, column): call.node("Slice", [rows[row]], "entry", axis=rank - 1, start=column, stop=column + 1)
            for row, column in product(range(self.size), repeat=2)
        }

    def minor(self, rows: Sequence[int], columns: Sequence[int]) -> str:
        """The determinant of a part of the matrix, along its first row."""
        first, *others = rows
        if not others:
            return self._entries[first, columns[0]]
        total = ""
        for place, column in enumerate(columns):
            rest = self.minor(others, [other for other in columns if other != column])
            term = self._call.node("Mul", [self._entries[first, column], rest], "term")
            total = self._call.node("Sub" if place % 2 else "Add", [total, term], "sum") if total else term
        return total
