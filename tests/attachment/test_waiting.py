"""On a graphics card an ordinary step waits for nothing: no number is read from a tensor where nothing is decided.

There needn't be one here: processors are taken for cards, and what would wait for a card is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import netsurgery as ns
from netsurgery.attachment import gradients_seen
from netsurgery.methods import (
    expansion,
    expansion_in_place,
    filters,
    masking,
    ranking,
    readings,
    selection,
    sketching,
)

READ = {"item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "__contains__"}
COPIED = {"new_tensor", "tensor", "as_tensor", "from_numpy"}  # from the processor's memory, which is waited for too
SIZED = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::bincount", "aten::equal"}
SIZED |= {"aten::_unique2", "aten::unique_dim", "aten::unique_consecutive", "aten::repeat_interleave"}
STEPS = 60


class _Dispatched(TorchDispatchMode):
    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in SIZED or (name.startswith("aten::index") and any(map(_is_mask, _flat(args[1:])))):
            self._waits.append(name)
        return func(*args, **(kwargs or {}))


class _Called(TorchFunctionMode):
    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name not in READ | COPIED:
            return func(*args, **(kwargs or {}))
        self._waits.append(name)
        with torch._C.DisableTorchFunction():  # one wait, though it is made of several calls
            return _undispatched(func, args, kwargs or {})


def _undispatched(func: Any, args: Any, kwargs: Any) -> Any:
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        return func(*args, **kwargs)


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in (torch.bool, torch.uint8)


@pytest.fixture
def _processors_are_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (expansion, filters, gradients_seen, masking, ranking, readings, selection, sketching):
        monkeypatch.setattr(module, "reads_at_once", lambda _: False)
    for module in (expansion_in_place, sketching):
        monkeypatch.setattr(module, "fits", lambda *_: False)


def waits_of(method: Any | None, unreached: bool = False) -> list[list[str]]:
    """What each step waits for. method: None trains without any."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 4)
    )
    layers = list(model)
    aside = nn.Linear(3, 3)
    if unreached:
        model.append(aside)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = None if method is None else ns.attach(model, optimizer, method)
    found = []
    for step in range(STEPS):
        x = torch.randn(8, 12, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        out = x
        for layer in layers:
            out = layer(out)
        loss = (out - x[:, :4]).square().mean() + 0 * aside.weight.sum()
        waits: list[str] = []
        with _Called(waits), _Dispatched(waits):
            loss.backward()
            optimizer.step()
        found.append(waits)
    if operation is not None:
        operation.detach()
    return found


METHODS: dict[str, tuple[Callable[[], Any], Callable[[int], bool], int]] = {
    # a method, whether something is decided at a step, and the most waits of such a step
    "surgery": (lambda: ns.Surgery(0.3, steps=1_000, ramp=0.5), lambda step: step % 5 == 0, 12),
    "naive-cut": (lambda: ns.NaiveCut(0.3), lambda _: False, 0),
    "threshold-surgery": (lambda: ns.ThresholdSurgery(c_rate=0.5, power=0.0, iter_stop=20), lambda step: step < 20, 12),
    "han-pruning": (lambda: ns.HanPruning(rounds=3, round_steps=20), lambda step: step in (20, 40), 60),
    "inq": (lambda: ns.INQ(bits=4, steps=50), lambda step: step % 10 == 0, 60),
    "sketching": (lambda: ns.Sketching(planes=2, steps=55), lambda step: step in (50, 55), 2),
    "keep-zeros": (lambda: ns.KeepZeros(), lambda _: False, 0),
}


@pytest.mark.usefixtures("_processors_are_cards")
@pytest.mark.parametrize("name", METHODS)
def test_only_steps_that_decide_something_wait(name: str) -> None:
    make, decides, most = METHODS[name]
    waits = dict(enumerate(waits_of(make()), 1))
    ordinary = {step: found for step, found in waits.items() if found and not decides(step) and step > 1}
    assert ordinary == {}
    assert max(len(found) for step, found in waits.items() if step > 1) <= most


@pytest.mark.usefixtures("_processors_are_cards")
def test_a_layer_that_no_gradient_reaches_is_looked_for_after_1_2_4_8_steps() -> None:
    waits = dict(enumerate(waits_of(ns.NaiveCut(0.5), unreached=True), 1))
    assert {step for step, found in waits.items() if found} == {1, 2, 4, 8, 16, 32}


def test_what_waits_is_counted() -> None:
    waits: list[str] = []
    with _Called(waits), _Dispatched(waits):
        x = torch.arange(4.0)
        _ = x.sum().item(), x.tolist(), bool(x.any()), x[x > 1], (x > 2).nonzero(), x.new_tensor(1.0)
    assert len(waits) == 6
    assert waits_of(None) == [[]] * STEPS
