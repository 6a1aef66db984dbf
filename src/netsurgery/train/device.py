"""Where a training runs, by the word that a user gives."""

from __future__ import annotations

import torch

from netsurgery.checks import require

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16", "float16")
"""Of convolutions and products while training; weights are float32 in any case."""


def device_of(name: str) -> torch.device:
    """The device of a word in DEVICES; auto is the graphics card if there is one. Raises SettingError otherwise."""
    require(name in DEVICES, "device", name, "one of " + ", ".join(DEVICES))
    present = torch.cuda.is_available()
    if name == "cuda":
        require(present, "device", name, "auto or cpu here", "torch finds no graphics card")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and present) else "cpu")


def device_name(device: torch.device) -> str:
    """What a record calls it: the graphics card's own name, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
