"""The traits of the operator table are true: seen on what each operator computes, at random and by its examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case
from tests.samples.sample import Known, Numbers, Value
from tests.samples.table import SAMPLES

from netsurgery.graph.ir import GraphBuilder, node
from netsurgery.graph.operators import OPERATORS, Expected, Gives, Images, Length, Operand, Operator, Work, working
from netsurgery.graph.passes import units
from netsurgery.graph.passes.units import map_units
from netsurgery.graph.value_types import ValueType
from netsurgery.runtime.reference import run_node

Arrays = list[np.ndarray | None]


def example(name: str, seed: int = 0) -> tuple[Arrays, dict[str, Any], tuple[bool, ...]]:
    """Operands and attributes of an operator's first sample, and which operands have a batch.

    That is of one image, which depends on the seed; constants don't.
    """
    sample = SAMPLES[name].files[0]
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    operands: Arrays = []
    for place, operand in enumerate(sample.operands):
        match operand:
            case None:
                operands.append(None)
            case Known(values):
                operands.append(np.array(values))
            case Value(shape) | Numbers(shape, _):
                kind = sample.type(name, place)
                drawn = rng.standard_normal if kind is ValueType.FLOAT32 else partial(rng.integers, 0, 3)
                operands.append(drawn(size=(1, *shape)).astype(kind.dtype))
            case _:
                operands.append(fixed.standard_normal(operand.shape).astype(np.float32))
    return operands, sample.attributes, tuple(isinstance(one, Value | Numbers) for one in sample.operands)


def computed(name: str, operands: Sequence[np.ndarray | None], attributes: dict[str, Any]) -> np.ndarray:
    inputs = [None if value is None else f"x{place}" for place, value in enumerate(operands)]
    return run_node(node(name, inputs, "y", **attributes), operands)


@each_case("name", working(Work.ENTRYWISE))
def test_entrywise_operators_see_one_entry_at_a_time(name: str) -> None:
    (x,), attributes, _ = example(name)
    assert x is not None
    order = np.random.default_rng(1).permutation(x.size)
    whole = computed(name, [x], attributes).ravel()
    mixed = computed(name, [x.ravel()[order].reshape(x.shape)], attributes).ravel()
    assert np.array_equal(mixed, whole[order], equal_nan=True)


@pytest.mark.parametrize("name", working(Work.BROADCAST))
def test_broadcast_operators_see_one_entry_of_each(name: str) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((3, 1, 4)).astype(np.float32), rng.standard_normal((5, 1)).astype(np.float32)
    whole = computed(name, [a, b], {})
    apart = [computed(name, [a[i, 0, j], b[k, 0]], {}) for i in range(3) for k in range(5) for j in range(4)]
    assert np.array_equal(whole.ravel(), np.array(apart), equal_nan=True)


@pytest.mark.parametrize("name", working(Work.SPATIAL))
def test_spatial_operators_keep_channels_apart(name: str) -> None:
    """A change of one channel changes that channel alone."""
    (x, *others), attributes, _ = example(name)
    assert x is not None
    before = computed(name, [x, *others], attributes)
    changed = x.copy()
    changed[:, 0] += 1
    after = computed(name, [changed, *others], attributes)
    assert not np.array_equal(before[:, 0], after[:, 0])
    assert np.array_equal(before[:, 1:], after[:, 1:], equal_nan=True)


@pytest.mark.parametrize("name", working(Work.LAYER))
def test_layers_make_one_output_of_each_row_of_their_weights(name: str) -> None:
    operands, attributes, _ = example(name)
    x, weight, bias = operands
    assert weight is not None
    axis = 1 if name == "Conv" else -1
    before = computed(name, operands, attributes)
    changed = weight.copy()
    changed[1] *= 2
    after = computed(name, [x, changed, bias], attributes)
    same = np.moveaxis(before == after, axis, 0).reshape(len(weight), -1).all(axis=1)
    assert same.tolist() == [index != 1 for index in range(len(weight))]


MOVING = [name for name, operator in OPERATORS.items() if operator.moves]


@pytest.mark.parametrize("name", MOVING)
def test_operators_that_move_entries_change_none(name: str) -> None:
    (x,), attributes, _ = example(name)
    assert x is not None
    assert len(OPERATORS[name].operands) == 1
    assert np.isin(computed(name, [x], attributes), x).all()


KEPT_APART = [name for name, operator in OPERATORS.items() if operator.images is not Images.TOGETHER]


@each_case("name", KEPT_APART)
def test_operators_that_keep_images_apart_give_each_image_what_it_gives_alone(name: str) -> None:
    _, attributes, batched = example(name)
    images = [example(name, seed)[0] for seed in range(3)]
    stacked: Arrays = [
        np.concatenate([image[place] for image in images]) if has_batch else images[0][place]  # type: ignore[misc]
        for place, has_batch in enumerate(batched)
    ]
    together = computed(name, stacked, attributes)
    alone = [computed(name, image, attributes) for image in images]
    assert np.allclose(together, np.concatenate(alone), rtol=1e-6, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("Concat", {"axis": 0}),
        ("Softmax", {"axis": 0}),
        ("LogSoftmax", {"axis": 0}),
        ("LayerNorm", {"axis": 0}),
        ("Slice", {"axis": 0, "start": 1, "stop": 3}),
        ("Mean", {"axes": (0,)}),
        ("Transpose", {"order": (1, 0)}),
        ("Pad", {"pads": (1, 0, 0, 0)}),
    ],
)
def test_what_a_trait_excepts_does_mix_images(name: str, attributes: dict[str, Any]) -> None:
    """The conditions of APART_BEHIND_AXIS and its kin are needed: without them images meet, or change their number."""
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    operands = [x, x + 1] if name == "Concat" else [x]
    whole = computed(name, operands, attributes)
    try:
        alone = np.concatenate([computed(name, [value[i : i + 1] for value in operands], attributes) for i in range(4)])
    except (IndexError, ValueError):  # one image alone isn't taken
        return
    assert whole.shape != alone.shape or not np.allclose(whole, alone)


@each_case("name", OPERATORS)
def test_expected_lengths_are_those_of_the_example(name: str) -> None:
    """As far as the example gives all numbers; a file says others, too."""
    operands, given, _ = example(name)
    for attribute in OPERATORS[name].attributes:
        value = given.get(attribute.name)
        counted = attribute.kind in ("ints", "floats") and value and operands
        if counted and attribute.length not in (Length.ONE, Length.TWO):
            assert operands[0] is not None
            assert len(value) == attribute.length.of(operands[0].ndim)


def test_a_new_operator_has_the_safe_traits() -> None:
    new = Operator("New", 999, OPERATORS["Relu"].operands, (), OPERATORS["Relu"].shape, "Of which nothing is known.")
    assert (new.work, new.images, new.operands[0].expected) == (Work.OTHER, Images.TOGETHER, Expected.NOTHING)
    assert not new.moves
    assert (Operand("x").types, Operand("x").alike, new.gives) == ((ValueType.FLOAT32,), False, Gives.FLOAT32)


def test_an_operator_of_which_nothing_is_known_pins_the_units_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a graph with an activation, and forget what is known of it: nothing behind the layer may go."""
    builder = GraphBuilder()
    hidden = builder.node("Linear", [builder.input("x", ("batch", 3)), builder.constant(np.ones((4, 3)), "w")])
    last = builder.node("Linear", [builder.node("Tanh", [hidden]), builder.constant(np.ones((2, 4)), "v")])
    graph = builder.graph([last])
    free = map_units(graph)
    assert not free.pinned[free.channels[hidden]].any()
    monkeypatch.delitem(units._RULES, "Tanh")
    unknown = map_units(graph)
    assert unknown.pinned[unknown.channels[hidden]].all()
