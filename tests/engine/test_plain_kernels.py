"""Every operator's plain kernel gives what the reference gives, for any shapes, odd values and splits of the work."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.each_case import each_case
from tests.packed.graphs import all_graphs, random_inputs
from tests.samples.case import GATES, Case
from tests.samples.table import SAMPLES, cases

from netsurgery import _native
from netsurgery.graph.ir import Array
from netsurgery.graph.operators import OPERATORS
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode
from netsurgery.runtime.reference import run, run_node

UNIT = 2.0**-24
"""Half the distance from 1 to the next float32: what one rounding may be off by, relatively."""
DOUBLE_UNIT = 2.0**-53

PICKED = {"FirstEntries", "Gather", "GatherElements", "GatherND", "TopKValues"}
MOVED = {"Reshape", "Concat", "Transpose", "Slice", "Pad", "Resize", "Embedding", "Where", "Integers", *PICKED}
MOVED |= {"DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Trilu", "Reverse"}
"""Entries only go elsewhere: bit by bit the same, the sign of zero and what a NaN carries included."""
EXACT = {"Relu", "Clip", "LeakyRelu", "MaxPool", "AdaptiveMaxPool", "Add", "Sub", "Mul", "Div", "Cast"} | {
    *("Sqrt", "Sign", "Floor", "Ceil", "Round", "Trunc", "ThresholdedRelu", "Shrink", "Min", "Max", "Fmod"),
    *("Remainder", "PRelu", "ReduceMax", "ReduceMin", "ScatterElements", "ScatterND"),
}
"""Selected or rounded once: the same but for the sign of a zero."""
PRODUCTS = {"Conv", "Linear", "MatMul"}
ULPS = {"HardSigmoid": 1, "HardSwish": 3, "Sigmoid": 3, "Silu": 3, "Gelu": 6, "Tanh": 6}
"""Of one entry each: what isa/functions.hpp says, tested by test_plain_functions.py for values of all sizes."""
ODD = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-40, 3e38, -3e38, 1.0, -2.5], np.float32)
SUMMED_IN_FLOAT32 = {"WalshHadamard"}
"""By the engine at each stage, as torch does: a sum on the way may exceed float32 where the whole doesn't."""
NOT_FINITE = np.array([math.nan, math.inf, -math.inf, 1.0, -2.5, 0.5], np.float32)

ways = st.fixed_dictionaries(
    {"each": st.sampled_from([1, 2, 3, 7]), "last_first": st.booleans(), "in_place": st.booleans()}
)


def reference(case: Case, operands: list[Array | None]) -> Array:
    return run_node(case.graph(operands).nodes[0], operands)


def assert_near(got: Array, wanted: Array, bound: Any) -> None:
    """NaN and infinities where they are wanted; elsewhere no further off than `bound`."""
    assert got.shape == wanted.shape
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(got[~finite], wanted[~finite])
    off = np.abs(got[finite].astype(np.float64) - wanted[finite])
    assert (off <= np.broadcast_to(bound, wanted.shape)[finite]).all(), off.max()


def assert_as_the_reference(case: Case, operands: list[Array | None], got: Array) -> None:
    if case.operator in PRODUCTS:
        assert_near(got, reference(case, operands), product_bound(case, operands))
        return
    wanted = reference(case, operands)
    assert got.dtype == wanted.dtype
    if case.operator in MOVED or wanted.dtype != np.float32:
        assert got.shape == wanted.shape
        assert got.tobytes() == wanted.tobytes()
    elif case.operator in EXACT:
        np.testing.assert_array_equal(got, wanted)
    else:
        with np.errstate(all="ignore"):
            assert_near(got, wanted, rounding_bound(case, operands, wanted))


def product_bound(case: Case, operands: list[Array | None]) -> Array:
    """n roundings are off by at most n * UNIT / (1 - n * UNIT) times the sum of magnitudes (Higham 2002, section 3.1).

    A sum of n terms with a bias rounds at most n + 2 times on its way; so does the reference.
    """
    shape = case.shapes[1] or ()
    terms = math.prod(shape[1:]) if case.operator != "MatMul" else (case.shapes[0] or ())[-1]
    each = (terms + 2) * UNIT / (1 - (terms + 2) * UNIT)
    return 2.01 * each * reference(case, [None if one is None else np.abs(one) for one in operands])


