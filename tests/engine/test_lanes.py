"""Networks on vectors of lanes give what the reference gives: any shapes, batches, threads and instruction sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.each_case import each_case
from tests.engine.drawn_networks import Drawing, Drawn, networks, outputs_and_bounds
from tests.engine.networks import PlaneLayers

from netsurgery import _native
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.runtime.session import Session
from netsurgery.timing.instruction_sets import instructions

NOT_FINITE = np.array([math.nan, math.inf, -math.inf], np.float32)

batches = st.sampled_from([1, 2, 3, 5, 16, 17, 33])
seeds = st.integers(0, 2**32 - 1)
sets = st.sampled_from(_native.available_instructions())
threads = st.sampled_from([1, 2, 3, 4, 7])


def outputs_of(session: Session, inputs: dict[str, Array]) -> tuple[Array, ...]:
    outputs = session(*inputs.values())
    return outputs if isinstance(outputs, tuple) else (outputs,)


def bits(outputs: Sequence[Array]) -> list[bytes]:
    return [output.tobytes() for output in outputs]


def assert_near(outputs: Sequence[Array], wanted: Sequence[tuple[Array, Array]]) -> None:
    """NaN and infinities where they are wanted; elsewhere no further off than the bound."""
    for got, (values, bound) in zip(outputs, wanted, strict=True):
        assert got.shape == values.shape
        finite = np.isfinite(values)
        np.testing.assert_array_equal(got[~finite], values[~finite])
        off = np.abs(got[finite].astype(np.float64) - values[finite])
        assert (off <= bound[finite]).all(), (off - bound[finite]).max()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), batch=batches, fixed=st.booleans(), seed=seeds, name=sets, count=threads)
def test_a_network_gives_what_the_reference_gives(
    data: st.DataObject, batch: int, fixed: bool, seed: int, name: str, count: int
) -> None:
    drawn = data.draw(networks(batch if fixed else "batch"))
    inputs = drawn.inputs(batch, seed)
    with instructions(name):
        session = Session(drawn.encoded(), count)
        assert_near(outputs_of(session, inputs), outputs_and_bounds(drawn, inputs))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), batch=batches, fixed=st.booleans(), seed=seeds, name=sets, count=threads)
def test_whole_numbers_give_exactly_what_the_reference_gives(
    data: st.DataObject, batch: int, fixed: bool, seed: int, name: str, count: int
) -> None:
    drawn = data.draw(networks(batch if fixed else "batch", whole=True))
    inputs = drawn.inputs(batch, seed)
    with instructions(name):
        session = Session(drawn.encoded(), count)
        assert_near(outputs_of(session, inputs), outputs_and_bounds(drawn, inputs))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), batch=batches, seed=seeds, name=sets, count=threads)
def test_what_is_not_finite_comes_out_where_it_does_in_the_reference(
    data: st.DataObject, batch: int, seed: int, name: str, count: int
) -> None:
    """No weight is zero here. Planes are added one by one, and infinities may meet on the way: they get NaN only."""
    drawn = data.draw(networks(complete=True))
    inputs = drawn.inputs(batch, seed)
    sprinkle(inputs, seed, NOT_FINITE[:1] if drawn.planes else NOT_FINITE)
    with instructions(name):
        session = Session(drawn.encoded(), count)
        assert_near(outputs_of(session, inputs), outputs_and_bounds(drawn, inputs))


def sprinkle(inputs: dict[str, Array], seed: int, odd: Array) -> None:
    rng = np.random.default_rng(seed)
    for values in inputs.values():
        here = rng.random(values.shape) < rng.choice([0.01, 0.1])
        values[here] = rng.choice(odd, values.shape)[here]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), batch=batches, other=batches, seed=seeds, name=sets, count=threads)
def test_nothing_of_a_run_is_left_for_the_next_one(
    data: st.DataObject, batch: int, other: int, seed: int, name: str, count: int
) -> None:
    """Not in lanes without a pixel, not in halos, not in what a pool or a normalisation made of either."""
    drawn = data.draw(networks())
    content, clean, poison = drawn.encoded(), drawn.inputs(batch, seed), drawn.inputs(other, seed + 1)
    for values in poison.values():
        values[...] = math.nan
    with instructions(name):
        fresh = bits(outputs_of(Session(content, count), clean))
        used = Session(content, count)
        outputs_of(used, poison)
        assert bits(outputs_of(used, clean)) == fresh
        outputs_of(used, {name: np.full_like(values, math.inf) for name, values in clean.items()})
        assert bits(outputs_of(used, clean)) == fresh


@settings(max_examples=50, deadline=None)
@given(data=st.data(), batch=batches, fixed=st.booleans(), seed=seeds, name=sets)
def test_every_number_of_threads_gives_the_same_bits_each_time(
    data: st.DataObject, batch: int, fixed: bool, seed: int, name: str
) -> None:
    drawn = data.draw(networks(batch if fixed else "batch", least=20))
    inputs = drawn.inputs(batch, seed)
    with instructions(name):
        alone = bits(outputs_of(Session(drawn.encoded(), 1), inputs))
        for count in (2, 3):
            session = Session(drawn.encoded(), count)
            for _ in range(3):
                assert bits(outputs_of(session, inputs)) == alone


@settings(max_examples=50, deadline=None)
@given(data=st.data(), batch=batches, seed=seeds, name=sets)
def test_a_batch_gives_what_its_images_give_alone(data: st.DataObject, batch: int, seed: int, name: str) -> None:
    drawn = data.draw(networks())
    inputs = drawn.inputs(batch, seed)
    with instructions(name):
        session = Session(drawn.encoded(), 1)
        together = outputs_of(session, inputs)
        alone = [
            outputs_of(session, {name: values[n : n + 1] for name, values in inputs.items()}) for n in range(batch)
        ]
    bounds = [bound for _, bound in outputs_and_bounds(drawn, inputs)]
    for at, (output, bound) in enumerate(zip(together, bounds, strict=True)):
        assert_near([np.concatenate([outputs[at] for outputs in alone])], [(output, bound)])


@st.composite
def stacks(draw: st.DrawFn) -> Drawn:
    """Fully connected layers, of a row or of some rows for each image."""
    drawing = Drawing(draw, "batch", whole=draw(st.booleans()), complete=False)
    x = drawing.input((*draw(st.sampled_from([(), (), (3,)])), drawing.up_to(70)))
    for _ in range(drawing.up_to(3)):
        shape = (drawing.of(1, 2, 15, 16, 17, 32, 33, 50), drawing.shapes[x][-1])
        x = drawing.node("Linear", [x, drawing.weight(shape), drawing.bias(shape[0])])
        x = drawing.cut(x) if drawing.of(True, False) else x
    drawing.drawn.graph = drawing.builder.graph([x])
    return drawing.drawn


@settings(max_examples=40, deadline=None)
@given(drawn=stacks(), batch=st.integers(1, 40), seed=seeds, name=sets, count=threads)
def test_fully_connected_layers_give_what_the_reference_gives(
    drawn: Drawn, batch: int, seed: int, name: str, count: int
) -> None:
    inputs = drawn.inputs(batch, seed)
    with instructions(name):
        session = Session(drawn.encoded(), count)
        assert_near(outputs_of(session, inputs), outputs_and_bounds(drawn, inputs))


def sparse(rng: np.random.Generator, density: float, *shape: int, values: int = 0) -> Array:
    """Of so many distinct values; 0: of any."""
    drawn = rng.choice(rng.normal(size=values), shape) if values else rng.normal(size=shape)
    return np.where(rng.random(shape) < density, drawn, 0).astype(np.float32)


def assert_as_the_reference(given: Graph | Drawn, batch: int, threads: Sequence[int] = (1, 3)) -> None:
    drawn = given if isinstance(given, Drawn) else Drawn(given, whole=False)
    inputs = drawn.inputs(batch, batch)
    wanted = outputs_and_bounds(drawn, inputs)
    for count in threads:
        assert_near(outputs_of(Session(drawn.encoded(), count), inputs), wanted)


@pytest.mark.parametrize("values", [5, 256, 257, 0])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_a_large_layer_gives_the_same_with_and_without_a_codebook(batch: int, values: int) -> None:
    builder = GraphBuilder()
    weight = sparse(np.random.default_rng(values), 0.5, 300, 500, values=values)
    assert np.count_nonzero(weight) > 2**16
    assert_as_the_reference(
        builder.graph([builder.node("Linear", [builder.input("x", ("batch", 500)), builder.constant(weight)])]), batch
    )


@pytest.mark.parametrize("name", _native.available_instructions())
@pytest.mark.parametrize("kind", ["dense", "planes"])
@pytest.mark.parametrize("of_group", [3, 5, 8, 13, 33])
def test_threads_cut_outputs_in_each_group_where_kernels_may(of_group: int, kind: str, name: str) -> None:
    """Groups whose outputs are no multiple of those that a kernel works on together."""
    rng = np.random.default_rng(of_group)
    signs = rng.choice(np.array([-1, 1], np.float32), (2 * of_group, 40, 3, 3))
    weight = signs / 8 if kind == "planes" else rng.normal(size=signs.shape)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 80, 3, 3))
    graph = builder.graph([builder.node("Conv", [x, builder.constant(weight)], groups=2)])
    with instructions(name):
        assert_as_the_reference(graph, 1, threads=(1, 2, 3, 4, 7))


def full(
    sizes: tuple[int, int], groups: int, outputs: int, stride: int = 1, inputs: int = 24, dilation: int = 1
) -> Graph:
    """A convolution without zeros, with a bias, a residual and a ReLU behind it."""
    rng, builder = np.random.default_rng(outputs), GraphBuilder()
    x = builder.input("x", ("batch", inputs, *sizes))
    weight = builder.constant(rng.normal(size=(outputs, inputs // groups, 3, 3)))
    bias = builder.constant(rng.normal(size=outputs))
    windows: dict[str, Any] = {"strides": (stride,) * 2, "pads": (dilation,) * 4, "dilations": (dilation,) * 2}
    made = builder.node("Conv", [x, weight, bias], groups=groups, **windows)
    other = builder.node("MaxPool", [x], kernel=(1, 1), strides=(stride, stride))
    other = builder.node("Conv", [other, builder.constant(rng.normal(size=(outputs, inputs, 1, 1)))])
    return builder.graph([builder.node("Relu", [builder.node("Add", [made, other])])])


def kinds(graph: Graph, batch: int) -> set[str]:
    drawn = Drawn(graph, whole=False)
    session = Session(drawn.encoded(), 1)
    return {kind for _, kind, _, _ in session.profile(*drawn.inputs(batch, 0).values())}


@each_case("name", _native.available_instructions())
@each_case("batch", [1, 2, 3])
@each_case("outputs", [24, 32, 62, 134])
@each_case("sizes", [(7, 7), (14, 14), (5, 9), (13, 13)])
def test_full_convolutions_of_small_pictures_give_what_the_reference_gives(
    sizes: tuple[int, int], outputs: int, batch: int, name: str
) -> None:
    """Channels that fill their vectors and that don't, in one group and in two, pixels that leave lanes empty."""
    with instructions(name):
        for groups in (1, 2):
            for dilation in (1, 2):
                assert_as_the_reference(full(sizes, groups, outputs, dilation=dilation), batch)
        if sizes == (7, 7) and batch == 1 and outputs >= 62:
            assert "dense pixels" in kinds(full(sizes, 1, outputs, dilation=2), batch)


