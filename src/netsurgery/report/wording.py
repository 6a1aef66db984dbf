"""How the page writes figures, shapes, layers and notes: one way everywhere on it."""

from __future__ import annotations

import html
from collections.abc import Sequence

from netsurgery.records.record import Run, TensorCount


def times(compression: float) -> str:
    """All / kept."""
    return f"{compression:,.1f}×"


def error(percent: float) -> str:
    """An error without its unit."""
    return f"{percent:.2f}"


def density(share: float) -> str:
    """A share as percent without its unit, to three digits."""
    return f"{100 * share:.3g}"


def kept_share(kept: float, size: int) -> str:
    """`density` of counts; an empty tensor has density 0."""
    return density(kept / max(size, 1))


def shape(extents: Sequence[int]) -> str:
    """E.g. 20×1×5×5."""
    return "×".join(str(extent) for extent in extents) or "scalar"


def layer_of(name: str) -> str:
    """The layer that a parameter belongs to; "" where the model itself is one."""
    return name.rpartition(".")[0]


def layer_title(layer: str) -> str:
    """What stands for a layer."""
    return layer or "(the model itself)"


def by_layer(tensors: Sequence[TensorCount]) -> dict[str, list[TensorCount]]:
    """Layer -> its tensors, in the order of the first of each layer."""
    layers: dict[str, list[TensorCount]] = {}
    for tensor in tensors:
        layers.setdefault(layer_of(tensor.name), []).append(tensor)
    return layers


def operated_layers(run: Run) -> tuple[dict[str, list[TensorCount]], list[TensorCount]]:
    """The layers that the run's plan operated on, with all their tensors, and the tensors of the other layers.

    All layers where the trace doesn't say.
    """
    layers = by_layer(run.tensors)
    if not run.trace.density:
        return layers, []
    operated, untouched = {}, []
    for layer, tensors in layers.items():
        if any(tensor.name in run.trace.density for tensor in tensors):
            operated[layer] = tensors
        else:
            untouched += tensors
    return operated, untouched


def note(text: str) -> str:
    """A paragraph in small print, as HTML."""
    return f'<p class="note">{html.escape(text)}</p>'
