"""Checks of what the constructors of networks for images share."""

from __future__ import annotations

from collections.abc import Callable

from netsurgery.checks import require, require_count, require_range

CIFAR = 32
"""Pixels of a side of CIFAR's images, for which some networks begin otherwise."""


def check_classifier(classes: object, dropout: object = 0.0) -> None:
    """Classes >= 1; dropout in [0, 1], a share of the values. Raises SettingError."""
    require_count("classes", classes)
    require_range("dropout", dropout, 0, 1)


def check_size(size: int, allowed: str, fits: Callable[[int], bool]) -> None:
    """size: pixels of a side of the images. fits: whether it is one that is `allowed`. Raises SettingError."""
    require_count("size", size)
    require(fits(size), "size", size, allowed, "it is the side of the square images, in pixels")
