"""Gradients in float16 without losing the small ones: Micikevicius et al. 2018, arXiv 1710.03740, section 3.2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from netsurgery.checks import require


@final
class GradientScale:
    """A factor on the loss that keeps gradients in float16's range, as torch chooses it; none for other precisions.

    Raises SettingError where torch has no such thing for the device.
    """

    def __init__(self, device: torch.device, precision: str) -> None:
        self._scaler = None
        if precision == "float16":
            there = hasattr(torch.amp, "GradScaler")
            require(there, "precision", precision, "float32 or bfloat16 here", "float16 needs torch 2.3")
            self._scaler = torch.amp.GradScaler(device.type)

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> bool:
        """Backward pass and optimizer step; False if there was none, because gradients aren't finite."""
        if self._scaler is None:
            loss.backward()
            optimizer.step()
            return True
        self._scaler.scale(loss).backward()
        self._scaler.step(optimizer)
        before = self._scaler.get_scale()
        self._scaler.update()
        return self._scaler.get_scale() >= before

    def state_dict(self) -> dict[str, Any]:
        """Numbers; nothing without a factor."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, in the same precision."""
        if self._scaler is not None:
            self._scaler.load_state_dict(dict(saved))
