"""Extents: expressions of open axes, exact at every size and in one form however they were reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packed.readers import READERS, decode

from netsurgery.errors import FileLimitError, GraphError, InputError, TooSmallError
from netsurgery.graph.extents import (
    Extent,
    Number,
    at,
    axis,
    larger,
    never_equal,
    quotient,
    rounded_up,
    smaller,
)
from netsurgery.graph.ir import Graph, GraphBuilder, node
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session

NAMES = ("height", "width")
Meaning = Callable[[dict[str, int]], int]


def _made(drawn: tuple[Any, ...]) -> tuple[Number, Meaning]:
    """An extent by its own arithmetic, and the function that it has to be."""
    kind, *parts = drawn
    if kind == "axis":
        return axis(parts[0]), lambda sizes: sizes[parts[0]]
    if kind == "number":
        return parts[0], lambda _: int(parts[0])
    (one, first), (other, second) = _made(parts[0]), _made(parts[1]) if len(parts) > 1 else (0, lambda _: 0)
    if kind == "floor":
        return one // drawn[3], lambda sizes: first(sizes) // int(drawn[3])
    if kind == "remainder":
        return one % drawn[3], lambda sizes: first(sizes) % int(drawn[3])
    if kind == "up":
        return rounded_up(one, drawn[3]), lambda sizes: -(-first(sizes) // int(drawn[3]))
    binary: dict[str, tuple[Number, Meaning]] = {
        "sum": (one + other, lambda sizes: first(sizes) + second(sizes)),
        "difference": (one - other, lambda sizes: first(sizes) - second(sizes)),
        "product": (one * other, lambda sizes: first(sizes) * second(sizes)),
        "larger": (larger(one, other), lambda sizes: max(first(sizes), second(sizes))),
        "smaller": (smaller(one, other), lambda sizes: min(first(sizes), second(sizes))),
    }
    return binary[kind]


LEAVES = st.one_of(st.tuples(st.just("axis"), st.sampled_from(NAMES)), st.tuples(st.just("number"), st.integers(-6, 6)))
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(("sum", "difference", "product", "larger", "smaller")), inner, inner),
        st.tuples(st.sampled_from(("floor", "remainder", "up")), inner, inner, st.integers(1, 7)),
    ),
    max_leaves=8,
)
SIZES = st.fixed_dictionaries({name: st.integers(1, 60) for name in NAMES})


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, SIZES)
def test_an_extent_is_what_its_arithmetic_says_at_every_size(drawn: tuple[Any, ...], sizes: dict[str, int]) -> None:
    number, meaning = _made(drawn)
    assert at(number, sizes) == meaning(sizes)
    lowest = number if isinstance(number, int) else number.lowest()
    assert lowest is None or lowest <= meaning(sizes)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, SIZES)
def test_extents_that_never_are_equal_differ_everywhere(one: Any, other: Any, sizes: dict[str, int]) -> None:
    (left, first), (right, second) = _made(one), _made(other)
    if never_equal(left, right):
        assert first(sizes) != second(sizes)


HEIGHT, WIDTH = axis("height"), axis("width")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((HEIGHT - 1) // 2 + 1, rounded_up(HEIGHT, 2)),
        (((HEIGHT + 1) // 2 + 1) // 2, rounded_up(HEIGHT, 4)),
        ((4 * HEIGHT + 2) // 8, (2 * HEIGHT + 1) // 4),
        ((HEIGHT * 3) // 2, HEIGHT + HEIGHT // 2),
        (HEIGHT * WIDTH - WIDTH * HEIGHT, 0),
        (larger(HEIGHT, WIDTH), larger(WIDTH, HEIGHT)),
        (larger(HEIGHT, 1), HEIGHT),
        (smaller(HEIGHT + 5, 3), 3),
        (larger(0, -HEIGHT), 0),
        ((HEIGHT + 6) // 2 - HEIGHT // 2, 3),
        (quotient(HEIGHT * WIDTH * 12, 3 * WIDTH), 4 * HEIGHT),
        (quotient(HEIGHT + 3, HEIGHT), None),
        (quotient(7 * HEIGHT, 2), HEIGHT * 3 + HEIGHT // 2),
    ],
)
def test_what_is_equal_for_a_reason_that_exporters_use_has_one_form(one: Number | None, other: Number | None) -> None:
    assert one == other


def test_an_extent_knows_its_axes_its_period_and_what_it_is_called() -> None:
    number = larger((HEIGHT // 2 + WIDTH) // 3, 4) * HEIGHT - 1
    assert isinstance(number, Extent)
    assert set(number.axes) == {"height", "width"}
    assert number.period == 6
    renamed = number.put({"height": axis("rows")})
    assert isinstance(renamed, Extent)
    assert renamed.at({"rows": 9, "width": 20}) == number.at({"height": 9, "width": 20})
    assert str(rounded_up(HEIGHT, 2) * WIDTH - 3) == "width * floor((height + 1) / 2) - 3"


def test_an_extent_beyond_64_bits_or_divided_by_less_than_one_is_refused() -> None:
    with pytest.raises(GraphError, match="too large to be counted"):
        (HEIGHT * HEIGHT * HEIGHT).at({"height": 2**22})  # type: ignore[union-attr]
    with pytest.raises(GraphError, match="divided by numbers of at least 1"):
        HEIGHT // 0
    with pytest.raises(GraphError, match="follows the open axis 'height', of which no size"):
        HEIGHT.at({})


def test_a_number_that_can_not_be_counted_has_no_turn() -> None:
    time = axis("time")
    assert list(larger(4096 * time * time - 37 * time - 5000, 0).turns({"time": 9}, {})) == []
    assert list(smaller(time, 10).turns({"time": 2}, {})) == [("time", 11)]
    assert list(smaller(time, 10).turns({"time": 4}, {"time": 4})) == [("time", 12)]
    assert list(smaller(time, 10).turns({"time": 20}, {})) == []


def test_only_attributes_that_may_follow_axes_take_extents() -> None:
    made = node("Slice", ["x"], "y", axis=0, stop=HEIGHT)
    assert made.extents == (HEIGHT,)
    with pytest.raises(GraphError, match=r"axis=.* is not allowed"):
        node("Slice", ["x"], "y", axis=HEIGHT, stop=1)


def cut_and_flattened() -> Graph:
    """A table cut to the length of x, its last entry, half of it, and x in rows: attributes that follow two axes."""
    builder = GraphBuilder()
    x, batch, time = builder.input("x", ("batch", "time", 6)), axis("batch"), axis("time")
    table = builder.constant(np.arange(23 * 6).reshape(23, 6))
    y = builder.node("Add", [x, builder.node("Slice", [table], axis=0, start=0, stop=time)])
    last = builder.node("Slice", [y], axis=1, start=time - 1, stop=time)
    half = builder.node("Slice", [y], axis=1, start=0, stop=rounded_up(time, 2))
    rows = builder.node("Reshape", [y], shape=(batch * time * 2, 3))
    padded = builder.node("Pad", [y], pads=(0, 0, 0, 0, 4 - time % 4, 0))
    return builder.graph([last, half, rows, padded])


@pytest.mark.parametrize("names", [False, True])
def test_a_file_keeps_extents_in_both_coders(names: bool) -> None:
    content = encode(cut_and_flattened(), names=names)
    for coder in READERS:
        graph = decode(content, coder=coder).graph  # type: ignore[arg-type]
        assert encode(graph, names=names) == content
        found = [extent for made in graph.nodes for extent in made.extents]
        renamed = dict(zip(graph.axes, (axis("batch"), axis("time")), strict=True))
        assert {extent.put(renamed) for extent in found} == {
            extent for made in cut_and_flattened().nodes for extent in made.extents
        }


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 23))
def test_the_engine_fills_extents_in_as_the_reference_does(batch: int, time: int) -> None:
    content = encode(cut_and_flattened())
    given_ = np.random.default_rng(time).standard_normal((batch, time, 6)).astype(np.float32)
    native, reference = (Session(content, engine=engine)(given_) for engine in ("native", "reference"))  # type: ignore[arg-type]
    shapes = [(batch, 1, 6), (batch, -(-time // 2), 6), (batch * time * 2, 3), (batch, time + 4 - time % 4, 6)]
    assert [array.shape for array in native] == shapes
    for one, other in zip(native, reference, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("batch", [1, 2, 5, 17, 40])
def test_what_counts_along_the_batch_is_not_cut_into_parts_of_it(batch: int) -> None:
    builder = GraphBuilder()
    x, zero = builder.input("x", ("batch", 3)), builder.constant(0.0)
    counted = builder.node("Range", [zero], count=axis("batch"))
    graph = builder.graph([builder.node("Add", [x, builder.node("Reshape", [counted], shape=(-1, 1))])])
    given_ = np.random.default_rng(0).standard_normal((batch, 3)).astype(np.float32)
    wanted = given_ + np.arange(batch, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(Session(encode(graph), threads=1)(given_), wanted)


@pytest.mark.parametrize("batch", [1, 2, 5, 17])
def test_a_table_that_all_images_share_is_the_same_in_every_part_of_a_batch(batch: int) -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", "time", 4))
    table = builder.constant(np.arange(36).reshape(9, 4))
    places = builder.node("Slice", [table], axis=0, stop=axis("time"))
    spread = builder.node("Expand", [places], shape=(axis("batch"), 1, 1))
    graph = builder.graph([builder.node("Add", [builder.node("Add", [x, places]), spread])])
    given_ = np.zeros((batch, 7, 4), np.float32)
    wanted = np.broadcast_to(2 * np.arange(28, dtype=np.float32).reshape(7, 4), given_.shape)
    np.testing.assert_array_equal(Session(encode(graph), threads=1)(given_), wanted)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_table_that_ends_ends_what_an_axis_may_be(engine: Any) -> None:
    network = Session(encode(cut_and_flattened()), engine=engine)
    with pytest.raises(InputError, match=r"can't run at batch 1, .* 24: .*stop=24 must lie inside axis 0"):
        network(np.zeros((1, 24, 6), np.float32))


def test_tables_are_short_and_strides_are_long_and_the_graph_is_checked_all_the_same() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("time", 2))
    table = builder.node("Slice", [builder.constant(np.ones((5, 2)))], axis=0, stop=axis("time"))
    graph = builder.graph([builder.node("Add", [x, table])])
    assert [sizes["time"] for sizes in graph.tried_sizes()] == [1, 2, 4]
    short = GraphBuilder()
    x = short.input("x", ("time", 2))
    table = short.node("Slice", [short.constant(np.ones((2, 2)))], axis=0, stop=axis("time"))
    graph = short.graph([short.node("Add", [x, table])])
    assert [sizes["time"] for sizes in graph.tried_sizes()] == [1, 2, 2]


def test_an_extent_asks_for_the_size_from_which_on_it_is_enough() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("time", 2))
    graph = builder.graph([builder.node("Slice", [x], axis=0, start=0, stop=axis("time") - 3)])
    assert graph.least == {"time": 4}
    with pytest.raises(TooSmallError, match="stop is 0; at least 1 is needed"):
        graph.shapes({"time": 3})


def test_a_mistake_about_an_extent_is_found_at_other_sizes() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("time", 4))
    with pytest.raises(GraphError, match="don't fill shape"):
        builder.graph([builder.node("Reshape", [x], shape=(axis("time") * 2 - 1, 4))])


def test_what_no_reader_would_take_is_not_written() -> None:
    number = sum(axis("time") // divisor for divisor in range(2, 40))
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Pad", [builder.input("x", ("time",))], pads=(number, 0))])
    with pytest.raises(FileLimitError, match=r"too long a number for an .nsm file"):
        encode(graph)


def test_pads_of_strides_are_seen_to_be_no_less_than_nothing() -> None:
    """Behind each other as in a network: else each would be a maximum of those before it."""
    size: Number = axis("w")
    for kernel in (3, 5, 3):
        pad = 2 * ((size + 1) // 2 - 1) + kernel - size
        assert isinstance(pad, Extent)
        assert pad.lowest() == kernel - 2 == min(pad.at({"w": one}) for one in range(1, 50))
        assert larger(pad, 0) == pad
        size = (size + 1) // 2
    turned = larger(3 * ((axis("w") + 2) // 3 - 1) + 2 - axis("w"), 0)
    assert isinstance(turned, Extent)
    assert turned.lowest() == 0
