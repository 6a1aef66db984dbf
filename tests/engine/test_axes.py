"""The engine along open axes: any sizes, in any order, what it keeps of them, and whole numbers looked up in tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.each_case import each_case
from tests.packed.graphs import all_graphs, multiples, open_axes, random_inputs, words

from netsurgery.errors import InputError, SettingError
from netsurgery.graph.ir import Array, Graph, GraphBuilder, Input
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.reader import decode
from netsurgery.packed.writer import encode
from netsurgery.runtime.reference import run
from netsurgery.runtime.session import Engine, Session

ENGINES: tuple[Engine, ...] = ("native", "reference")


def outputs_of(session: Session, inputs: dict[str, Array]) -> list[Array]:
    return list(session.run(inputs).values())


def assert_as_the_reference(session: Session, graph: Graph, sizes: dict[str, int]) -> None:
    inputs = random_inputs(graph, sizes)
    given = {mine.name: inputs[theirs.name] for mine, theirs in zip(session.inputs, graph.inputs, strict=True)}
    for one, other in zip(outputs_of(session, given), run(graph, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


SESSIONS = {name: Session(encode(make()), threads=2) for name, make in (("axes", open_axes), ("words", words))}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(["axes", "words"]))
def test_any_sizes_give_what_the_reference_gives_one_after_another(data: st.DataObject, name: str) -> None:
    graph = {"axes": open_axes, "words": words}[name]()
    sizes = {axis: data.draw(st.integers(least, least + 20)) for axis, least in graph.least.items()}
    assert_as_the_reference(SESSIONS[name], graph, sizes)


def test_plans_that_were_forgotten_are_made_again() -> None:
    """More sizes than a session keeps plans for, and the first ones again."""
    graph = words()
    session = Session(encode(graph), threads=1)
    for time in (*range(1, 40), *range(1, 40, 7)):
        assert_as_the_reference(session, graph, {"batch": 5, "time": time})


def test_more_sizes_than_are_kept_are_all_run() -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Abs", [builder.input("x", ("rows", "columns"))])])
    session = Session(encode(graph), threads=1)
    for rows in range(1, 41):
        for columns in range(1, 41):
            given = np.full((rows, columns), -1.0, np.float32)
            assert session(given).shape == given.shape  # type: ignore[union-attr]
    np.testing.assert_array_equal(session(np.full((1, 1), -2.0, np.float32)), [[2.0]])


@pytest.mark.parametrize("engine", ENGINES)
def test_sizes_that_the_network_can_not_have_are_refused_by_axis(engine: Engine) -> None:
    graph = open_axes()
    session = Session(encode(graph, names=True), engine=engine)
    inputs = random_inputs(graph, {**graph.least, "height": 1})
    reason = r"can't run at .*height 1[^:]*: height is 1: it must be at least 2\. \(.*a window of 3 doesn't fit"
    with pytest.raises(InputError, match=reason):
        session.run(inputs)
    if engine == "native":
        with pytest.raises(InputError, match=reason):
            session.prepare(**{**graph.least, "height": 1})
    assert session.run(random_inputs(graph, graph.least))


@pytest.mark.parametrize("engine", ENGINES)
def test_sizes_of_one_axis_are_the_same_in_all_inputs(engine: Engine) -> None:
    graph = open_axes()
    session = Session(encode(graph, names=True), engine=engine)
    inputs = random_inputs(graph, graph.least)
    inputs["picture"] = np.concatenate([inputs["picture"]] * 2)
    with pytest.raises(
        InputError, match="input 'picture' has size 2 in place 0, where axis 'batch' is; elsewhere that is 1"
    ):
        session.run(inputs)


def test_preparing_takes_a_size_for_each_axis() -> None:
    session = Session(encode(words()))
    session.prepare(batch=3, time=np.int64(4))
    for sizes, message in (
        ({"batch": 3}, "sizes='batch' is not allowed: sizes must be one for each open axis: batch, time"),
        ({"batch": 3, "time": 1, "more": 2}, "sizes='batch, time, more' is not allowed"),
        ({"batch": 3, "time": 0}, "time=0 is not allowed: time must be a whole number in 1"),
    ):
        with pytest.raises(SettingError, match=message):
            session.prepare(**sizes)


def test_a_batch_is_cut_along_its_own_axis_whatever_the_others_are() -> None:
    """Bits don't depend on where images are cut, so a batch gives what its images give alone."""
    session, graph = SESSIONS["words"], words()
    ids = random_inputs(graph, {"batch": 33, "time": 7})["ids"]
    together: Any = session(ids)
    alone = np.concatenate([session(ids[n : n + 1]) for n in range(len(ids))])
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)