def rounding_bound(case: Case, operands: list[Array | None], wanted: Array) -> Array:
    """Both sides work in float64 and round once, so that they are one ulp apart where they lie on two sides of a tie.

    What float64 sums in another order differ by counts as well: some 2 n DOUBLE_UNIT of the magnitudes, which matters
    where these cancel. Powers of e are within two ulps and what their exponent is rounded by; sums of them are within
    four, so that shares of them are within six more, and their logarithm, off by as much, is rounded once more.
    """
    x = operands[0]
    assert x is not None
    ulp = np.spacing(np.abs(wanted)).astype(np.float64)
    magnitude = np.abs(x[np.isfinite(x)]).max(initial=1.0).astype(np.float64)
    if case.operator in ULPS:
        return ULPS[case.operator] * ulp
    if case.operator in {"Softmax", "LogSoftmax"}:
        with np.errstate(invalid="ignore"):
            below = x.max(case.attributes["axis"], keepdims=True) - x.astype(np.float64)
        below = np.where(np.isfinite(below), below, 0) * (case.operator == "Softmax")
        return (8 + below) * ulp + 6 * UNIT * (case.operator == "LogSoftmax") + np.finfo(np.float32).tiny
    if case.operator == "LayerNorm":
        variance = np.var(x.astype(np.float64), axis=tuple(range(case.attributes["axis"], x.ndim)), keepdims=True)
        scale, bias = (*operands[1:], None, None)[:2]
        gain = magnitude / np.sqrt(variance + case.attributes.get("epsilon", 1e-5))
        gain = gain * (1 if scale is None else np.abs(scale)) + (0 if bias is None else np.abs(bias))
        return ulp + 8 * x.size * DOUBLE_UNIT * gain
    if case.operator in GATES:
        return recurrent_bound(case, operands)
    if case.operator in {"Interpolate", "GridSample", "RoiAlign"}:
        # Weights come of rounded positions and are divided by their sum; of cubic their magnitudes sum to less than 3.
        return ulp + 200 * x.size * DOUBLE_UNIT * magnitude
    if case.operator == "RmsNorm":
        return ulp + 4 * x.size * DOUBLE_UNIT * np.abs(wanted)
    if case.operator in {"ReduceProd", "ReduceSumSquare", "ReduceL2"}:  # nothing cancels
        return ulp + 2 * x.size * DOUBLE_UNIT * np.abs(wanted)
    if case.operator == "WalshHadamard":  # a sum of floats, rounded once at each of log2(size) stages
        stages = x.shape[case.attributes["axis"]].bit_length() - 1
        each = stages * UNIT / (1 - stages * UNIT)
        return ulp + each * np.abs(x.astype(np.float64)).sum(case.attributes["axis"], keepdims=True)
    if case.operator == "Lrn":
        return 2 * ulp * (1 + x.shape[1] * 2.0**-20)
    return ulp + 2 * x.size * DOUBLE_UNIT * magnitude


def recurrent_bound(case: Case, operands: list[Array | None]) -> Array:
    """Of activations that are 1-Lipschitz and at most 1. A step adds the roundings of its sums, and of some products
    of numbers of at most the cell's size, and hands on the errors of states, each through the weights of all gates.
    """
    gates, weight, *others = (np.zeros(1) if one is None else np.abs(one.astype(np.float64)) for one in operands)
    gates = np.where(np.isfinite(gates), gates, 0)
    time = gates.shape[1 if case.attributes.get("batch_first") else 0]
    largest = max((one[np.isfinite(one)].max(initial=0) for one in others), default=0.0)
    cell = time + largest
    reach = 1 + GATES[case.operator] * weight.sum(1).max() * (1 + cell) * max(1.0, largest * case.shapes[1][1])
    error = 8 * (weight.shape[1] + 8) * UNIT * (gates.max() + reach * (1 + cell))
    return np.asarray(error * sum((1 + reach) ** step for step in range(time)))


def test_every_operator_has_samples() -> None:
    assert set(SAMPLES) == set(OPERATORS)


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=20, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), ways=ways)
def test_a_kernel_gives_what_the_reference_gives(
    operator: str, data: st.DataObject, seed: int, ways: dict[str, Any]
) -> None:
    case = data.draw(cases(operator))
    operands = case.operands(np.random.default_rng(seed))
    got = case.run(operands)
    assert_as_the_reference(case, operands, got)
    assert case.run(operands, **ways).tobytes() == got.tobytes()


@pytest.mark.parametrize("operator", [one for one in OPERATORS if one not in {*PRODUCTS, *GATES}])
@settings(max_examples=20, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), ways=ways)
def test_odd_values_give_what_they_give_in_the_reference(
    operator: str, data: st.DataObject, seed: int, ways: dict[str, Any]
) -> None:
    case = data.draw(cases(operator))
    rng = np.random.default_rng(seed)
    operands = case.operands(rng)
    for place, one in enumerate(operands):
        if one is not None and not case.takes(place) and case.kind(place) is ValueType.FLOAT32:
            sprinkle(rng, one, NOT_FINITE if operator in SUMMED_IN_FLOAT32 else ODD)
    got = case.run(operands, **ways)
    assert_as_the_reference(case, operands, got)


