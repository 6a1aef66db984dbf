"""Low-rank adapters are refused by name: cutting them makes nothing small."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import AdapterError
from netsurgery.layers.adapters import adapter_words
from netsurgery.layers.selecting import select
from netsurgery.plan import Plan
from netsurgery.stage import Stage

CUT = ns.NaiveCut(density=0.5)


class WithDictionaries(nn.Module):
    """A base layer with adapters in dictionaries by name, as peft has them."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.base_layer = nn.Linear(width, width).requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(width, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, width, bias=False)})
        self.lora_embedding_A = nn.ParameterDict({"default": nn.Parameter(torch.zeros(rank, width))})

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.lora_B["default"](self.lora_A["default"](x))


class WithParameters(nn.Linear):
    """A linear layer that holds its adapters itself, as loralib's."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__(inputs, outputs)
        self.lora_A = nn.Parameter(torch.zeros(rank, inputs))
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))
        self.weight.requires_grad_(False)


class Unnamed(nn.Module):
    """An adapter that no name tells of: a small pair beside a frozen weight."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.frozen = nn.Linear(inputs, outputs).requires_grad_(False)
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)


def network(adapted: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), adapted, nn.Linear(8, 3))


ADAPTED = {
    "dictionaries": (lambda: WithDictionaries(8, 2), "1.lora_A.default", "*lora*"),
    "parameters": (lambda: WithParameters(8, 8, 2), "1.lora_A", "1.lora_?"),
    "unnamed": (lambda: Unnamed(8, 8, 2), "1.down", "*.down"),
}


@pytest.mark.parametrize(("make", "name", "pattern"), ADAPTED.values(), ids=ADAPTED.keys())
@pytest.mark.parametrize("layers", [("*",), ("1.*", "2"), ("1*", "0")])
def test_adapters_that_no_pattern_names_are_refused_and_nothing_is_touched(make, name, pattern, layers) -> None:  # type: ignore[no-untyped-def]
    model = network(make())
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with pytest.raises(AdapterError, match=rf"{name}.*merge_and_unload.*skip=\('\*"):
        ns.attach(model, optimizer, Stage(method=CUT, layers=layers))
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(("make", "name", "pattern"), ADAPTED.values(), ids=ADAPTED.keys())
def test_adapters_are_operated_on_where_a_pattern_names_them(make, name, pattern) -> None:  # type: ignore[no-untyped-def]
    for named in (name, pattern):
        (layers,) = select(network(make()), Plan.of(Stage(method=CUT, layers=(named,)))).stages
        assert name in {layer.name for layer in layers}
        assert not {"0", "2"} & {layer.name for layer in layers}


def test_the_skip_that_the_message_advises_leaves_adapters_out() -> None:
    model = network(WithDictionaries(8, 2))
    stage = Stage(method=CUT, skip=("*lora_A*", "*lora_B*", "*lora_embedding_A*"))
    (layers,) = select(model, Plan.of(stage)).stages
    assert [layer.name for layer in layers] == ["0", "2"]


def test_frozen_adapters_are_left_alone_as_frozen() -> None:
    model = network(WithDictionaries(8, 2))
    model[1].requires_grad_(False)
    assert [layer.name for layer in select(model, Plan.of(CUT)).stages[0]] == ["0", "2"]


def test_neighbours_of_a_frozen_layer_in_a_row_are_not_adapters() -> None:
    model = nn.Sequential(nn.Linear(8, 8).requires_grad_(False), nn.Linear(8, 2), nn.Linear(2, 8))
    assert adapter_words(model) == {}


def test_layers_as_wide_as_the_frozen_one_are_not_adapters() -> None:
    model = Unnamed(8, 8, 8)
    assert adapter_words(model) == {}
    model.frozen.requires_grad_(True)
    assert adapter_words(Unnamed(8, 6, 2)) == {"down.weight": "down", "up.weight": "up"}
    assert adapter_words(model) == {}


class HalfFrozen(nn.Module):
    """An autoencoder whose first layer is frozen: nothing is added to it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 32).requires_grad_(False)
        self.second = nn.Linear(32, 10)
        self.back = nn.Linear(10, 64)


def test_layers_behind_a_frozen_one_are_not_its_adapters() -> None:
    assert adapter_words(HalfFrozen()) == {}


def test_a_bottleneck_that_is_taken_for_an_adapter_is_operated_on_where_it_is_named() -> None:
    model = network(Unnamed(8, 8, 2))
    with pytest.raises(AdapterError, match=r"look like.*If they aren't adapters, name them in layers"):
        select(model, Plan.of(CUT))
    (layers,) = select(model, Plan.of(Stage(method=CUT, layers=("*", "*.down", "*.up")))).stages
    assert {"1.down", "1.up"} <= {layer.name for layer in layers}
