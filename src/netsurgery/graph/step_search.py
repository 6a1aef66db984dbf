"""Finds of which steps the sizes of open axes have to be multiples, so that a model takes all of them.

A detector halves a picture five times and joins what that gives again: its height is a multiple of 32. No file says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netsurgery.graph.ir import Sizes

STEPS = (1, 2, 4, 8, 16, 32, 64)
"""What is tried. Halves are what networks make of sizes."""

ODD = (1, 7, 3, 5, 9)
"""Such parts are tried one after another, each times STEPS: windows and patches have 7, 14 or 3 entries, too."""

_LARGEST, _LARGEST_OF_ODD = STEPS[-1], 16
"""What parts are multiplied with at most: what depends on two sizes has room in memory only while these are small."""

BEGINNINGS = (3, 37, 67)
"""Sizes are tried from so many of the largest steps on: a sound may have to be longer than any picture."""


def steps_of(takes: Callable[[Sizes], bool], axes: Sequence[str]) -> dict[str, int]:
    """Of each axis that doesn't take every size its step: the smallest one, by what `takes` says of sizes.

    Empty if the model takes no multiples of any step, or sizes that are none.
    """
    for odd in ODD:
        steps = _steps_of(takes, axes, odd)
        if steps:
            return steps
    return {}


def _steps_of(takes: Callable[[Sizes], bool], axes: Sequence[str], odd: int) -> dict[str, int]:
    """The same among powers of two, and these times an odd number."""
    largest = odd * (_LARGEST if odd == 1 else _LARGEST_OF_ODD)
    every = (_multiples(axes, first, largest) for first in (BEGINNINGS if odd == 1 else BEGINNINGS[:2]))
    sizes = next((sizes for sizes in every if takes(sizes)), None)
    if sizes is None:
        return {}
    search = _Search(takes, sizes, odd)
    steps = dict.fromkeys(axes, largest)
    steps |= {axis: 1 for axis in axes if search.takes({**steps, axis: 1})}
    if not search.takes(steps):
        return {}
    for axes_of_one in [[axis for axis in axes if steps[axis] > 1], *([axis] for axis in axes)]:
        steps = search.reduced(steps, axes_of_one)
    return {axis: step for axis, step in steps.items() if step > 1}


class _Search:
    """Looks for smaller steps around sizes that a model takes."""

    def __init__(self, takes: Callable[[Sizes], bool], sizes: Sizes, odd: int) -> None:
        self._takes, self._sizes, self._odd = takes, sizes, odd

    def takes(self, steps: Sizes) -> bool:
        """Whether the model takes odd multiples of these steps."""
        return all(
            self._takes({axis: size + odd * steps[axis] for axis, size in self._sizes.items()}) for odd in (1, 3)
        )

    def reduced(self, steps: dict[str, int], axes: Sequence[str]) -> dict[str, int]:
        """The steps with the smallest one for these axes, which have the same, that the model takes."""
        if not axes or steps[axes[0]] == 1:
            return steps
        if self._odd > 1 and steps[axes[0]] % self._odd == 0:
            even = dict.fromkeys(axes, steps[axes[0]] // self._odd)
            steps = {**steps, **even} if self.takes({**steps, **even}) else steps
        part = self._odd if self._odd > 1 and steps[axes[0]] % self._odd == 0 else 1
        smaller = [part * step for step in STEPS[: STEPS.index(steps[axes[0]] // part) + 1]]
        low, high = 0, len(smaller) - 1
        while low < high:
            middle = (low + high) // 2
            if self.takes({**steps, **dict.fromkeys(axes, smaller[middle])}):
                high = middle
            else:
                low = middle + 1
        return {**steps, **dict.fromkeys(axes, smaller[high])}


def _multiples(axes: Sequence[str], first: int, largest: int) -> dict[str, int]:
    """Multiples of the largest step, all of them different."""
    return {axis: largest * (first + 2 * place) for place, axis in enumerate(axes)}
