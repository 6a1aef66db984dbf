"""A packed network in the place of the module that it was made from, so that the user's `evaluate` can judge it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from netsurgery.errors import InputError
from netsurgery.runtime.session import Session


@final
class PackedModule(nn.Module):
    """Runs in the engine what is called as the module was: tensors by place, or by the names of its inputs.

    session: what runs. names: of the inputs, as the module's `forward` has them, in the order of the session's. device:
    where outputs go. It has no weights, learns nothing, and knows evaluation mode alone. Raises InputError for other
    inputs than tensors.
    """

    def __init__(self, session: Session, names: tuple[str, ...], device: torch.device) -> None:
        super().__init__()
        self._session = session
        self._names = names
        self._device = device
        self.eval()

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """A tensor, or a tuple of them."""
        given = [*inputs, *(named[name] for name in self._names[len(inputs) :] if name in named)]
        if not all(isinstance(one, Tensor) for one in given) or len(given) != len(inputs) + len(named):
            raise InputError("A packed network takes tensors alone, by place or by the names of the module's inputs.")
        outputs = self._session(*(one.detach().cpu().numpy() for one in given))
        if isinstance(outputs, tuple):
            return tuple(self._tensor(one) for one in outputs)
        return self._tensor(outputs)

    def _tensor(self, array: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self._device)
