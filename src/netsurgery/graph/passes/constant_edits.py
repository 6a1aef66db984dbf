"""Giving one reader of a constant another value, while its other readers keep theirs."""

from __future__ import annotations

from netsurgery.graph.ir import Graph
from netsurgery.graph.weights import Weights


class ConstantEdits:
    """The constants of a graph under change: `constants` is what they are now."""

    def __init__(self, graph: Graph) -> None:
        self.constants = dict(graph.constants)
        self._uses = graph.uses()
        self._names = graph.names()

    def shared(self, name: str) -> bool:
        """True if the constant is read more than once, or is an output of the graph."""
        return self._uses[name] > 1

    def change(self, name: str, value: Weights) -> str:
        """The name under which one reader of `name` finds this value: the same, or a new one if others read it too."""
        return self.add(name, value) if self.shared(name) else self.overwrite(name, value)

    def overwrite(self, name: str, value: Weights) -> str:
        """Another value for all readers of a constant; returns its name."""
        self.constants[name] = value
        return name

    def add(self, wish: str, value: Weights) -> str:
        """A new constant; returns its name, which is `wish` with a number appended if that is taken."""
        name, count = wish, 1
        while name in self._names:
            count += 1
            name = f"{wish}_{count}"
        self._names.add(name)
        self._uses[name] = 1
        return self.overwrite(name, value)
