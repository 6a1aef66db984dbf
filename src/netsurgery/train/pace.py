"""How fast a training goes, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pace:
    """Filled while `train` runs, without its first step and without what watches and saves it.

    images: that were shown, in all processes. spent_s: the time that took. waited_s: of it, waiting for images.
    """

    images: int = 0
    spent_s: float = 0.0
    waited_s: float = 0.0

    @property
    def images_per_s(self) -> float | None:
        """None before the second step."""
        return self.images / self.spent_s if self.images else None

    @property
    def waiting_percent(self) -> float | None:
        """Share of the time that the training waited for images; None before the second step."""
        return 100 * self.waited_s / self.spent_s if self.images else None
