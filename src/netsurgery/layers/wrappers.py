"""Names of a model's modules without the wrappers that stand in between, as the model's own code has them.

`torch.compile`, DistributedDataParallel, averaged copies and checkpointed blocks put the module that they wrap one
attribute deeper, which says nothing of the network: "module.fc1" and "_orig_mod.fc1" are "fc1".
"""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel

_PARTS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Attributes that only wrappers have."""
_WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel, AveragedModel)
"""Classes that call theirs "module", as others may call what isn't a wrapper's."""


class PlainNames:
    """What the parts of a model are called without wrappers.

    Two parts that would then have one name keep the names that they have.
    """

    def __init__(self, model: nn.Module) -> None:
        self._wrapped = {
            f"{path}.{part}".lstrip(".")
            for path, module in model.named_modules(remove_duplicate=False)
            for part, _ in module.named_children()
            if part in _PARTS or (part == "module" and isinstance(module, _WRAPPERS))
        }
        if self._wrapped:
            paths = [name for name, _ in model.named_parameters(remove_duplicate=False)]
            if len({self.of(path) for path in paths}) < len(paths):
                self._wrapped = set()

    def of(self, name: str) -> str:
        """The plain name of a module or parameter."""
        if not self._wrapped:
            return name
        parts = name.split(".")
        paths = (".".join(parts[: end + 1]) for end in range(len(parts)))
        return ".".join(part for part, path in zip(parts, paths, strict=True) if path not in self._wrapped)
