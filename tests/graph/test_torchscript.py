"""TorchScript modules within others can't be captured, and are told from Python modules in words."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from netsurgery.errors import CaptureError  # noqa: E402
from netsurgery.graph.capture import capture  # noqa: E402
from netsurgery.runtime.reference import run_node  # noqa: E402


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_module_within_another_is_refused_with_what_to_give_instead() -> None:
    x = torch.zeros(2, 3)
    linear = nn.Linear(3, 2)
    for scripted in (torch.jit.trace(linear, x), torch.jit.script(linear)):
        with pytest.raises(CaptureError, match=r"^1 is a TorchScript module.*give the Python module"):
            capture(nn.Sequential(nn.ReLU(), scripted), run_node, x)
