"""What a record declares once is saved, checked, loaded and freed as it says."""

from __future__ import annotations

import copy
import dataclasses
import io
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netsurgery.errors import StateError
from netsurgery.methods import ALL_METHODS, fields
from netsurgery.methods.base import Layer
from netsurgery.methods.fields import Place
from netsurgery.methods.filters import norms
from netsurgery.methods.shards import Along
from netsurgery.methods.state import State


@dataclass
class Inner:
    window: int = fields.number()
    rows: dict[str, Tensor] = fields.per_some(lambda home: [Along(home.filter_dim)])
    total: Tensor | None = fields.one_tensor()


@dataclass
class Outer:
    masks: dict[str, Tensor] = fields.per_parameter(torch.bool)
    values: dict[str, Tensor] = fields.per_parameter()
    scales: dict[str, Tensor] = fields.per_filter(while_changing=True)
    means: dict[str, Tensor] = fields.per_stretch()
    counts: dict[str, int] = fields.per_parameter_number()
    powers: dict[str, tuple[int, int]] = fields.per_parameter_number(count=2)
    thresholds: dict[str, float] = fields.per_layer_number()
    inner: Inner | None = fields.nested(Inner, while_changing=True)
    draws: torch.Generator = fields.generator()
    planes: int = fields.number(3)
    of_the_moment: list[int] = field(default_factory=list)


def layers_of(dtype: torch.dtype = torch.float32) -> list[Layer]:
    weight = torch.randn(4, 3, 2, 2).to(dtype, memory_format=torch.channels_last)
    return [
        Layer("a", {"a.weight": weight, "a.bias": torch.randn(4).to(dtype)}),
        Layer("b", {"b.weight": torch.randn(5, 2).to(dtype)}, filter_dims={"b.weight": 1}),
    ]


def record(layers: list[Layer], seed: int) -> Outer:
    torch.manual_seed(seed)
    tensors = {name: tensor for layer in layers for name, tensor in layer.tensors.items()}
    made = Outer(
        masks={name: torch.rand_like(tensor, dtype=torch.float32) > 0.5 for name, tensor in tensors.items()},
        values={name: torch.randn_like(tensor) for name, tensor in tensors.items()},
        scales={"b.weight": norms(tensors["b.weight"], 1)},
        means={"a.weight:0": torch.rand(()), "a.weight:1": torch.rand(()), "a.bias:0": torch.rand(())},
        counts={name: seed % 7 + tensor.numel() for name, tensor in tensors.items()},
        powers=dict.fromkeys(tensors, (seed % 5, -3)),
        thresholds={"b": 0.25 * seed},
        inner=Inner(5, {"b.weight": torch.rand(2), "a.bias": torch.rand(4)}, torch.rand(())) if seed % 2 else None,
        of_the_moment=[1],
    )
    made.draws.manual_seed(seed)
    return made


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return left.dtype == right.dtype and left.stride() == right.stride() and torch.equal(left, right)
    if isinstance(left, torch.Generator):
        return torch.equal(left.get_state(), right.get_state())
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, name), getattr(right, name)) for name, _ in fields.kinds(type(left)))
    return type(left) is type(right) and left == right


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_what_is_loaded_from_a_file_is_what_was_saved_in_type_layout_and_bits(seed: int, dtype: torch.dtype) -> None:
    layers = layers_of(dtype)
    before, file = record(layers, seed), io.BytesIO()
    torch.save(fields.save(before, Place(None, layers)), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    place = Place(None, layers)
    fields.check(Outer, saved, "The state", place)
    after = fields.load(Outer, saved, place)
    assert same(before, after)
    assert after.of_the_moment == []


def test_neither_what_is_saved_nor_what_is_loaded_shares_memory_with_the_record() -> None:
    layers = layers_of()
    one = record(layers, 1)
    saved = fields.save(one, Place(None, layers))
    kept = copy.deepcopy(saved)
    loaded = fields.load(Outer, saved, Place(None, layers))
    for changed in (one, loaded):
        assert changed.inner is not None
        assert changed.inner.total is not None
        changed.inner.total.zero_()
        changed.values["a.bias"].zero_()
        changed.counts["a.bias"] = 99
        torch.rand(3, generator=changed.draws)
    assert same(saved, kept)


def test_only_what_is_said_to_be_needed_while_changing_is_freed() -> None:
    one = record(layers_of(), 1)
    before = copy.copy(one)
    fields.free(one)
    assert (one.scales, one.inner) == ({}, None)
    assert all(same(getattr(one, name), getattr(before, name)) for name in ("masks", "values", "counts", "thresholds"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"masks": {}}, "'masks' of the saved state lacks .'a.bias', 'a.weight', 'b.weight'"),
        ({"masks": None}, "'masks' of the saved state is a NoneType"),
        ({"scales": {"b.weight": torch.ones(5, 1)}}, r"\(5, 1\) in 'scales' for b\.weight, expected .* \(1, 2\)"),
        ({"scales": {"c.weight": torch.ones(1)}}, r"'scales' .* holds .'c\.weight'. that don't belong"),
        ({"means": {"a.weight": torch.ones(())}}, "'means' .* don't belong"),
        ({"means": {"a.weight:0": 1.0}}, r"holds 1\.0 in 'means' for a\.weight:0"),
        ({"counts": {"a.weight": 1, "a.bias": True, "b.weight": 2}}, r"True in 'counts' for a\.bias, expected a whole"),
        ({"powers": {"a.weight": (1, 2), "a.bias": (1,), "b.weight": (1, 2)}}, r"expected 2 whole numbers"),
        ({"thresholds": {"a": float("nan")}}, "nan in 'thresholds' for a, expected a finite float"),
        ({"thresholds": []}, "'thresholds' of the saved state is a list"),
        ({"inner": {"window": 1}}, "'inner' of the saved state lacks .'rows', 'total'"),
        ({"inner": {"window": 1.5, "rows": {}, "total": None}}, r"1\.5 in 'window', expected a whole number >= 1"),
        ({"inner": {"window": 1, "rows": {}, "total": torch.ones(1)}}, r"\(1,\) in 'total', expected torch\.float32"),
        ({"draws": None}, "NoneType in 'draws', expected the state of a torch.Generator"),
        ({"planes": 0}, "0 in 'planes', expected a whole number >= 1"),
        ({"more": 1}, "The state holds .'more'. that don't belong"),
    ],
)
def test_what_does_not_fit_is_refused_and_said_with_what_is_expected(change: dict[str, Any], match: str) -> None:
    layers = layers_of()
    saved = {**fields.save(record(layers, 0), Place(None, layers)), **change}
    with pytest.raises(StateError, match=match):
        fields.check(Outer, saved, "The state", Place(None, layers))


@pytest.mark.parametrize("method", ALL_METHODS.values(), ids=ALL_METHODS.keys())
def test_every_method_declares_a_state_all_of_whose_fields_are_saved_but_those_of_the_moment(method: Any) -> None:
    assert issubclass(method.state_type, State)
    declared = {name for name, _ in fields.kinds(method.state_type)}
    assert {entry.name for entry in dataclasses.fields(method.state_type)} - declared == {"projected"}
