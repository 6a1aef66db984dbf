"""What other programs call the layers of a network of the zoo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Naming:
    """Whose names these are, and what becomes of them.

    pieces: beginnings of keys -> ours; the rest of a key stays. A key that none of them begins stays as it is.
    """

    whose: str
    pieces: Mapping[str, str]

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same tensors by our names."""
        return {self._name(key): tensor for key, tensor in state.items()}

    def _name(self, key: str) -> str:
        for theirs, ours in self.pieces.items():
            if key.startswith(f"{theirs}."):
                return ours + key[len(theirs) :]
        return key


NAMINGS = (
    Naming("netsurgery", {}),  # torchvision's, and timm's of residual networks, too
    Naming(
        "timm",
        {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"},
    ),
    Naming("Caffe", {"fc6": "fc1", "fc7": "fc2", "fc8": "fc3"}),
    Naming(
        "torch's AlexNet in two groups, written as two sequences",
        {
            "features.0": "conv1",
            "features.4": "conv2",
            "features.8": "conv3",
            "features.10": "conv4",
            "features.12": "conv5",
            "classifier.0": "fc1",
            "classifier.3": "fc2",
            "classifier.6": "fc3",
        },
    ),
)
"""In the order in which they are tried."""

_AROUND = re.compile(r"^(?:module\.|_orig_mod\.|model\.)+")  # what DistributedDataParallel, compile and Lightning add


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors without what wrappers of the whole model have put before every key."""
    if state and all(_AROUND.match(key) for key in state):
        return {_AROUND.sub("", key): tensor for key, tensor in state.items()}
    return dict(state)