@each_case("name", _native.available_instructions())
@each_case("stride", [1, 2])
@each_case("outputs", [13, 22, 30])
@each_case("sizes", [(28, 28), (40, 23), (64, 200)])
def test_full_convolutions_of_larger_pictures_give_what_the_reference_gives(
    sizes: tuple[int, int], outputs: int, stride: int, name: str
) -> None:
    """Strips that go from row to row of a tile, blocks of channels of several sizes, several blocks of inputs."""
    with instructions(name):
        graph = full(sizes, 1, outputs, stride, inputs=40)
        assert_as_the_reference(graph, 1, threads=(1, 2, 3))
        assert "dense lanes" in kinds(graph, 1)


@pytest.mark.parametrize("name", _native.available_instructions())
def test_pixels_of_a_small_picture_never_meet_what_lies_in_empty_lanes(name: str) -> None:
    """Of 64 lanes 49 are pixels: infinities that an earlier run has left in the others mustn't come back as NaN."""
    graph = full((7, 7), 1, 64, dilation=2)
    drawn = Drawn(graph, whole=False)
    x = drawn.inputs(1, 0)["x"]
    with instructions(name):
        session = Session(drawn.encoded(), 1)
        fresh = np.asarray(session(x))
        session(np.full_like(x, np.inf))
        assert np.asarray(session(x)).tobytes() == fresh.tobytes()
        assert np.isfinite(fresh).all()


