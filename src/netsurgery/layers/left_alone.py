"""What is left alone, in a few lines that fit a terminal: one for each reason."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from netsurgery.layers.candidates import LeftAlone

LINE_WIDTH = 100
_SHOWN = 3  # names of a reason; the others are counted


def describe(left_alone: Sequence[LeftAlone]) -> list[str]:
    """Lines of at most LINE_WIDTH characters, unless a name is longer; none if nothing is left alone."""
    heads = [f"left alone: {phrase}" for phrase in phrases(left_alone)]
    return [line for head in heads for line in textwrap.wrap(head, LINE_WIDTH, subsequent_indent="  ")]


def phrases(left_alone: Sequence[LeftAlone]) -> list[str]:
    """One phrase per reason, in the order in which the model has them: the parameters' names, and why."""
    groups: dict[str, list[str]] = {}
    for parameter in left_alone:
        groups.setdefault(parameter.words, []).append(parameter.name)
    return [f"{listed(names)} ({words})" for words, names in groups.items()]


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
