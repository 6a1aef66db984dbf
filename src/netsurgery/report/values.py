"""Which values quantized weights take: in words, and powers of two as a chart."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from netsurgery.report.plot import Line, default_style, figure_element, layer_colors, new_axes, short_names
from netsurgery.report.shades import Weights

_MOST_POWERS = 128  # as 8 bits have; a float tensor with more is not a quantized one, whatever its mantissas
_MOST_VALUES = 256  # of an output: 8 planes
_MOST_LABELS = 10  # beside each other below a chart


def values_text(weights: Weights) -> str:
    """What values the connections left take; "" where they are not powers of two and differ too much to say."""
    if (powers := _powers(weights)) is not None:
        least, most = int(powers.min()), int(powers.max())
        sign = "±" if np.min(weights) < 0 < np.max(weights) else "−" if np.min(weights) < 0 else ""
        if least == most:
            return f"all {sign}{_power(most)}"
        return f"powers of two, {sign}{_power(least)} to {sign}{_power(most)}"
    if weights.dtype == np.bool_ or weights.ndim < 2:
        return ""
    counts = [len(np.unique(row[row != 0])) for row in weights.reshape(len(weights), -1)]
    most = max(counts, default=0)
    repeat = 0 < 2 * sum(counts) <= np.count_nonzero(weights)  # where hardly any is left, few values say nothing
    return f"at most {most} value{'s' * (most > 1)} in an output" if repeat and most <= _MOST_VALUES else ""


def powers_chart(weights: Mapping[str, Weights]) -> str:
    """How often each power of two occurs in each tensor, as HTML; "" where no tensor has powers of two."""
    matrices = {name: tensor for name, tensor in weights.items() if tensor.ndim > 1}
    found = {name: powers for name, tensor in matrices.items() if (powers := _powers(tensor)) is not None}
    if not found:
        return ""
    all_powers = np.concatenate(list(found.values()))
    least, most = int(all_powers.min()), int(all_powers.max())
    with default_style():
        figure, axes = new_axes("size of a weight", "share of its tensor's connections, %")
        lines = [Line(name, color) for name, color in zip(found, layer_colors(len(found)), strict=True)]
        width = 0.8 / len(lines)  # bars stand side by side: equal ones would hide each other
        for index, line in enumerate(lines):
            powers = found[line.name]
            shares = [100 * float(np.mean(powers == power)) for power in range(least, most + 1)]
            places = [power - 0.4 + (index + 0.5) * width for power in range(least, most + 1)]
            axes.bar(places, shares, width=width, color=line.color)
        axes.set_ylim(bottom=0)
        axes.grid(visible=False, axis="x")
        axes.set_xlim(least - 0.5, most + 0.5)
        labelled = range(least, most + 1, max(1, math.ceil((most + 1 - least) / _MOST_LABELS)))
        axes.set_xticks(labelled, [_power(power) for power in labelled])
        caption = (
            f"How large the powers of two are that connections have become: {_power(least)} to {_power(most)}. "
            "Connections that are 0 aren't counted."
        )
        return figure_element(figure, "powers", caption, short_names(lines))


def _powers(weights: Weights) -> NDArray[np.int64] | None:
    """Exponents of all weights but zeros, in the order of the weights; None where one is not a power of two."""
    kept = np.abs(weights[weights != 0]).astype(np.float64)
    if weights.dtype == np.bool_ or kept.size == 0:
        return None
    mantissas, exponents = np.frexp(kept)
    if np.any(mantissas != 0.5) or np.ptp(exponents) >= _MOST_POWERS:
        return None
    return np.asarray(exponents - 1, np.int64)


def _power(exponent: int) -> str:
    superscript = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"2{superscript}"