@each_case("name", _native.available_instructions())
@each_case("of_group", [32, 33, 34, 35])
@each_case("planes", [1, 2, 3, 4, 5, 8])
def test_tables_serve_up_to_four_planes_and_their_sums_serve_more(planes: int, of_group: int, name: str) -> None:
    layers = PlaneLayers()
    x = layers.builder.input("x", ("batch", 12, 4, 3))
    x = layers.builder.node("Conv", [x, layers.weight(planes, 2 * of_group, 6, 3, 3)], groups=2)
    x = layers.builder.node("Reshape", [x], shape=(-1, 4 * of_group))
    graph = layers.builder.graph([layers.builder.node("Linear", [x, layers.weight(planes, of_group, 4 * of_group)])])
    drawn = Drawn(graph, whole=False, planes=layers.planes)
    with instructions(name):
        assert_as_the_reference(drawn, 5)
        assert_as_the_reference(drawn, 1)
        kinds = {kind for _, kind, _, _ in Session(drawn.encoded(), 1).profile(np.ones((1, 12, 4, 3), np.float32))}
    assert {"tables", "table rows"} & kinds == ({"tables", "table rows"} if planes <= 4 else set())


@pytest.mark.parametrize("name", _native.available_instructions())
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(12, 12), (27, 31), (3, 90), (70, 70), (1, 300)])
def test_pictures_move_between_tiles_of_any_width(height: int, width: int, batch: int, name: str) -> None:
    """Narrow tiles are fetched float by float, wide ones transposed; strides ask for other tiles in between."""
    rng = np.random.default_rng(width)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2, height, width))
    for inputs, strides in ((2, (1, 1)), (19, (2, 2)), (19, (1, 1)), (19, (2, 1))):
        weight = builder.constant(sparse(rng, 0.5, 19, inputs, 3, 3))
        x = builder.node("Relu", [builder.node("Conv", [x, weight], strides=strides, pads=(1,) * 4)])
    pooled = builder.node("MaxPool", [x], kernel=(2, 1), strides=(2, 1), pads=(1, 0, 0, 0))
    with instructions(name):
        assert_as_the_reference(builder.graph([x, pooled]), batch)


