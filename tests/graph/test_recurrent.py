"""Recurrent layers of torch and of ONNX compute in a graph what they compute there, whatever their settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.each_case import each_case
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import CaptureError, GraphError, InputError
from netsurgery.graph.from_torch import read_exported, read_torch
from netsurgery.graph.ir import Graph, GraphBuilder, node
from netsurgery.graph.passes import simplify
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode
from netsurgery.runtime.reference import run, run_node
from netsurgery.runtime.session import Session

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Apart(nn.Module):
    """A layer whose states are inputs of their own."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, *states: Tensor) -> Any:
        return self.layer(x, states if len(states) > 1 else states[0])


class LastStep(nn.Module):
    """(n, t, 4) -> (n, 3): a class for each sequence, told from its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.LSTM(4, 6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


def assert_same(graph: Graph, model: nn.Module, inputs: Sequence[Tensor]) -> None:
    """In float64 what the reference gives, and what the engine makes of the graph in a file."""
    with torch.no_grad():
        given = model(*inputs)
    leaves = given if isinstance(given, tuple) else (given,)
    expected = [leaf.numpy() for one in leaves for leaf in (one if isinstance(one, tuple) else (one,))]
    arrays = [one.numpy() for one in inputs]
    by_name = dict(zip((one.name for one in graph.inputs), arrays, strict=True))
    packed = Session(encode(simplify(graph, run_node)))(*arrays)
    for found in (run(graph, by_name), packed if isinstance(packed, tuple) else (packed,)):
        assert len(found) == len(expected)
        for one, wanted in zip(found, expected, strict=True):
            assert one.shape == wanted.shape
            np.testing.assert_allclose(one, wanted, rtol=0, atol=2e-6)


def states(kind: str, layer: nn.RNNBase, *batch: int) -> tuple[Tensor, ...]:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    shown = layer.proj_size or layer.hidden_size
    hidden = torch.randn(count, *batch, shown)
    return (hidden, torch.randn(count, *batch, layer.hidden_size)) if kind == "lstm" else (hidden,)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *((kind, {}) for kind in LAYERS),
        *((kind, {"num_layers": 2, "bidirectional": True, "dropout": 0.5}) for kind in LAYERS),
        *((kind, {"batch_first": True, "bias": False}) for kind in LAYERS),
        ("rnn", {"nonlinearity": "relu", "bidirectional": True}),
        ("lstm", {"proj_size": 3, "num_layers": 2, "bidirectional": True}),
        ("lstm", {"proj_size": 2, "batch_first": True, "bias": False}),
    ],
)
def test_a_layer_of_torch_computes_the_same_at_every_batch_and_length(
    kind: str, settings: dict[str, Any], with_states: bool
) -> None:
    torch.manual_seed(1)
    layer = LAYERS[kind](4, 5, **settings).eval()
    model = Apart(layer) if with_states else layer

    def inputs(batch: int, time: int) -> tuple[Tensor, ...]:
        x = torch.randn(*((batch, time) if layer.batch_first else (time, batch)), 4)
        return (x, *(states(kind, layer, batch) if with_states else ()))

    batch, time = (0, 1) if layer.batch_first else (1, 0)
    open_axes = {0: {batch: "batch", time: "time"}}
    open_axes |= {1 + place: {1: "batch"} for place in range(len(inputs(1, 1)) - 1)}
    graph = read_torch(model, inputs(2, 3), open_axes=open_axes)
    assert set(graph.axes) == {"batch", "time"}
    for sizes in ((2, 3), (1, 1), (5, 4), (1, 7), (7, 2)):
        assert_same(graph, model, inputs(*sizes))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_sequence_without_a_batch_is_a_batch_of_one(kind: str) -> None:
    layer = LAYERS[kind](4, 5, 2).eval()
    inputs = (torch.randn(3, 4), *states(kind, layer))
    assert_same(read_torch(Apart(layer), inputs, open_axes={}), Apart(layer), inputs)


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        (nn.LSTMCell(4, 5), 2),
        (nn.LSTMCell(4, 5, bias=False), 2),
        (nn.GRUCell(4, 5), 1),
        (nn.RNNCell(4, 5), 1),
        (nn.RNNCell(4, 5, nonlinearity="relu", bias=False), 1),
    ],
)
@pytest.mark.parametrize("with_states", [False, True])
def test_a_cell_computes_one_step_at_every_batch(cell: nn.Module, count: int, with_states: bool) -> None:
    def inputs(batch: int) -> tuple[Tensor, ...]:
        return (torch.randn(batch, 4), *(torch.randn(batch, 5) for _ in range(count if with_states else 0)))

    model = Apart(cell) if with_states else cell
    graph = read_torch(model, inputs(2))
    for batch in (2, 1, 9):
        assert_same(graph, model, inputs(batch))


def test_steps_with_states_handed_on_are_the_sequence(tmp_path: Path) -> None:
    """What a stream needs: the states that come out go in again."""
    torch.manual_seed(2)
    layer = nn.LSTM(4, 5, 2).eval()
    x = torch.randn(6, 1, 4)
    ns.pack(Apart(layer), tmp_path / "step.nsm", example_inputs=(x[:1], *states("lstm", layer, 1)))
    step = ns.load(tmp_path / "step.nsm")
    hidden, cell = np.zeros((2, 1, 5), np.float32), np.zeros((2, 1, 5), np.float32)
    shown = []
    for one in x.numpy():
        output, hidden, cell = step(one[None], hidden, cell)
        shown.append(output)
    with torch.no_grad():
        expected, (last, _) = layer(x)
    np.testing.assert_allclose(np.concatenate(shown), expected.numpy(), atol=2e-6)
    np.testing.assert_allclose(hidden, last.numpy(), atol=2e-6)


def test_the_last_step_of_an_open_time_axis_is_the_last_hidden_state() -> None:
    model = LastStep().eval()
    graph = read_torch(model, (torch.randn(2, 3, 4),), open_axes={0: {0: "batch", 1: "time"}})
    results = [made.attributes["result"] for made in simplify(graph, run_node).nodes if made.operator == "Lstm"]
    assert results == ["steps", "hidden"]
    for sizes in ((2, 3), (1, 1), (4, 9)):
        assert_same(graph, model, (torch.randn(*sizes, 4),))


@pytest.mark.filterwarnings("ignore:The tensor attributes")  # torch's own, about its own
def test_an_exported_program_has_recurrent_layers_too() -> None:
    layer, inputs = nn.GRU(4, 5, bidirectional=True).eval(), (torch.randn(3, 2, 4),)
    assert_same(read_exported(torch.export.export(layer, inputs)), layer, inputs)


def test_packed_sequences_are_refused_with_what_to_do() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(4, 5)

        def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(self.layer(packed)[0])[0]

    with pytest.raises(CaptureError, match=r"pack_padded_sequence has no place in a graph\. Give the padded batch"):
        read_torch(Packed(), (torch.randn(3, 2, 4), torch.tensor([3, 2])), open_axes={})


def test_capturing_leaves_torch_as_it_was() -> None:
    before = dict(vars(torch._VF))
    read_torch(nn.LSTM(4, 5), (torch.randn(3, 2, 4),))
    with pytest.raises(CaptureError):
        read_torch(nn.Flatten(7), (torch.randn(3, 2, 4),))
    assert vars(torch._VF) == before


# What methods do to them


@pytest.mark.parametrize("method", ["surgery", "powers"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_pruned_or_quantised_layer_keeps_what_the_method_made_of_both_weights(
    kind: str, method: str, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    layer = LAYERS[kind](12, 16, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    chosen = ns.Surgery(density=0.3, steps=30) if method == "surgery" else ns.INQ(bits=3, steps=30)
    operation = ns.attach(layer, optimizer, chosen)
    x = torch.randn(5, 4, 12)
    for _ in range(30):
        optimizer.zero_grad()
        (layer(x)[0] - x[..., :1]).square().mean().backward()
        optimizer.step()
    operation.finish()
    layer.eval()
    ns.pack(layer, tmp_path / "network.nsm", example_inputs=x)
    graph = ns.load(tmp_path / "network.nsm").graph
    packed = sorted(int(np.count_nonzero(one.values)) for _, _, one in graph.weights())
    own = sorted(int(one.count_nonzero()) for name, one in layer.named_parameters() if name.startswith("weight"))
    assert packed == own
    if method == "powers":
        assert all(type(one).__name__ == "Powers" for _, _, one in graph.weights())
    else:
        assert sum(packed) < 0.35 * sum(one.size for _, _, one in graph.weights())


def test_negative_zeros_of_masks_that_multiply_count_as_pruned() -> None:
    builder = GraphBuilder()
    weight = builder.constant(np.where(np.eye(8, 2) > 0, 1.0, -0.0), "weight")
    graph = builder.graph([builder.node("Lstm", [builder.input("x", (3, 1, 8)), weight])])
    values = simplify(graph, run_node).constants["weight"].values
    assert not np.signbit(values[values == 0]).any()


# Lengths, and what doesn't fit


def lengths_graph(**attributes: Any) -> Graph:
    builder = GraphBuilder()
    x, lengths = builder.input("x", ("time", "batch", 6)), builder.input("lengths", ("batch",), ValueType.INT32)
    weight = builder.constant(np.random.default_rng(0).normal(size=(6, 2)))
    return builder.graph([builder.node("Gru", [x, weight, None, lengths], **attributes)])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_that_is_shorter_is_computed_as_if_it_were_alone(reverse: bool) -> None:
    rng = np.random.default_rng(1)
    x, lengths = rng.normal(size=(4, 3, 6)).astype(np.float32), np.array([4, 2, 1], np.int32)
    steps, hidden = (
        Session(encode(lengths_graph(reverse=reverse, result=result)))(x, lengths) for result in ("steps", "hidden")
    )
    for place, length in enumerate(lengths):
        alone = Session(encode(lengths_graph(reverse=reverse)))(x[:length, place : place + 1], lengths[place:][:1])
        np.testing.assert_allclose(steps[:length, place], alone[:, 0], atol=1e-6)
        assert not steps[length:, place].any()
        np.testing.assert_allclose(hidden[place], alone[0 if reverse else -1, 0], atol=1e-6)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("length", [-1, 4])
def test_a_length_that_no_sequence_has_is_refused(engine: Any, length: int) -> None:
    session = Session(encode(lengths_graph()), engine=engine)
    with pytest.raises(InputError, match=rf"{length} at place \(1,\) is no length of a sequence of at most 3 steps"):
        session(np.zeros((3, 2, 6), np.float32), np.array([3, length], np.int32))


@pytest.mark.parametrize(
    ("operator", "shapes", "attributes", "sentence"),
    [
        ("Lstm", [(3, 8), (8, 2)], {}, r"gates have shape \(3, 8\); three sizes are needed"),
        ("Lstm", [(3, 1, 9), (8, 2)], {}, "the last one a multiple of 4"),
        ("Lstm", [(3, 1, 8), (8, 3)], {}, r"weight has shape \(8, 3\), \(8, 2\) is needed"),
        ("Lstm", [(3, 1, 8), (8, 3), None, None, (3, 3)], {}, r"projection has shape \(3, 3\), \(3, 2\) is needed"),
        ("Lstm", [(3, 1, 8), (8, 2), (2,)], {}, r"bias has shape \(2,\), \(8,\) is needed"),
        ("Lstm", [(3, 1, 8), (8, 2), None, (2, 3)], {}, r"peepholes has shape \(2, 3\), \(3, 2\) is needed"),
        ("Gru", [(3, 1, 6), (6, 2), None, (3,)], {}, r"lengths has shape \(3,\), \(1,\) is needed"),
        ("Gru", [(3, 1, 6), (6, 2), None, None, (3, 2)], {}, r"hidden has shape \(3, 2\), \(1, 2\) is needed"),
        ("Gru", [(3, 1, 6), (6, 2)], {"alphas": (1.0,)}, r"alphas=\(1.0,\) has 1 numbers, 2 are needed"),
        ("Rnn", [(3, 1, 6), (6, 6)], {"fixed_lengths": (4,)}, "one for each of 1 sequences, none longer than gates"),
        ("Rnn", [(3, 1, 6), (6, 6)], {"clip": -1.0}, "clip=-1.0 must be 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(operator: str, shapes: Any, attributes: Any, sentence: str) -> None:
    from netsurgery.graph.operators import OPERATORS

    made = node(operator, ["x"] * len(shapes), "y", **attributes)
    with pytest.raises(GraphError, match=sentence):
        OPERATORS[operator].shape(shapes, made.attributes)


# The engine's fast steps


@each_case("density", [0.0, 0.02, 0.1, 0.3, 0.8, 1.0])
@each_case("kind", ["Lstm", "Gru", "Rnn"])
@each_case("size", [3, 16, 70])
def test_the_engine_gives_what_the_reference_gives_at_any_density(kind: str, density: float, size: int) -> None:
    rng = np.random.default_rng(int(100 * density) + size)
    gates = {"Lstm": 4, "Gru": 3, "Rnn": 1}[kind] * size
    builder = GraphBuilder()
    x, hidden = builder.input("x", ("time", "batch", 9)), builder.input("hidden", ("batch", size))

    def kept(rows: int, columns: int) -> str:
        values = rng.normal(0, 0.3, (rows, columns)) * (rng.random((rows, columns)) < density)
        return builder.constant(np.where(values == 0, 0.0, values))

    made = builder.node("Linear", [x, kept(gates, 9), builder.constant(rng.normal(size=gates))])
    none = [None] * (3 if kind == "Lstm" else 1)
    operands = [made, kept(gates, size), builder.constant(rng.normal(size=gates)), *none, hidden]
    results = ("steps", "hidden", "cell")[: 3 if kind == "Lstm" else 2]
    graph = builder.graph([builder.node(kind, operands, result=result, reverse=size == 16) for result in results])
    session = Session(encode(graph))
    for time, batch in ((1, 1), (6, 1), (2, 5)):
        given = {
            "x": rng.normal(size=(time, batch, 9)).astype(np.float32),
            "hidden": rng.normal(size=(batch, size)).astype(np.float32),
        }
        for found, wanted in zip(session(*given.values()), run(graph, given), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("density", [0.3, 1.0])
@pytest.mark.parametrize("kind", ["Lstm", "Gru", "Rnn", "Rnn of relu"])
@pytest.mark.parametrize("with_states", [False, True])
def test_threads_share_the_units_of_a_sequence_and_give_the_same_bits(
    kind: str, density: float, with_states: bool
) -> None:
    size, rng = 360, np.random.default_rng(int(10 * density))  # no whole number of vectors for each of them
    operator, relu = kind.split()[0], kind.endswith("relu")
    gates = {"Lstm": 4, "Gru": 3, "Rnn": 1}[operator] * size
    builder = GraphBuilder()
    x = builder.input("x", ("time", "batch", gates))
    count = (2 if operator == "Lstm" else 1) if with_states else 0
    given_states = [builder.input(f"state{i}", ("batch", size)) for i in range(count)]
    weight = rng.normal(0, 0.3 / size**0.5, (gates, size)) * (rng.random((gates, size)) < density)
    none = [None] * (3 if operator == "Lstm" else 1)
    bias = builder.constant(rng.normal(size=gates)) if with_states else None
    operands = [x, builder.constant(np.where(weight == 0, 0.0, weight)), bias, *none, *given_states]
    results = ("steps", "hidden", "cell")[: 3 if operator == "Lstm" else 2]
    more = {"candidate_activation": "relu"} if relu else {}
    graph = builder.graph(
        [builder.node(operator, operands, result=result, reverse=with_states, **more) for result in results]
    )
    sessions = [Session(encode(graph), threads=threads) for threads in (1, 2, 3)]
    for time, batch in ((1, 1), (7, 1), (3, 2)):
        shapes = [(time, batch, gates), *[(batch, size)] * count]
        arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
        expected = [np.copy(one) for one in sessions[0](*arrays)]
        by_name = dict(zip((one.name for one in graph.inputs), arrays, strict=True))
        for found, wanted in zip(expected, run(graph, by_name), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
        for session in sessions[1:]:
            for _ in range(3):
                for found, wanted in zip(session(*arrays), expected, strict=True):
                    np.testing.assert_array_equal(found, wanted)


def test_a_state_that_is_not_finite_reaches_only_what_it_is_connected_to() -> None:
    """A pruned weight carries nothing, of NaN and infinity, too."""
    weight = np.zeros((64, 64), np.float32)
    weight[np.arange(64), np.arange(64)] = 0.5
    builder = GraphBuilder()
    x, hidden = builder.input("x", (1, 1, 64)), builder.input("hidden", (1, 64))
    graph = builder.graph([builder.node("Rnn", [x, builder.constant(weight), None, None, hidden], result="hidden")])
    state = np.full((1, 64), 0.5, np.float32)
    state[0, 3] = np.nan
    found = Session(encode(graph))(np.zeros((1, 1, 64), np.float32), state)
    assert np.flatnonzero(np.isnan(found)).tolist() == [3]
