"""The masks of a run as pictures: PNG on a transparent ground, so that they stand on a light and on a dark page."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from netsurgery.report.mask_shares import (
    DEAD,
    SEPARATOR,
    Shares,
    kernels_shares,
    live_units,
    matrix_shares,
    vector_shares,
)
from netsurgery.report.record import Run, TensorCount
from netsurgery.report.wording import by_layer, kept_share, layer_title, note, shape

_PAGE_WIDTH, _PAGE_HEIGHT = 1080, 600  # CSS pixels that a picture may be scaled up to
_LARGEST_SCALE = 10  # CSS pixels a connection may take
_STRIP_HEIGHT = 14  # CSS pixels of the picture of a vector
_FEWEST_INPUT_PIXELS = 64  # below 8x8 a map of the inputs shows nothing

_KEPT_RGB = (217, 72, 15)
_FAINTEST = 90  # opacity, of 255, of a block that keeps a single connection
_GREY = {SEPARATOR: (128, 128, 128, 110), DEAD: (128, 128, 128, 48)}


def mask_pictures(run: Run, masks: Mapping[str, NDArray[np.bool_]]) -> str:
    """Layer by layer the pictures of the tensors of `run`, as HTML; tensors without a mask are only counted."""
    parts = [
        note(
            f"Of seed {run.seed}. Orange: kept; grey: rows and columns of a unit that keeps no connection "
            "in this tensor."
        )
    ]
    for layer, tensors in by_layer(run.tensors).items():
        parts.append(f"<h3>{html.escape(layer_title(layer))}</h3>")
        figures = (_tensor_figures(tensor, masks.get(tensor.name), tensor is run.tensors[0]) for tensor in tensors)
        parts.append(f'<div class="pictures">{"".join(figures)}</div>')
    return "\n".join(parts)


def _tensor_figures(tensor: TensorCount, mask: NDArray[np.bool_] | None, reads_input: bool) -> str:
    if mask is None:
        return note(f"{tensor.name}: {_kept_of(tensor)}; no mask was given.")
    return _mask_figure(tensor, mask) + (_input_figure(tensor.name, mask) if reads_input else "")


def _kept_of(tensor: TensorCount) -> str:
    return f"{tensor.kept:,} of {tensor.size:,} kept ({kept_share(tensor.kept, tensor.size)} %)"


def _mask_figure(tensor: TensorCount, mask: NDArray[np.bool_]) -> str:
    caption = f"{tensor.name}, {shape(mask.shape)}: {_kept_of(tensor)}"
    if mask.size == 0:
        return note(f"{caption}.")
    if mask.ndim < 2:
        shares, reading = vector_shares(mask)
        return _image_figure(shares, f"{caption}{reading}.", height=f"{_STRIP_HEIGHT}px")
    live_outputs, live_inputs = live_units(mask)
    caption += (
        f"; {live_outputs:,} of {mask.shape[0]:,} outputs and {live_inputs:,} of {mask.shape[1]:,} inputs "
        "keep a connection"
    )
    shares, reading = matrix_shares(mask) if mask.ndim == 2 else kernels_shares(mask)
    return _image_figure(shares, f"{caption}. {reading}.")


def _input_figure(name: str, mask: NDArray[np.bool_]) -> str:
    """(out, in) -> the inputs as the square image that they probably are, or nothing."""
    side = math.isqrt(mask.shape[-1]) if mask.ndim == 2 else 0
    if side * side < _FEWEST_INPUT_PIXELS or side * side != mask.shape[-1]:
        return ""
    counts = mask.sum(axis=0).reshape(side, side)
    most = int(counts.max())
    caption = (
        f"Connections that each of the {side}×{side} inputs of {name} keeps: "
        f"from none (empty) to {most:,} (full colour), {int((counts == 0).sum()):,} inputs keep none."
    )
    return _image_figure(counts / max(most, 1), caption)


def _image_figure(shares: Shares, caption: str, height: str = "auto") -> str:
    """height: of the picture, in CSS."""
    pixels_high, pixels_wide = shares.shape
    scale = max(1, min(_LARGEST_SCALE, _PAGE_WIDTH // pixels_wide, _PAGE_HEIGHT // pixels_high))
    # Shrunk below its own pixels a picture would lose single connections: it is scrolled instead.
    style = f"width:{pixels_wide * scale}px;max-width:max(calc(100% - 2px),{pixels_wide}px);height:{height}"
    text = html.escape(caption)
    image = (
        f'<img alt="{text}" width="{pixels_wide}" height="{pixels_high}" style="{style}" '
        f'src="data:image/png;base64,{_png(shares)}">'
    )
    return (
        f'<figure style="flex:0 1 {pixels_wide * scale + 2}px"><div class="scroll">{image}</div>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _png(shares: Shares) -> str:
    """Base64 of a PNG: the fuller the more is kept, but a single connection is always seen."""
    from matplotlib.image import imsave

    pixels = np.zeros((*shares.shape, 4), dtype=np.uint8)
    kept = shares > 0
    pixels[kept, :3] = _KEPT_RGB
    pixels[kept, 3] = _FAINTEST + (255 - _FAINTEST) * shares[kept]
    for value, grey in _GREY.items():
        pixels[shares == value] = grey
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png", origin="upper", metadata={"Software": "netsurgery"})
    return base64.b64encode(buffer.getvalue()).decode("ascii")