@pytest.mark.parametrize("name", _native.available_instructions())
@pytest.mark.parametrize("batch", [4, 5, 8, 11, 16])
@pytest.mark.parametrize("outputs", [2, 40])
def test_some_images_in_a_vector_become_sixteen_for_a_fully_connected_layer(
    outputs: int, batch: int, name: str
) -> None:
    rng = np.random.default_rng(batch)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3, 8, 8))
    x = builder.node("Conv", [x, builder.constant(sparse(rng, 0.3, 24, 3, 3, 3))], strides=(2, 2), pads=(1,) * 4)
    x = builder.node("Conv", [x, builder.constant(sparse(rng, 0.3, 64, 24, 3, 3))], strides=(2, 2), pads=(1,) * 4)
    x = builder.node("Reshape", [x], shape=(-1, 64 * 4))
    x = builder.node("Linear", [x, builder.constant(sparse(rng, 0.6, outputs, 64 * 4))])
    with instructions(name):
        assert_as_the_reference(builder.graph([x]), batch)


@pytest.mark.parametrize("inputs", [65535, 65536, 70000])
@pytest.mark.parametrize("batch", [1, 16])
def test_columns_beyond_16_bits_are_read_where_they_are(inputs: int, batch: int) -> None:
    builder = GraphBuilder()
    weight = sparse(np.random.default_rng(0), 0.001, 3, inputs)
    weight[:, -1] = 1
    assert_as_the_reference(
        builder.graph([builder.node("Linear", [builder.input("x", ("batch", inputs)), builder.constant(weight)])]),
        batch,
    )


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_kernel_as_large_as_the_picture_may_reach_beyond_it(batch: int) -> None:
    builder = GraphBuilder()
    weight = builder.constant(np.random.default_rng(0).normal(size=(4, 2, 3, 3)))
    x = builder.input("x", ("batch", 2, 3, 3))
    assert_as_the_reference(
        builder.graph([builder.node("Conv", [x, weight], dilations=(2, 2), pads=(0, 0, 2, 2))]), batch
    )


