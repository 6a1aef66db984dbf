"""The weights of a run as pictures: PNG on a transparent ground, so that they stand on a light and on a dark page."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping

import numpy as np

from netsurgery.records.record import Run, TensorCount
from netsurgery.report.shades import (
    DEAD,
    SEPARATOR,
    Shades,
    Weights,
    kernels_shades,
    live_units,
    matrix_shades,
    vector_shades,
)
from netsurgery.report.values import powers_chart, values_text
from netsurgery.report.wording import kept_share, layer_title, note, operated_layers, shape

_LARGE, _SMALL = (1080, 600), (520, 330)  # width and height in CSS pixels that a picture may be scaled up to
_MANY_LAYERS = 9  # from which on pictures are small and stand beside each other
_LARGEST_SCALE = 10  # CSS pixels a connection may take
_STRIP_HEIGHT = 14  # CSS pixels of the picture of a vector
_FEWEST_INPUT_PIXELS = 64  # below 8x8 a map of the inputs shows nothing

_POSITIVE_RGB, _NEGATIVE_RGB = (217, 72, 15), (47, 126, 216)
_FAINTEST = 70  # opacity, of 255, of the smallest weight and of a block that keeps a single connection
_GREY = {SEPARATOR: (128, 128, 128, 110), DEAD: (128, 128, 128, 48)}


def weight_pictures(run: Run, weights: Mapping[str, Weights]) -> str:
    """Layer by layer the pictures of the tensors of `run`, as HTML; tensors without weights are only counted."""
    parts = [
        note(
            f"Of seed {run.seed}. Orange: positive; blue: negative; the fuller, the larger; empty: pruned; grey: rows "
            "and columns of a unit that keeps no connection in this tensor. Where a pixel is several weights, captions "
            "say so."
        )
    ]
    if chart := powers_chart(weights):
        parts.append(f'<div class="curves">{chart}</div>')
    layers, untouched = operated_layers(run)
    many = len(layers) >= _MANY_LAYERS
    room = _SMALL if many else _LARGE
    rows = {
        layer: "".join(
            _tensor_figures(tensor, weights.get(tensor.name), room, reads_input=tensor is run.tensors[0])
            for tensor in tensors
        )
        for layer, tensors in layers.items()
    }
    if many:  # captions name the tensors
        parts.append(f'<div class="pictures">{"".join(rows.values())}</div>')
    else:
        for layer, figures in rows.items():
            parts.append(f"<h3>{html.escape(layer_title(layer))}</h3>")
            parts.append(f'<div class="pictures">{figures}</div>')
    if untouched:
        parts.append(note(f"Not operated on, and not shown: {', '.join(tensor.name for tensor in untouched)}."))
    return "\n".join(parts)


def _tensor_figures(tensor: TensorCount, weights: Weights | None, room: tuple[int, int], reads_input: bool) -> str:
    if weights is None:
        return note(f"{tensor.name}: {_kept_of(tensor)}; no weights were given.")
    return _weights_figure(tensor, weights, room) + (_input_figure(tensor.name, weights, room) if reads_input else "")


def _kept_of(tensor: TensorCount) -> str:
    return f"{tensor.kept:,} of {tensor.size:,} kept ({kept_share(tensor.kept, tensor.size)} %)"


def _weights_figure(tensor: TensorCount, weights: Weights, room: tuple[int, int]) -> str:
    caption = f"{tensor.name}, {shape(weights.shape)}: {_kept_of(tensor)}"
    if weights.size == 0:
        return note(f"{caption}.")
    if values := values_text(weights):
        caption += f", {values}"
    if weights.ndim < 2:
        shades, reading = vector_shades(weights)
        if _is_even(shades, weights):
            return note(f"{caption}.")
        return _image_figure(shades, f"{caption}{reading}.", room, height=f"{_STRIP_HEIGHT}px")
    live_outputs, live_inputs = live_units(weights)
    caption += (
        f"; {live_outputs:,} of {weights.shape[0]:,} outputs and {live_inputs:,} of {weights.shape[1]:,} inputs "
        "keep a connection"
    )
    shades, reading = matrix_shades(weights) if weights.ndim == 2 else kernels_shades(weights)
    if _is_even(shades, weights):
        return note(f"{caption}. Too large to show single weights.")
    return _image_figure(shades, f"{caption}. {reading}.", room)


def _is_even(shades: Shades, weights: Weights) -> bool:
    """Whether pixels are blocks that are all full, which is not a picture of anything."""
    return shades.size < weights.size and bool(np.all(weights))


def _input_figure(name: str, weights: Weights, room: tuple[int, int]) -> str:
    """(out, in) -> the inputs as the square image that they probably are, or nothing, also where all are kept."""
    side = math.isqrt(weights.shape[-1]) if weights.ndim == 2 else 0
    if side * side < _FEWEST_INPUT_PIXELS or side * side != weights.shape[-1] or np.all(weights):
        return ""
    counts = np.count_nonzero(weights, axis=0).reshape(side, side)
    most = int(counts.max())
    caption = (
        f"Connections that each of the {side}×{side} inputs of {name} keeps: "
        f"from none (empty) to {most:,} (full colour), {int((counts == 0).sum()):,} inputs keep none."
    )
    return _image_figure(counts / max(most, 1), caption, room)


def _image_figure(shades: Shades, caption: str, room: tuple[int, int], height: str = "auto") -> str:
    """room: width and height that it may be scaled up to, in CSS pixels. height: of the picture, in CSS."""
    pixels_high, pixels_wide = shades.shape
    scale = max(1, min(_LARGEST_SCALE, room[0] // pixels_wide, room[1] // pixels_high))
    # Shrunk below its own pixels a picture would lose single connections: it is scrolled instead.
    style = f"width:{pixels_wide * scale}px;max-width:max(calc(100% - 2px),{pixels_wide}px);height:{height}"
    text = html.escape(caption)
    image = (
        f'<img alt="{text}" width="{pixels_wide}" height="{pixels_high}" style="{style}" '
        f'src="data:image/png;base64,{_png(shades)}">'
    )
    return (
        f'<figure style="flex:0 1 {pixels_wide * scale + 2}px"><div class="scroll">{image}</div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _png(shades: Shades) -> str:
    """Base64 of a PNG: the fuller the larger or the more is kept, but a single connection is always seen."""
    from matplotlib.image import imsave

    pixels = np.zeros((*shades.shape, 4), dtype=np.uint8)
    kept = (shades != 0) & (np.abs(shades) <= 1)
    pixels[kept, :3] = np.where(shades[kept, None] > 0, _POSITIVE_RGB, _NEGATIVE_RGB)
    pixels[kept, 3] = _FAINTEST + (255 - _FAINTEST) * np.abs(shades[kept])
    for value, grey in _GREY.items():
        pixels[shades == value] = grey
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", origin="upper", metadata={"Software": "netsurgery"})
    return base64.b64encode(buffer.getvalue()).decode("ascii")
