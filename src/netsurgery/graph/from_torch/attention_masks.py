"""torch.nn's transformers look into a mask whether it is the causal one, which torch.export can't write down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules import transformer

_LOOKS = "_detect_is_causal_mask"


@contextmanager
def masks_as_given() -> Iterator[None]:
    """Only who says so has a causal mask. Others are applied as they are, which gives the same and takes longer."""
    looking = getattr(transformer, _LOOKS, None)

    def said(_: Any, is_causal: bool | None = None, *__: Any, **___: Any) -> bool:
        return is_causal is True

    if looking is not None:  # a private name, which a torch to come may not have
        setattr(transformer, _LOOKS, said)
    try:
        yield
    finally:
        if looking is not None:
            setattr(transformer, _LOOKS, looking)
