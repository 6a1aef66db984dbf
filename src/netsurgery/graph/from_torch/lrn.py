"""Finds local_response_norm, which torch exports as the dozen operators that it is written with.

    x / (k + alpha * average of x² over `size` channels) ** beta
    div(x, pow(add(mul(view(avg_pool(pad(view(mul(x, x))))), alpha), k), beta))

Source: torch.nn.functional.local_response_norm; Krizhevsky et al. (2012), section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.fx import Graph, Node

_VIEWS = ("aten.view", "aten.reshape", "aten.squeeze", "aten.unsqueeze", "aten.clone", "aten._unsafe_view")
_POOLS = ("aten.avg_pool2d", "aten.avg_pool3d")
_PADS = ("aten.pad", "aten.constant_pad_nd")


@dataclass(frozen=True)
class Lrn:
    """One local_response_norm: the node it reads, its settings, and the nodes that are of no use beside it."""

    x: Node
    size: int
    alpha: float
    beta: float
    bias: float
    interior: frozenset[Node]


def find_lrns(graph: Graph) -> dict[Node, Lrn]:
    """The division that ends each local_response_norm -> what it divides by."""
    found = ((node, _match(node)) for node in graph.nodes if _is(node, "aten.div"))
    return {node: lrn for node, lrn in found if lrn is not None}


def _match(division: Node) -> Lrn | None:
    """Walks up from the division; None as soon as something is not as local_response_norm writes it."""
    x: Any = division.args[0]
    power: Any = division.args[1]
    total = _input(power, "aten.pow")
    scaled = _input(total, "aten.add")
    pooled = _through(_input(scaled, "aten.mul"), _VIEWS)
    padded = _input(pooled, *_POOLS)
    squares = _through(_input(_through(padded, _VIEWS), *_PADS), _VIEWS)
    if not (_is(squares, "aten.mul") and squares.args[:2] == (x, x)):
        return None
    numbers = [node.args[1] for node in (scaled, total, power)]
    pads, windows = _through(padded, _VIEWS).args, pooled.args[1:]
    size = windows[0][0]
    rank = len(windows[0])
    if (
        not all(isinstance(number, int | float) for number in numbers)
        or any(node.kwargs for node in (division, power, total, scaled))
        or list(windows[0]) != [size] + [1] * (rank - 1)
        or any(list(strides) != [1] * rank for strides in windows[1:2])
        or any(windows[2:])
        or list(pads[1]) != [0, 0] * (rank - 1) + [size // 2, (size - 1) // 2]
        or any(value not in ("constant", 0, None) for value in pads[2:])
        or pooled.meta["val"].shape[2] != x.meta["val"].shape[1]
    ):
        return None
    alpha, bias, beta = (float(number) for number in numbers)
    return Lrn(x, size, alpha, beta, bias, frozenset(_interior(division, x)))


def _is(node: Any, *operators: str) -> bool:
    """True for a call of one of these, whatever the overload."""
    return isinstance(node, Node) and str(node.target).rpartition(".")[0] in operators


def _input(node: Any, *operators: str) -> Any:
    """What this call reads, if it is one of these; else None."""
    return node.args[0] if _is(node, *operators) else None


def _through(node: Any, operators: tuple[str, ...]) -> Any:
    """The first node upwards that is none of these."""
    while _is(node, *operators):
        node = node.args[0]
    return node


def _interior(division: Node, x: Node) -> Iterator[Node]:
    """The nodes between x and the division that nobody else reads, from the last on."""
    inside, waiting = {division}, [node for node in division.all_input_nodes if node is not x]
    while waiting:
        node = waiting.pop()
        if node is not x and set(node.users) <= inside and node.op == "call_function":
            inside.add(node)
            yield node
            waiting.extend(node.all_input_nodes)