def put_into_the_first_image(builder: GraphBuilder, x: str) -> str:
    places = builder.node("Integers", [], type=str(ValueType.INT64), shape=(1, 1, 2), values=(2, 0))
    updates = builder.constant(np.array([[[7, 8]]], np.float32))
    return builder.node("ScatterElements", [x, places, updates], axis=2)


@pytest.mark.parametrize(
    "mix",
    [
        lambda builder, x: builder.node(
            "Transpose", [builder.node("Transpose", [x], order=(1, 0, 2))], order=(1, 0, 2)
        ),
        lambda builder, x: builder.node("Sub", [x, builder.node("Mean", [x], axes=(0,))]),
        lambda builder, x: builder.node("Softmax", [x], axis=0),
        lambda builder, x: builder.node("Reshape", [builder.node("Reshape", [x], shape=(-1, 3))], shape=(-1, 1, 3)),
        put_into_the_first_image,
    ],
)
def test_what_mixes_images_is_run_as_a_whole(mix: Callable[[GraphBuilder, str], str]) -> None:
    builder = GraphBuilder()
    graph = builder.graph([mix(builder, builder.input("x", ("batch", "time", 3)))])
    session = Session(encode(graph), threads=2)
    for batch, time in ((1, 1), (2, 3), (3, 2), (33, 5), (16, 1)):
        assert_as_the_reference(session, graph, {"batch": batch, "time": time})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [ValueType.INT32, ValueType.INT64])
def test_numbers_beyond_the_table_are_refused_with_their_place(kind: ValueType, engine: Engine) -> None:
    session = Session(encode(looked_up(kind)), engine=engine)
    given = np.zeros((2, 3), kind.dtype)
    given[0, 1] = -4
    assert session(given).shape == (2, 3, 2)  # type: ignore[union-attr]
    for number in (4, -5, np.iinfo(kind.dtype).min, np.iinfo(kind.dtype).max):
        given[1, 2] = number
        with pytest.raises(
            InputError, match=rf"{number} at place \(1, 2\) is none of the table's 4 rows: 0 to 3 are, or -4"
        ):
            session(given)


def looked_up(kind: ValueType = ValueType.INT64) -> Graph:
    builder = GraphBuilder()
    table = builder.constant(np.arange(8).reshape(4, 2))
    return builder.graph([builder.node("Embedding", [builder.input("ids", ("batch", "time"), kind), table])])


@pytest.mark.parametrize("engine", ENGINES)
def test_negative_numbers_count_from_the_end(engine: Engine) -> None:
    found: Any = Session(encode(looked_up()), engine=engine)(np.array([[0, -1, 3, -4]]))
    assert found.tolist() == [[[0, 1], [6, 7], [6, 7], [0, 1]]]


@pytest.mark.parametrize("engine", ENGINES)
def test_whole_numbers_are_taken_from_types_that_fit_and_from_no_others(engine: Engine) -> None:
    narrow, wide = (Session(encode(looked_up(kind)), engine=engine) for kind in (ValueType.INT32, ValueType.INT64))
    for kind in (np.int8, np.uint8, np.int16, np.int32):
        np.testing.assert_array_equal(narrow(np.ones((1, 2), kind)), wide(np.ones((1, 2), kind)))
    np.testing.assert_array_equal(wide([[1, 2]]), wide(np.array([[1, 2]], np.uint32)))
    for session, kind, wanted in (
        (narrow, np.int64, "int32"),
        (wide, np.uint64, "int64"),
        (wide, np.float32, "int64"),
        (narrow, np.float64, "int32"),
    ):
        with pytest.raises(InputError, match=f"is an array of .*; whole numbers that {wanted} holds are needed"):
            session(np.ones((1, 2), kind))


