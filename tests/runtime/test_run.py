"""A graph runs node by node, for any batch, in the memory its live values take; what doesn't fit is refused first."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

from netsurgery.errors import InputError
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.runtime.reference import run


def ramp(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def two_inputs() -> Graph:
    builder = GraphBuilder()
    a, b = builder.input("a", ("batch", 3)), builder.input("b", ("batch", 1))
    fixed = builder.input("fixed", (2, 1, 1))
    return builder.graph([builder.node("Mul", [builder.node("Add", [a, b]), fixed])])


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_network_runs_at_any_batch_size_as_in_torch(batch: int) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 5), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.ReLU(), torch.nn.Linear(100, 10)
    ).eval()
    convolution, linear = model[0], model[4]
    builder = GraphBuilder()
    value = builder.input("x", ("batch", 1, 14, 14))
    held = [builder.constant(p.detach().numpy()) for layer in (convolution, linear) for p in (layer.weight, layer.bias)]
    value = builder.node("MaxPool", [builder.node("Conv", [value, *held[:2]])], kernel=(2, 2), strides=(2, 2))
    value = builder.node("Relu", [builder.node("Reshape", [value], shape=(-1, 100))])
    graph = builder.graph([builder.node("Linear", [value, *held[2:]])])
    x = torch.randn(batch, 1, 14, 14)
    (got,) = run(graph, {"x": x.numpy()})
    with torch.no_grad():
        expected = model(x).numpy()
    assert got.shape == (batch, 10)
    # Sums of 26 and 101 terms, each rounding off by 2^-24 of magnitudes that stay below 8 here.
    np.testing.assert_allclose(got, expected, rtol=0, atol=(26 + 101) * 2.0**-24 * 8)


def test_outputs_come_in_their_order_and_may_be_inputs_constants_or_twice_the_same() -> None:
    builder = GraphBuilder()
    x, c = builder.input("x", (2,)), builder.constant([5.0, 7.0])
    y = builder.node("Add", [x, x])
    z = builder.node("Relu", [y])
    outputs = run(builder.graph([z, y, x, c, y]), {"x": np.array([-1, 2], np.float32)})
    assert [output.tolist() for output in outputs] == [[0, 4], [-2, 4], [-1, 2], [5, 7], [-2, 4]]


def test_an_output_is_the_callers_own() -> None:
    builder = GraphBuilder()
    x, c = builder.input("x", (2, 2)), builder.constant([[5.0, 7.0]])
    graph = builder.graph(
        [x, c, builder.node("Reshape", [x], shape=(4,)), builder.node("Transpose", [c], order=(1, 0))]
    )
    given = ramp(2, 2)
    for output in run(graph, {"x": given}):
        output[...] = -1
    np.testing.assert_array_equal(given, ramp(2, 2))
    np.testing.assert_array_equal(graph.constants[c].values, [[5, 7]])


def test_a_left_out_operand_before_a_given_one_is_left_out() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (2, 4))
    graph = builder.graph([builder.node("LayerNorm", [x, None, builder.constant(ramp(4))], axis=1, epsilon=0.0)])
    (got,) = run(graph, {"x": np.array([[-1, 1, -1, 1], [3, 3, 1, 1]], np.float32)})
    np.testing.assert_array_equal(got, [[-1, 2, 1, 4], [1, 2, 1, 2]])


def test_memory_is_that_of_the_values_still_to_be_read() -> None:
    """A chain of 40 one-megabyte values, one of them read again at the end, never holds more than four at once."""
    size = 2**18
    builder = GraphBuilder()
    first = value = builder.node("Relu", [builder.input("x", (1, size))])
    for _ in range(40):
        value = builder.node("Add", [value, value])
        builder.node("Relu", [value])  # nobody reads it
    graph = builder.graph([builder.node("Add", [value, first])])
    x = np.ones((1, size), np.float32)
    tracemalloc.start()
    try:
        run(graph, {"x": x})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4.5 * 4 * size


def test_the_inputs_and_the_callers_dictionary_stay_as_they_were() -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Relu", [builder.input("x", (3,))])])
    given = {"x": np.array([-1, 0, 1], np.float32)}
    run(graph, given)
    assert given["x"].tolist() == [-1, 0, 1]
    assert list(given) == ["x"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": None}, "input 'a' is missing; the network takes 'a', 'b', 'fixed'"),
        ({"c": ramp(1)}, "input 'c' is unknown; the network takes 'a', 'b', 'fixed'"),
        ({"a": ramp(4, 3).astype(np.float64)}, "input 'a' is an array of float64, a NumPy array of float32 is needed"),
        ({"a": ramp(4, 3).astype(">f4")}, "input 'a' is an array of >f4"),
        ({"a": [[1.0, 2.0, 3.0]]}, "input 'a' is a list, a NumPy array of float32 is needed"),
        ({"a": torch.ones(4, 3)}, "input 'a' is a Tensor"),
        ({"a": ramp(4, 2)}, r"input 'a' has shape \(4, 2\); \(batch, 3\) is needed, batch at least 1"),
        ({"a": ramp(3)}, r"input 'a' has shape \(3,\); \(batch, 3\) is needed"),
        ({"a": ramp(0, 3)}, r"input 'a' has shape \(0, 3\); \(batch, 3\) is needed, batch at least 1"),
        (
            {"b": ramp(5, 1)},
            "input 'b' has size 5 in place 0, where axis 'batch' is; elsewhere that is 4. They must be the same",
        ),
        ({"fixed": ramp(1, 1, 1)}, r"input 'fixed' has shape \(1, 1, 1\); \(2, 1, 1\) is needed\."),
    ],
)
def test_what_the_network_does_not_take_is_refused(change: dict[str, Any], message: str) -> None:
    inputs: dict[str, Any] = {"a": ramp(4, 3), "b": ramp(4, 1), "fixed": ramp(2, 1, 1)}
    assert run(two_inputs(), inputs)[0].shape == (2, 4, 3)
    inputs = {name: array for name, array in {**inputs, **change}.items() if array is not None}
    with pytest.raises(InputError, match=message):
        run(two_inputs(), inputs)


def test_sizes_that_are_too_small_are_refused_with_the_place() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", "time"))
    graph = builder.graph([builder.node("Slice", [x], "third", place="net.cut", axis=1, start=2, stop=3)])
    assert run(graph, {"x": ramp(2, 3)})[0].tolist() == [[2], [5]]
    reason = (
        r"can't run at batch 3, time 2: time is 2: it must be at least 3\. "
        r"\(Slice 'third' \(at net.cut\): start=2, stop=3 must lie inside axis 1"
    )
    with pytest.raises(InputError, match=reason):
        run(graph, {"x": ramp(3, 2)})


def test_no_floating_point_warning_leaks_and_the_callers_settings_stay() -> None:
    builder = GraphBuilder()
    x = builder.input("x", (3,))
    graph = builder.graph([builder.node("Div", [x, x]), builder.node("Mul", [x, x]), builder.node("Sub", [x, x])])
    with np.errstate(all="raise"):
        divided, multiplied, subtracted = run(graph, {"x": np.array([0, 3e38, np.inf], np.float32)})
        with pytest.raises(FloatingPointError):
            np.float32(1) / np.float32(0)
    np.testing.assert_array_equal(divided, [np.nan, 1, np.nan])
    np.testing.assert_array_equal(multiplied, [0, np.inf, np.inf])
    np.testing.assert_array_equal(subtracted, [0, 0, np.nan])
