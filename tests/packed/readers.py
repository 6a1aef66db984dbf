"""The readers by name: the library's, in C++, and the specification's in Python, on either coder."""

from __future__ import annotations

from typing import Literal

from netsurgery.packed import reader as library
from netsurgery.packed.format import Limits
from netsurgery.packed.reader import Packed
from specification import reader as specification
from specification.reader import CoderName

READERS: tuple[Literal["library"] | CoderName, ...] = ("library", "native", "reference")


def decode(
    content: bytes, *, limits: Limits | None = None, coder: Literal["library"] | CoderName = "library"
) -> Packed:
    """What a reader reads."""
    if coder == "library":
        return library.decode(content, limits=limits)
    return specification.decode(content, limits=limits, coder=coder)