def sprinkle(rng: np.random.Generator, values: Array, odd: Array) -> None:
    here = rng.random(values.shape) < rng.choice([0.05, 0.3, 1.0])
    values[...] = np.where(here, rng.choice(odd, values.shape), values)


@pytest.mark.parametrize("operator", ["Conv", "Linear"])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), ways=ways)
def test_what_is_not_finite_reaches_just_the_outputs_that_have_a_connection_to_it(
    operator: str, data: st.DataObject, seed: int, ways: dict[str, Any]
) -> None:
    """A pruned weight carries nothing: of NaN and infinities, too, there is only what the others carry."""
    case = data.draw(cases(operator))
    rng = np.random.default_rng(seed)
    x, weight, *bias = case.operands(rng)
    assert x is not None
    assert weight is not None
    sprinkle(rng, x, NOT_FINITE)
    got = case.run([x, weight, *bias], **ways)

    without = np.where(np.isfinite(x), x, np.float32(0))

    def reached(values: Array, weights: Array) -> Array:
        counts = reference(Case(operator, case.shapes[:2], case.attributes), [np.float32(values), np.float32(weights)])
        return np.asarray(counts > 0)

    up = reached(x == math.inf, weight > 0) | reached(x == -math.inf, weight < 0)
    down = reached(x == -math.inf, weight > 0) | reached(x == math.inf, weight < 0)
    nan = reached(np.isnan(x), weight != 0) | (up & down)
    wanted = reference(case, [without, weight, *bias])
    wanted = np.where(nan, math.nan, np.where(up, math.inf, np.where(down, -math.inf, wanted)))
    assert_near(got, wanted.astype(np.float32), product_bound(case, [without, weight, *bias]))


@settings(max_examples=60, deadline=None)
@given(case=cases("MatMul"), seed=st.integers(0, 2**32 - 1), ways=ways)
def test_a_product_of_two_values_has_every_connection(case: Case, seed: int, ways: dict[str, Any]) -> None:
    """0 * NaN is NaN here, as in numpy.matmul: neither factor was pruned."""
    rng = np.random.default_rng(seed)
    operands = case.operands(rng)
    for one in operands:
        assert one is not None
        sprinkle(rng, one, np.append(NOT_FINITE, np.float32(0)))
    wanted = reference(case, operands)
    finite = [np.where(np.isfinite(one), one, np.float32(0)) for one in operands if one is not None]
    assert_near(case.run(operands, **ways), wanted, product_bound(case, [*finite]))


LARGE = [case for samples in SAMPLES.values() for case in samples.large]


@each_case("case", LARGE, ids=lambda case: f"{case.operator}-{case.shapes}".replace(" ", ""))
def test_work_in_many_pieces_gives_the_same_in_any_split(case: Case) -> None:
    operands = case.operands(np.random.default_rng(3))
    got = case.run(operands)
    assert_as_the_reference(case, operands, got)
    for ways in ({"each": 1, "last_first": True}, {"each": 3, "in_place": True}):
        assert case.run(operands, **ways).tobytes() == got.tobytes()


@pytest.mark.parametrize(
    "operator", ["Conv", "Linear", "MatMul", "Softmax", "LogSoftmax", "LayerNorm", "Lrn", "Gelu", "AveragePool"]
)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_an_image_gets_the_same_bits_in_a_batch_as_alone(operator: str, data: st.DataObject, seed: int) -> None:
    """Whatever a runtime does with the batch: results may not depend on how it is cut."""
    case = data.draw(cases(operator))
    rng = np.random.default_rng(seed)
    one, *others = case.operands(rng)
    assert one is not None
    if one.ndim < 2 or case.attributes.get("axis") == 0 or (operator == "MatMul" and case.shapes[1][:-2]):
        return
    together = case.run([one, *others])
    for image in range(len(one)):
        alone = Case(operator, ((1, *one.shape[1:]), *case.shapes[1:]), case.attributes)
        assert alone.run([one[image : image + 1], *others]).tobytes() == together[image].tobytes()


@each_case("name", all_graphs())
def test_whole_networks_give_what_the_reference_gives(name: str) -> None:
    graph = all_graphs()[name]
    sizes = {name: max(3, least) for name, least in graph.least.items()}
    inputs = random_inputs(graph, sizes)
    given = [inputs[one.name] for one in graph.inputs]
    results = _native.run_plain(encode(graph), given, list(sizes.values()), each=1)
    for result, wanted in zip(results, run(graph, inputs), strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-5)
