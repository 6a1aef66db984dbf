"""Linear layers on any number of axes, layer normalisation and attention, on tokens as lanes, give what the reference
gives: any numbers of tokens, heads, batches and threads, and every instruction set."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.each_case import each_case
from tests.engine.test_lanes import sets, threads

from netsurgery import _native
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session
from netsurgery.timing.instruction_sets import instructions

TOLERANCE = 3e-6
"""Of the largest output. Sums of some hundred products in another order, in at most four layers, each within 1e-6."""

tokens = st.sampled_from([1, 3, 8, 15, 16, 17, 40, 197, 270])
batches = st.sampled_from([1, 2, 3])
densities = st.sampled_from([0.0, 0.1, 1.0])


class Made:
    """A graph of tokens (n, T, width), with numbers at random."""

    def __init__(self, tokens: int, width: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.builder = GraphBuilder()
        self.tokens, self.width = tokens, width
        self.x = self.builder.input("x", ("batch", tokens, width))

    def linear(self, x: str, inputs: int, outputs: int, density: float = 1.0) -> str:
        weight = self.random.standard_normal((outputs, inputs)).astype(np.float32) / math.sqrt(inputs)
        weight = np.where(self.random.random(weight.shape) < density, weight, np.float32(0))  # +0: none is kept
        bias = self.random.standard_normal(outputs).astype(np.float32)
        return self.builder.node("Linear", [x, self.builder.constant(weight), self.builder.constant(bias)])

    def norm(self, x: str) -> str:
        scale, bias = self.random.standard_normal((2, self.width)).astype(np.float32)
        operands = [x, self.builder.constant(scale), self.builder.constant(bias)]
        return self.builder.node("LayerNorm", operands, axis=2, epsilon=1e-5)

    def heads(self, x: str, heads: int) -> str:
        shape = (-1, self.tokens, heads, self.width // heads)
        split = self.builder.node("Reshape", [x], shape=shape)
        return self.builder.node("Transpose", [split], order=(0, 2, 1, 3))

    def attention(
        self,
        x: str,
        heads: int,
        *,
        scale: float | None = None,
        mask: Array | None = None,
        scales_query: bool = False,
        masked: Callable[[str], str] | None = None,
        behind: Callable[[str], str] | None = None,
    ) -> str:
        """Spelt out, as exporters do."""
        query, key, value = (self.heads(self.linear(x, self.width, self.width), heads) for _ in range(3))
        factor = None if scale is None else self.builder.constant(np.float32(scale))
        if factor and scales_query:
            query = self.builder.node("Mul", [query, factor])
        turned = self.builder.node("Transpose", [key], order=(0, 1, 3, 2))
        scores = self.builder.node("MatMul", [query, turned])
        if factor and not scales_query:
            scores = self.builder.node("Mul", [scores, factor])
        if mask is not None:
            scores = self.builder.node("Add", [scores, self.builder.constant(mask)])
        if masked is not None:
            scores = masked(scores)
        shares = self.builder.node("Softmax", [scores], axis=3)
        seen = self.builder.node("MatMul", [shares, value])
        if behind is not None:
            seen = behind(seen)
        seen = self.builder.node("Transpose", [seen], order=(0, 2, 1, 3))
        return self.builder.node("Reshape", [seen], shape=(-1, self.tokens, self.width))

    def graph(self, output: str) -> Graph:
        return self.builder.graph([output])


def given_to(made: Made, batch: int) -> Array:
    return made.random.standard_normal((batch, made.tokens, made.width)).astype(np.float32)


def assert_as_the_reference(graph: Graph, x: Array, count: int = 1) -> Session:
    content = encode(graph)
    session, wanted = Session(content, count), Session(content, engine="reference")(x)
    got = session(x)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())
    return session


def kinds_of(session: Session, x: Array) -> list[str]:
    return [kind for _, kind, _, _ in session.profile(x)]


@settings(max_examples=60, deadline=None)
@given(count=tokens, batch=batches, density=densities, name=sets, workers=threads)
def test_layers_between_tokens_give_what_the_reference_gives(
    count: int, batch: int, density: float, name: str, workers: int
) -> None:
    made = Made(count, 40)
    inner = made.builder.node("Gelu", [made.linear(made.norm(made.x), 40, 75, density)])
    summed = made.builder.node("Add", [made.x, made.linear(inner, 75, 40, density)])
    graph = made.graph(made.builder.node("Relu", [made.linear(made.norm(summed), 40, 40, density)]))
    with instructions(name):
        assert_as_the_reference(graph, given_to(made, batch), workers)


@settings(max_examples=60, deadline=None)
@given(
    count=tokens,
    batch=batches,
    heads=st.sampled_from([1, 3, 4]),
    scale=st.sampled_from([None, 0.3, -0.5]),
    scales_query=st.booleans(),
    name=sets,
    workers=threads,
)
def test_attention_gives_what_the_reference_gives(
    count: int, batch: int, heads: int, scale: float | None, scales_query: bool, name: str, workers: int
) -> None:
    made = Made(count, 36)
    seen = made.attention(made.x, heads, scale=scale, scales_query=scales_query)
    graph = made.graph(made.linear(seen, 36, 36))
    with instructions(name):
        assert_as_the_reference(graph, given_to(made, batch), workers)


@pytest.mark.parametrize("shape", [(20, 20), (1, 1, 20), (4, 20, 20), (1, 1, 20, 20), (1, 4, 1, 20)])
def test_masks_of_any_shape_are_added_to_scores(shape: tuple[int, ...]) -> None:
    made = Made(20, 32)
    mask = np.where(made.random.random(shape) < 0.3, -1e9, 0.0).astype(np.float32)
    mask[..., 0] = 0.5  # each query sees a key
    graph = made.graph(made.attention(made.x, 4, scale=0.35, mask=mask))
    session = assert_as_the_reference(graph, given_to(made, 1))
    assert kinds_of(session, given_to(made, 1)).count("attention") == 1


@each_case("name", _native.available_instructions())
@each_case("operator", ["LayerNorm", "RmsNorm"])
@each_case(("size", "offset"), [(1.0, 0.0), (1.0, 300.0), (1e-3, 1.0), (1e25, 0.0), (1e-25, 0.0), (1e25, -1e26)])
@each_case("count", [20, 150])
def test_norms_of_tokens_hold_whatever_the_size_of_numbers_and_their_mean(
    count: int, size: float, offset: float, operator: str, name: str
) -> None:
    made = Made(count, 36)
    identity = made.builder.constant(np.eye(36))
    x = made.builder.node("Linear", [made.x, identity])  # so that the norm finds tokens
    scale, *bias = (
        made.builder.constant(made.random.standard_normal(36)) for _ in range(1 + (operator == "LayerNorm"))
    )
    normal = made.builder.node(operator, [x, scale, *bias], axis=2, epsilon=1e-12 if size >= 1 else 0.0)
    graph = made.graph(made.builder.node("Linear", [normal, identity]))
    x = (given_to(made, 2) * size + offset).astype(np.float32)
    with instructions(name):
        session = Session(encode(graph), 1)
        assert kinds_of(session, x[:1]).count("normalisation") == 1
        np.testing.assert_allclose(session(x), Session(encode(graph), engine="reference")(x), rtol=2e-6, atol=2e-6)


def hides(made: Made, scores: str, hidden: Array, where: bool, fill: float) -> str:
    """The scores, `fill` in the place of those that are hidden: as Where has it one way or the other."""
    condition = made.builder.integers(hidden if where else ~hidden, ValueType.BOOL)
    number = made.builder.constant(np.float32(fill))
    return made.builder.node("Where", [condition, *([number, scores] if where else [scores, number])])


@pytest.mark.parametrize("where", [True, False])
@pytest.mark.parametrize("fill", [float(np.finfo(np.float32).min), -1e4])
@pytest.mark.parametrize("shape", [(20, 20), (1, 1, 1, 20), (1, 4, 20, 20), (1, 1, 20, 1)])
def test_scores_that_another_number_stands_for_are_those_of_the_reference(
    shape: tuple[int, ...], fill: float, where: bool
) -> None:
    made = Made(20, 32)
    hidden = made.random.random(shape) < 0.4
    hidden[..., hidden.shape[-2] // 2, :] |= shape == (20, 20)  # a query that sees nothing sees all alike
    graph = made.graph(made.attention(made.x, 4, scale=0.35, masked=lambda x: hides(made, x, hidden, where, fill)))
    session = assert_as_the_reference(graph, given_to(made, 2))
    assert kinds_of(session, given_to(made, 1)).count("attention") == 1


@pytest.mark.parametrize("name", _native.available_instructions())
@pytest.mark.parametrize("count", [20, 300])
def test_scores_are_multiplied_added_to_and_hidden_in_the_order_of_the_graph(count: int, name: str) -> None:
    made = Made(count, 32)
    factors, terms = made.random.standard_normal((2, 1, 4, count, count)).astype(np.float32)
    hidden = np.triu(np.ones((count, count), bool), 1)

    def masked(scores: str) -> str:
        scores = made.builder.node("Mul", [made.builder.constant(factors), scores])
        if count < 100:  # more whole numbers have no room in a graph
            scores = hides(made, scores, hidden, True, -1e4)
        return made.builder.node("Add", [scores, made.builder.constant(terms)])

    graph = made.graph(made.attention(made.x, 4, scale=0.35, masked=masked))
    with instructions(name):
        session = assert_as_the_reference(graph, given_to(made, 2), 2)
        assert kinds_of(session, given_to(made, 1)).count("attention") == 1


def test_a_factor_behind_a_mask_is_the_masks_too() -> None:
    made = Made(20, 32)
    mask = made.random.standard_normal((20, 20)).astype(np.float32)

    def masked(scores: str) -> str:
        added = made.builder.node("Add", [scores, made.builder.constant(mask)])
        return made.builder.node("Mul", [added, made.builder.constant(0.25)])

    assert_as_the_reference(made.graph(made.attention(made.x, 4, masked=masked)), given_to(made, 2))


@pytest.mark.parametrize("name", _native.available_instructions())
@pytest.mark.parametrize("shape", [(1, 1, 70, 1), (1, 4, 70, 1), (4, 70, 1), (70, 1), (1, 4, 1, 1), (1,)])
def test_what_each_query_sees_may_have_a_factor(shape: tuple[int, ...], name: str) -> None:
    """As torch writes attention with a mask: a query that sees nothing has 0."""
    made = Made(70, 32)
    factors = made.random.standard_normal(shape).astype(np.float32)
    factors.reshape(-1)[:3] = 0

    def behind(seen: str) -> str:
        return made.builder.node("Mul", [seen, made.builder.constant(factors)])

    graph = made.graph(made.linear(made.attention(made.x, 4, scale=0.35, behind=behind), 32, 32))
    with instructions(name):
        for workers in (1, 2):
            session = assert_as_the_reference(graph, given_to(made, 3), workers)
        made_of = kinds_of(session, given_to(made, 1))
    assert made_of.count("attention") == 1
    assert "plain" not in made_of


def test_queries_that_a_mask_leaves_nothing_see_nothing() -> None:
    """The mask is an input: padding of the batch, whose factor is found from it."""
    made = Made(24, 32)
    kept = made.builder.input("kept", ("batch", 1, 1, 24))
    above = made.builder.node("Greater", [kept, made.builder.constant(np.float32(0))])
    fill, zero = (made.builder.constant(np.float32(one)) for one in (np.finfo(np.float32).min, 0))
    mask = made.builder.node("Where", [above, zero, fill])
    some = made.builder.node(
        "ReduceMax", [made.builder.node("Cast", [above], type="float32")], axes=(3,), keepdims=True
    )

    def behind(seen: str) -> str:
        return made.builder.node("Mul", [some, seen])

    def masked(scores: str) -> str:
        return made.builder.node("Add", [scores, mask])

    content = encode(made.graph(made.attention(made.x, 4, scale=0.35, masked=masked, behind=behind)))
    x, padding = given_to(made, 3), np.ones((3, 1, 1, 24), np.float32)
    padding[1, ..., 10:] = 0
    padding[2] = 0
    for workers in (1, 2):
        session = Session(content, workers)
        got, wanted = session(x, padding), Session(content, engine="reference")(x, padding)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())
        assert np.all(got[2] == 0)
    assert [kind for _, kind, _, _ in session.profile(x[:1], padding[:1])].count("attention") == 1


def test_a_factor_that_is_found_from_what_is_seen_comes_in_its_turn() -> None:
    def of_itself(made: Made, seen: str) -> str:
        return made.builder.node("ReduceMax", [seen], axes=(3,), keepdims=True)

    def of_inputs(made: Made, _: str) -> str:
        factor = made.builder.node("ReduceMax", [made.x], axes=(2,), keepdims=True)
        return made.builder.node("Reshape", [factor], shape=(-1, 1, 24, 1))

    for factor in (of_itself, of_inputs):
        made = Made(24, 32)

        def behind(seen: str, made: Made = made, factor: Callable[[Made, str], str] = factor) -> str:
            return made.builder.node("Mul", [seen, factor(made, seen)])

        assert_as_the_reference(made.graph(made.attention(made.x, 4, scale=0.35, behind=behind)), given_to(made, 2))


def test_heads_that_arithmetic_has_worked_on_are_attended_to_where_they_lie() -> None:
    made = Made(24, 32)
    query, key, value = (made.heads(made.linear(made.x, 32, 32), 4) for _ in range(3))
    turned = made.builder.constant(made.random.standard_normal((24, 8)).astype(np.float32))
    query, key = (made.builder.node("Mul", [x, turned]) for x in (query, key))
    scores = made.builder.node("MatMul", [query, made.builder.node("Transpose", [key], order=(0, 1, 3, 2))])
    seen = made.builder.node("MatMul", [made.builder.node("Softmax", [scores], axis=3), value])
    joined = made.builder.node("Transpose", [seen], order=(0, 2, 1, 3))
    graph = made.graph(made.builder.node("Reshape", [joined], shape=(-1, 24, 32)))
    session = assert_as_the_reference(graph, given_to(made, 2))
    assert kinds_of(session, given_to(made, 1)).count("attention") == 1


@pytest.mark.parametrize("scales_query", [False, True])
def test_attention_is_one_step_and_its_transposes_are_none(scales_query: bool) -> None:
    made = Made(24, 32)
    session = Session(encode(made.graph(made.attention(made.x, 4, scale=0.35, scales_query=scales_query))), 1)
    kinds = kinds_of(session, given_to(made, 1))
    assert kinds == ["gather", *["dense tokens"] * 3, "attention", "scatter"]


def test_channels_of_tokens_are_joined_where_they_lie() -> None:
    made = Made(24, 32)
    parts = [made.linear(made.x, 32, channels) for channels in (7, 16, 9)]
    joined = made.builder.node("Concat", parts, axis=2)
    session = assert_as_the_reference(made.graph(made.linear(joined, 32, 20)), given_to(made, 2))
    assert kinds_of(session, given_to(made, 1)) == [
        "gather",
        *["dense tokens"] * 3,
        "plain on lanes",
        "dense tokens",
        "scatter",
    ]


def test_what_else_reads_scores_still_finds_them() -> None:
    made = Made(24, 32)
    query, key = (made.heads(made.linear(made.x, 32, 32), 4) for _ in range(2))
    turned = made.builder.node("Transpose", [key], order=(0, 1, 3, 2))
    shares = made.builder.node("Softmax", [made.builder.node("MatMul", [query, turned])], axis=3)
    value = made.heads(made.linear(made.x, 32, 32), 4)
    seen = made.builder.node("MatMul", [shares, value])
    graph = made.builder.graph([seen, shares])
    content, x = encode(graph), given_to(made, 2)
    for got, wanted in zip(Session(content, 1)(x), Session(content, engine="reference")(x), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE * np.abs(wanted).max())


def test_a_nan_reaches_the_outputs_of_its_image_alone() -> None:
    made = Made(20, 32)
    graph, x = made.graph(made.attention(made.norm(made.x), 4, scale=0.35)), given_to(made, 2)
    x[1, 7, 3] = math.nan
    got = Session(encode(graph), 1)(x)
    assert np.isfinite(got[0]).all()
    assert np.isnan(got[1]).all()


@pytest.mark.parametrize("name", ["sparse tokens", "dense tokens"])
def test_a_nan_stays_with_its_token(name: str) -> None:
    made = Made(20, 64)
    density = 0.1 if name == "sparse tokens" else 1.0
    graph, x = made.graph(made.linear(made.x, 64, 30, density)), given_to(made, 1)
    x[0, 7] = math.nan
    session = Session(encode(graph), 1)
    assert name in kinds_of(session, x)
    np.testing.assert_array_equal(np.isnan(session(x)).any(axis=2)[0], np.arange(20) == 7)


@settings(max_examples=20, deadline=None)
@given(count=tokens, name=sets, workers=threads)
def test_any_number_of_threads_gives_the_same_bits(count: int, name: str, workers: int) -> None:
    made = Made(count, 64)
    seen = made.linear(made.attention(made.norm(made.x), 4, scale=0.25), 64, 64, 0.1)
    content, x = encode(made.graph(made.builder.node("Add", [made.x, seen]))), given_to(made, 2)
    with instructions(name):
        assert Session(content, workers)(x).tobytes() == Session(content, 1)(x).tobytes()


@pytest.mark.parametrize("workers", [2, 4, 7, 16])
@pytest.mark.parametrize("width", [16, 48])
def test_a_batch_of_tokens_is_cut_the_same_for_any_number_of_threads(width: int, workers: int) -> None:
    """A mean of tokens and a layer behind it sum up in another order where other images share a part."""
    made = Made(160, width)
    seen = made.linear(made.builder.node("Gelu", [made.linear(made.x, width, 4 * width, 1)]), 4 * width, width, 1)
    seen = made.builder.node("Mean", [made.builder.node("Add", [made.x, seen])], axes=(1,), keepdims=False)
    graph = made.graph(made.linear(seen, width, 10, 1))
    content, x = encode(graph), given_to(made, 8)
    alone, together = Session(content, 1), Session(content, workers)
    assert together(x).tobytes() == alone(x).tobytes()
    assert kinds_of(together, x) == kinds_of(alone, x)