def test_whole_numbers_that_lie_apart_in_memory_are_taken_too() -> None:
    session = Session(encode(looked_up()))
    given = np.arange(12).reshape(3, 4) % 4
    np.testing.assert_array_equal(session(given[:, ::2]), session(np.ascontiguousarray(given[:, ::2])))


@pytest.mark.parametrize("density", [1.0, 0.2, 0.0])
def test_a_table_may_be_pruned_as_any_other_weight(density: float) -> None:
    rng, builder = np.random.default_rng(0), GraphBuilder()
    table = np.where(rng.random((50, 16)) < density, rng.normal(size=(50, 16)), 0).astype(np.float32)
    ids = builder.input("ids", ("batch",), ValueType.INT64)
    content = encode(builder.graph([builder.node("Embedding", [ids, builder.constant(table)])]))
    np.testing.assert_array_equal(Session(content)(np.arange(50)), table)


def test_a_file_says_types_and_axes_and_keeps_names_that_are_not_made_up() -> None:
    graph = open_axes()
    for names in (False, True):
        read = decode(encode(graph, names=names)).graph
        assert read.axes == graph.axes == ("batch", "time", "height", "width", "rest")
        assert read.least == graph.least
        assert [given.type for given in read.inputs] == [given.type for given in graph.inputs]
    assert Session(encode(words())).inputs == (Input("input", ("batch", "time"), ValueType.INT32),)


def test_the_name_of_an_only_batch_costs_nothing_unless_names_are_kept() -> None:
    def named(axis: str) -> Graph:
        builder = GraphBuilder()
        return builder.graph([builder.node("Relu", [builder.input("x", (axis, 3))], "y")])

    assert encode(named("N")) == encode(named("batch"))
    assert decode(encode(named("N"))).graph.axes == ("batch",)
    assert decode(encode(named("N"), names=True)).graph.axes == ("N",)


@each_case("name", all_graphs())
def test_the_smallest_sizes_of_a_file_are_those_of_its_graph(name: str) -> None:
    graph = all_graphs()[name]
    read = decode(encode(graph, names=True)).graph
    assert read.least == graph.least == graph.replaced(known_least={}).least
    assert read.steps == graph.steps


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"height": 10}, r"height 10, width 16: height is 10: it must be a multiple of 4, at least 4\.$"),
        ({"width": 4}, r"height 8, width 4: width is 4: it must be a multiple of 8, at least 8\.$"),
        (
            {"height": 6, "width": 12},
            r"height is 6: it must be a multiple of 4, at least 4\. "
            r"width is 12: it must be a multiple of 8, at least 8\.$",
        ),
    ],
)
def test_sizes_that_are_no_multiples_are_refused_by_axis(engine: Engine, sizes: dict[str, int], reason: str) -> None:
    session = Session(encode(multiples(), names=True), engine=engine)
    with pytest.raises(InputError, match=reason):
        session(np.zeros((1, 2, *{"height": 8, "width": 16, **sizes}.values()), np.float32))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_wrong_shape_is_refused_with_what_each_axis_takes(engine: Engine) -> None:
    session = Session(encode(multiples(), names=True), engine=engine)
    needed = (
        r"\(batch, 2, height, width\) is needed, batch at least 1; height a multiple of 4, at least 4; "
        r"width a multiple of 8, at least 8\.$"
    )
    for shape in ((1, 3, 8, 8), (2, 8, 8), (1, 2, 0, 8)):
        with pytest.raises(InputError, match=needed):
            session(np.zeros(shape, np.float32))