@pytest.mark.parametrize("size", [5, 7, 13, 21])
@pytest.mark.parametrize("batch", [1, 2, 4, 16])
def test_padding_on_one_side_only_is_zero_though_a_tile_holds_something_there(size: int, batch: int) -> None:
    """Windows of 2 x 2 every other pixel: what lies beyond an odd picture is in its last tile, not in a halo."""
    rng = np.random.default_rng(size)
    builder = GraphBuilder()
    x, ones = builder.input("x", ("batch", 2, size, size)), builder.constant(np.ones(6))
    x = builder.node("Conv", [x, builder.constant(rng.normal(size=(6, 2, 3, 3))), ones], pads=(1, 1, 1, 1))
    weight = builder.constant(rng.normal(size=(6, 6, 2, 2)))
    assert_as_the_reference(
        builder.graph([builder.node("Conv", [x, weight], strides=(2, 2), pads=(0, 0, 1, 1))]), batch
    )


@pytest.mark.parametrize("batch", [1, 16])
def test_offsets_reach_as_far_as_another_reader_widens_the_halo(batch: int) -> None:
    """The second one's halo separates the rows that the first one's kernel sees by more than 16 bits count."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder()
    x = builder.node(
        "Conv", [builder.input("x", ("batch", 1, 8, 8)), builder.constant(rng.normal(size=(1024, 1, 1, 1)))]
    )
    near, weight = {"pads": (1,) * 4}, builder.constant(sparse(rng, 0.02, 8, 1024, 3, 3))
    far, full = {"pads": (18,) * 4, "dilations": (18, 18)}, builder.constant(sparse(rng, 0.9, 8, 1024, 3, 3))
    few, further = builder.constant(rng.normal(size=(3, 8, 3, 3))), builder.node("Conv", [x, full], **far)
    assert_as_the_reference(
        builder.graph([builder.node("Conv", [x, weight], **near), builder.node("Conv", [further, few], **near)]), batch
    )


def volumes(density: float) -> Graph:
    """(n, 3, 8, 14, 14) -> (n, 5): convolutions of all three axes at once and of some, as films are looked at."""
    rng, builder = np.random.default_rng(0), GraphBuilder()

    def convolved(x: str, inputs: int, outputs: int, kernel: tuple[int, ...], groups: int = 1, stride: int = 1) -> str:
        weight = builder.constant(sparse(rng, density, outputs, inputs // groups, *kernel))
        strides, pads = tuple(stride if size > 1 else 1 for size in kernel), tuple(size // 2 for size in kernel) * 2
        bias = builder.constant(rng.normal(size=outputs))
        return builder.node("Conv", [x, weight, bias], groups=groups, strides=strides, pads=pads)

    x = builder.node("Relu", [convolved(builder.input("x", ("batch", 3, 8, 14, 14)), 3, 12, (3, 3, 3))])
    y = builder.node("Relu", [convolved(x, 12, 18, (1, 3, 3))])
    y = convolved(y, 18, 12, (3, 1, 1))
    x = builder.node("Relu", [builder.node("Add", [x, y])])
    x = builder.node("MaxPool", [x], kernel=(1, 2, 2), strides=(1, 2, 2))
    x = builder.node("Silu", [convolved(x, 12, 12, (3, 3, 3), groups=12)])
    x = convolved(x, 12, 40, (3, 3, 3), stride=2)
    x = builder.node("AveragePool", [x], kernel=(2, 2, 2), strides=(2, 2, 2))
    x = builder.node("Conv", [x, builder.constant(sparse(rng, density, 5, 40, 1, 1, 1))])
    return builder.graph([builder.node("Mean", [x], axes=(2, 3, 4), keepdims=False)])


@pytest.mark.parametrize("name", _native.available_instructions())
@pytest.mark.parametrize("density", [0.1, 1.0])
@pytest.mark.parametrize("batch", [1, 2, 7, 16])
def test_volumes_run_on_vectors_from_end_to_end(batch: int, density: float, name: str) -> None:
    with instructions(name):
        graph = volumes(density)
        assert_as_the_reference(graph, batch, threads=(1, 2, 3))
        assert "plain" not in kinds(graph, batch)


@each_case("name", _native.available_instructions())
@each_case("order", ["crd", "dcr"])
@each_case("batch", [1, 3, 16])
@each_case("sizes", [(20,), (9, 14), (4, 6, 8)])
def test_transposed_convolutions_stay_on_vectors(sizes: tuple[int, ...], batch: int, order: str, name: str) -> None:
    """A convolution that makes every phase, channels that become pixels, some of which are cut off; then a skip."""
    rng, builder, axes = np.random.default_rng(0), GraphBuilder(), len(sizes)
    x = builder.input("x", ("batch", 3, *sizes))
    wide = builder.constant(sparse(rng, 0.5, 5, 3, *(3,) * axes))
    skip = builder.node("Conv", [x, wide], pads=(1,) * 2 * axes)
    y = builder.node("MaxPool", [skip], kernel=(2,) * axes, strides=(2,) * axes, ceil_mode=True)
    phases = builder.constant(sparse(rng, 0.5, 4 * 2**axes, 5, *(1,) * axes))
    y = builder.node("DepthToSpace", [builder.node("Conv", [y, phases])], blocks=(2,) * axes, order=order)
    too_many = tuple(-(size % 2) for size in sizes)
    if any(too_many):
        y = builder.node("Pad", [y], pads=(0, 0, *too_many, 0, 0, *(0,) * axes))
    y = builder.node("Concat", [skip, builder.node("Relu", [y])], axis=1)
    last = builder.constant(sparse(rng, 0.5, 2, 9, *(3,) * axes))
    graph = builder.graph([builder.node("Conv", [y, last], pads=(1,) * 2 * axes)])
    with instructions(name):
        assert_as_the_reference(graph, batch, threads=(1, 2, 3))
        assert "plain" not in kinds(graph, batch)


def joined_block(rng: np.random.Generator, builder: GraphBuilder) -> str:
    """Three layers that see all that came before them, through a norm and a cut."""
    seen = [
        builder.node("Conv", [builder.input("x", ("batch", 3, 12, 12)), builder.constant(sparse(rng, 1, 8, 3, 3, 3))])
    ]
    for _ in range(3):
        x = builder.node("Concat", seen, axis=1) if len(seen) > 1 else seen[0]
        channels = 8 + 4 * (len(seen) - 1)
        for operator in ("Mul", "Add"):
            x = builder.node(operator, [x, builder.constant(rng.normal(size=(channels, 1, 1)))])
        x = builder.node("Relu", [x])
        weight = builder.constant(sparse(rng, 0.5, 4, channels, 3, 3))
        seen.append(builder.node("Conv", [x, weight], pads=(1,) * 4))
    return builder.node("Concat", seen, axis=1)


def parted_block(rng: np.random.Generator, builder: GraphBuilder) -> str:
    """Half of the channels goes on through two layers; all parts come together."""
    x = builder.node("Conv", [builder.input("x", ("batch", 3, 12, 12)), builder.constant(sparse(rng, 1, 8, 3, 3, 3))])
    parts = [builder.node("Slice", [x], axis=1, start=start, stop=start + 4) for start in (0, 4)]
    for _ in range(2):
        parts.append(builder.node("Conv", [parts[-1], builder.constant(sparse(rng, 0.5, 4, 4, 3, 3))], pads=(1,) * 4))
    return builder.node("Concat", parts, axis=1)


def pyramid(rng: np.random.Generator, builder: GraphBuilder) -> str:
    """A coarse map, enlarged, beside a fine one."""
    fine = builder.node(
        "Conv", [builder.input("x", ("batch", 3, 18, 18)), builder.constant(sparse(rng, 1, 8, 3, 3, 3))]
    )
    coarse = builder.constant(sparse(rng, 0.5, 6, 8, 2, 2))
    coarse = builder.node("Conv", [fine, coarse], strides=(2, 2))
    return builder.node("Concat", [builder.node("Resize", [coarse], size=(16, 16)), fine], axis=1)


@pytest.mark.parametrize("name", _native.available_instructions())
@pytest.mark.parametrize("batch", [1, 2, 16])
@pytest.mark.parametrize("block", [joined_block, parted_block, pyramid])
def test_joined_channels_and_parts_of_them_are_never_copied(block: Any, batch: int, name: str) -> None:
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = block(rng, builder)
    channels = {joined_block: 20, parted_block: 16, pyramid: 14}[block]
    last = builder.constant(sparse(rng, 0.5, 5, channels, 1, 1))
    graph = builder.graph([builder.node("Conv", [x, last])])
    with instructions(name):
        assert_as_the_reference(graph, batch, threads=(1, 2))
        assert not {"copy", "plain", "plain on lanes", "function"} & kinds(graph, batch)


def test_a_value_that_is_joined_twice_is_copied_once() -> None:
    rng, builder = np.random.default_rng(0), GraphBuilder()
    weights = [builder.constant(sparse(rng, 0.5, 4, 3, 3, 3)) for _ in range(3)]
    x = builder.input("x", ("batch", 3, 12, 12))
    a, b, c = (builder.node("Conv", [x, weight]) for weight in weights)
    pairs = [builder.node("Concat", [a, b], axis=1), builder.node("Concat", [c, b], axis=1)]
    made = [builder.node("Conv", [pair, builder.constant(sparse(rng, 0.5, 2, 8, 1, 1))]) for pair in pairs]
    graph = builder.graph([builder.node("Add", made)])
    assert_as_the_reference(graph, 1)
    steps = Session(Drawn(graph, whole=False).encoded(), 1).profile(np.ones((1, 3, 12, 12), np.float32))
    assert [kind for _, kind, _, _ in steps].count("copy") == 1


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize(("depth", "side"), [(5, 3), (3, 14), (16, 7), (40, 1)])
def test_slices_of_a_kernel_may_lie_further_apart_than_offsets_count(depth: int, side: int, batch: int) -> None:
    """Of 800 channels: three slices are beyond 16 bits, of the largest pictures three rows are, too."""
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = builder.input("x", ("batch", 2, depth, side, side))
    x = builder.node("Conv", [x, builder.constant(rng.normal(size=(800, 2, 1, 1, 1)))])
    weight = builder.constant(sparse(rng, 0.02, 7, 800, 3, 3, 3))
    x = builder.node("Conv", [x, weight], pads=(1,) * 6)
    assert_as_the_reference(
        builder.graph([builder.node("Conv", [x, builder.constant(rng.normal(size=(40, 7, 2, 1, 1)))])]), batch
    )


@pytest.mark.parametrize(
    ("operator", "windows"),
    [
        ("MaxPool", {"kernel": (1, 1), "strides": (2**17, 2**17)}),
        ("AveragePool", {"kernel": (2, 1), "strides": (2**17, 2**17)}),
        ("Conv", {"dilations": (500, 500), "pads": (500,) * 4}),
    ],
)
def test_windows_that_reach_far_beyond_the_picture_take_no_memory_for_it(operator: str, windows: Any) -> None:
    """In vectors, tiles and halos as large as strides and dilations would take hundreds of megabytes."""
    rng, builder = np.random.default_rng(0), GraphBuilder()
    x = builder.node("Conv", [builder.input("x", ("batch", 2, 7, 5)), builder.constant(rng.normal(size=(3, 2, 1, 1)))])
    weight = [builder.constant(rng.normal(size=(3, 3, 3, 3)))] if operator == "Conv" else []
    far = builder.node(operator, [x, *weight], **windows)
    graph = builder.graph([builder.node("Conv", [far, builder.constant(rng.normal(size=(4, 3, 1, 1)))])])
    assert_as_the_reference(graph, 1)
    steps = Session(Drawn(graph, whole=False).encoded(), 1).profile(np.ones((1, 2, 7, 5), np.float32))
    assert "plain" in {kind for _, kind, _, _ in steps}
