"""What a model held before something was loaded into it, for a trainer that loads before anybody can refuse."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, final

import torch
from torch import Tensor, nn


@final
class GivenWeights:
    """Notes, on the processor, what each entry of a model's state_dict holds before it is loaded.

    It watches `model.load_state_dict`, as of checkpoints in parts or of adapters, until `stop`: what is noted of an
    entry is from before the last time that it was loaded, which is as a user has given it.
    """

    _noted: dict[str, Tensor] | None = None  # of the class: copies of a model have a hook that notes nothing

    def __init__(self, model: nn.Module) -> None:
        self._model = weakref.ref(model)
        self._noted = {}
        self._handle = model.register_load_state_dict_pre_hook(self)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: a model may be copied and pickled."""
        return {}

    def __call__(self, module: nn.Module, loaded: dict[str, Any], prefix: str, *_: Any) -> None:
        """Before `module` loads. prefix: of its entries in what is loaded."""
        self.note(module, (name.removeprefix(prefix) for name in loaded if name.startswith(prefix)))

    def is_of(self, model: nn.Module) -> bool:
        """Whether it is this model that it watches."""
        return self._model() is model

    def note(self, model: nn.Module, names: Iterable[str]) -> None:
        """Note what these entries hold now, under all names that they have."""
        if self._noted is None:
            return
        held = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
        places = {held[name].data_ptr() for name in names if name in held}
        found = {name: value for name, value in held.items() if value.data_ptr() in places}
        self._noted |= {name: value.detach().to("cpu", copy=True) for name, value in found.items()}

    def note_trained(self, model: nn.Module) -> None:
        """Note what else is trained, and so may be operated on, but hasn't been loaded."""
        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.note(model, [name for name in trained if name not in (self._noted or {})])

    def restore(self, model: nn.Module) -> None:
        """Put back what is noted, which is forgotten then."""
        noted, self._noted = self._noted or {}, None
        with torch.no_grad():
            model.load_state_dict(noted, strict=False)
        self._noted = {}

    def clear(self) -> None:
        """Forget what is noted."""
        if self._noted is not None:
            self._noted.clear()

    def stop(self) -> None:
        """Watch no longer."""
        self._handle.remove()
        self._noted = None
