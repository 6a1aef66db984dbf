"""A tensor comes back bit for bit, by whichever coder, and what is special about it is seen without being said."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.each_case import each_case

from netsurgery import _native
from netsurgery.errors import NonFiniteWeightsError
from netsurgery.graph.planes import on_grid, recognised_planes, sum_of_planes
from netsurgery.graph.recognition import recognised
from netsurgery.graph.weights import Dense
from netsurgery.packed.tensor_writer import TensorWriter
from specification import coder as reference_coder
from specification.tensors import Stored, TensorReader

CODERS = (_native, reference_coder)
SHAPES = (
    (),
    (1,),
    (7,),
    (1, 1),
    (1, 33),
    (33, 1),
    (4, 8),
    (3, 5),
    (5, 3, 4),
    (3, 2, 3, 3),
    (1, 4, 1, 5),
    (2, 1, 2, 3, 2),
)
SPECIAL = np.array([-0.0, 1e-45, -1e-45, 1.1754942e-38, 1.1754944e-38, 3.4028235e38, -3.4028235e38, 1.0], np.float32)


def gaussian(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(0, 0.05, shape).astype(np.float32)


def as_bfloat16(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (gaussian(rng, shape).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def as_float16(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return gaussian(rng, shape).astype(np.float16).astype(np.float32)


def powers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.choice([-1, 1], shape) * 2.0 ** rng.integers(-8, -4, shape)).astype(np.float32)


def scaled_powers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    rows = rng.uniform(1, 2, (*shape[:1], *[1] * (len(shape) - 1))).astype(np.float32)
    return powers(rng, shape) * rows


def codebook(size: int, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = np.unique(gaussian(rng, (2 * size,)))[:size]
    places = rng.permutation(np.arange(math.prod(shape)) % size)
    return values[places].reshape(shape)


def planes(count: int, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    rows = shape[0] if len(shape) > 1 else 1
    scales = on_grid(np.cumprod(rng.uniform(0.3, 0.6, (rows, count)), axis=1))
    return sum_of_planes(scales, rng.integers(0, 2, (count, rows, math.prod(shape) // rows), np.uint8)).reshape(shape)


def almost_planes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = planes(2, rng, shape)
    values.reshape(-1).view(np.uint32)[rng.integers(values.size)] ^= 1
    return values


def special(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice(SPECIAL, shape).astype(np.float32)


def any_finite(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = rng.integers(0, 2**32, shape, np.uint32).view(np.float32).copy()
    return np.where(np.isfinite(values), values, np.float32(-0.0))


def of_codebook(size: int):
    return lambda rng, shape: codebook(size, rng, shape)


def of_planes(count: int):
    return lambda rng, shape: planes(count, rng, shape)


KINDS = {
    **{f"codebook of {size}": of_codebook(size) for size in (1, 2, 3, 255, 256, 257)},
    **{f"{count} planes": of_planes(count) for count in (1, 2, 3, 4, 5, 8)},
    **{one.__name__: one for one in (gaussian, as_bfloat16, as_float16, powers, scaled_powers)},
    **{one.__name__: one for one in (almost_planes, special, any_finite)},
}


def drawn(kind: str, seed: int, shape: tuple[int, ...], density: float) -> np.ndarray:
    """Values of a kind; a share of them is +0 instead."""
    rng = np.random.default_rng(seed)
    values = np.asarray(KINDS[kind](rng, shape), np.float32)
    return np.where(rng.random(shape) < density, values, np.float32(0)).astype(np.float32).reshape(shape)


def written(module: ModuleType, tensors: list[np.ndarray], plane: int = 1, width: int = 1) -> bytes:
    encoder = module.Encoder()
    writer = TensorWriter(encoder)
    for tensor in tensors:
        picture = (plane, width) if tensor.ndim == 2 else (1, 1)
        writer.write("tensor", recognised(Dense(tensor)), *picture)
    return encoder.finish()


def read(module: ModuleType, content: bytes, shapes: list[tuple[int, ...]]) -> list[tuple[np.ndarray, Stored]]:
    decoder = module.Decoder(content)
    reader = TensorReader(decoder)
    tensors = [reader.read(shape) for shape in shapes]
    assert decoder.at_end
    return [(weights.values, how) for weights, how in tensors]


def stored(tensor: np.ndarray) -> Stored:
    """How a tensor lies in a file of its own, having come back bit for bit."""
    [(values, how)] = read(_native, written(_native, [tensor]), [tensor.shape])
    assert_bits_equal(values, tensor)
    return how


def assert_bits_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def entropy(values: np.ndarray) -> float:
    """Bits for each, of independent values with these frequencies."""
    share = np.unique(values, return_counts=True)[1] / values.size
    return float(-(share * np.log2(share)).sum())


TENSORS = st.builds(
    drawn,
    st.sampled_from(list(KINDS)),
    st.integers(0, 2**32 - 1),
    st.sampled_from(SHAPES),
    st.sampled_from([0.0, 0.03, 0.5, 1.0, 1.0]),
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(tensors=st.lists(TENSORS, min_size=1, max_size=4))
@example(tensors=[drawn("2 planes", 0, (6, 40), 1.0), drawn("codebook of 3", 1, (6, 40), 1.0)])
@example(tensors=[drawn("codebook of 3", 2, (200,), 0.5), drawn("codebook of 257", 3, (2, 270), 1.0)])
@example(tensors=[drawn("3 planes", 4, (1, 64), 1.0), drawn("scaled_powers", 5, (9, 20), 0.5)])
def test_tensors_come_back_bit_for_bit_and_both_coders_agree(tensors: list[np.ndarray]) -> None:
    shapes = [tensor.shape for tensor in tensors]
    contents = [written(module, tensors) for module in CODERS]
    assert contents[0] == contents[1]
    results = [read(module, contents[0], shapes) for module in CODERS]
    assert [how for _, how in results[0]] == [how for _, how in results[1]]
    for result in results:
        for (values, how), tensor in zip(result, tensors, strict=True):
            assert_bits_equal(values, tensor)
            bits = tensor.view(np.uint32)
            distinct = len(np.unique(bits[bits != 0]))
            assert (how.shape, how.kept) == (tensor.shape, np.count_nonzero(bits))
            assert how.distinct == (distinct if distinct <= 256 else -1)
        assert sum(how.bits for _, how in result) == pytest.approx(8 * len(contents[0]), abs=32)


@each_case("kind", KINDS)
@each_case("density", [0.02, 0.3, 1.0])
@each_case("shape", [(64, 64), (1, 4000), (4000, 1), (20, 16, 5, 5), (3000,)])
def test_larger_tensors_come_back_bit_for_bit(kind: str, density: float, shape: tuple[int, ...]) -> None:
    tensor = drawn(kind, 7, shape, density)
    how = stored(tensor)
    assert (how.shape, how.kept) == (shape, np.count_nonzero(tensor.view(np.uint32)))


@pytest.mark.parametrize(("plane", "width"), [(1, 1), (16, 4), (8, 8), (48, 1), (6, 3)])
@pytest.mark.parametrize("module", CODERS)
def test_a_picture_is_a_hint_that_changes_no_entry(module: ModuleType, plane: int, width: int) -> None:
    tensor = drawn("gaussian", 1, (5, 48), 0.3)
    [(values, _)] = read(module, written(module, [tensor], plane, width), [tensor.shape])
    assert_bits_equal(values, tensor)


ROWS, COLUMNS = 96, 100
ENTRIES = ROWS * COLUMNS
SLACK = 1.03, 400
"""What learning may cost: a share of all bits, and bits once."""


def of_planes_bits(count: int):
    return lambda tensor: count * tensor.size + count * len(tensor) * 32


def sign_and_exponent(tensor: np.ndarray) -> float:
    return entropy(tensor.view(np.uint32) >> 23)


@pytest.mark.parametrize(
    ("kind", "encoding", "bits"),
    [
        ("powers", "powers of two", lambda w: ENTRIES * sign_and_exponent(w)),
        ("scaled_powers", "scaled powers of two", lambda w: ROWS * 23 + ENTRIES * sign_and_exponent(w)),
        ("as_bfloat16", "bfloat16", lambda w: ENTRIES * (7 + sign_and_exponent(w))),
        ("as_float16", "float16", lambda w: ENTRIES * (10 + sign_and_exponent(w))),
        ("gaussian", "float32", lambda w: ENTRIES * (23 + sign_and_exponent(w))),
        ("codebook of 2", "codebook of 2", lambda w: ENTRIES * entropy(w) + 2 * 32),
        ("codebook of 3", "codebook of 3", lambda w: ENTRIES * entropy(w) + 3 * 32),
        ("codebook of 256", "codebook of 256", lambda w: 1.03 * ENTRIES * entropy(w) + 256 * 32),
        ("1 planes", "1 binary plane", of_planes_bits(1)),
        ("2 planes", "2 binary planes", of_planes_bits(2)),
        *((f"{count} planes", f"{count} binary planes", of_planes_bits(count)) for count in (3, 4, 5, 8)),
    ],
)
def test_what_is_special_about_weights_is_seen_and_costs_what_it_has_to_say(kind: str, encoding: str, bits) -> None:
    tensor = drawn(kind, 3, (ROWS, COLUMNS), 1.0)
    how = stored(tensor)
    assert how.encoding == encoding
    assert how.bits <= SLACK[0] * bits(tensor) + SLACK[1]


@pytest.mark.parametrize(
    ("values", "encoding"),
    [((1, 2, 4, 8), "powers of two"), ((3, 5, 6, 9), "codebook of 8"), ((1, 3, 5, 7), "3 binary planes")],
)
def test_large_tensors_are_planes_only_where_that_takes_as_few_bits_as_anything_else(values, encoding: str) -> None:
    """Of any four magnitudes a row is a sum of four planes."""
    rng = np.random.default_rng(0)
    tensor = rng.choice(np.array([*values, *(-value for value in values)], np.float32), (17, 62_000))
    assert recognised_planes(tensor) is not None
    assert stored(tensor).encoding == encoding


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
def test_a_pruned_tensor_costs_its_mask_and_its_weights(density: float) -> None:
    tensor = drawn("as_bfloat16", 3, (200, 300), density)
    kept = tensor[tensor != 0]
    how = stored(tensor)
    assert how.encoding == "bfloat16"
    assert how.bits <= SLACK[0] * (tensor.size * entropy(tensor != 0) + kept.size * (7 + sign_and_exponent(kept))) + 400


def test_columns_that_are_all_zero_cost_one_bit_each_at_most() -> None:
    tensor = drawn("powers", 3, (200, 300), 0.5)
    tensor[:, np.random.default_rng(0).random(300) < 0.9] = 0
    live = tensor[:, tensor.any(axis=0)]
    assert stored(tensor).bits <= stored(live).bits + 300


def test_zeros_cost_next_to_nothing() -> None:
    how = stored(np.zeros((500, 800), np.float32))
    assert (how.encoding, how.kept, how.distinct) == ("zero", 0, 0)
    assert how.bits < 16


def test_negative_zeros_are_kept_and_distinct() -> None:
    how = stored(np.array([[-0.0, 0.0, 1.0, -0.0]], np.float32))
    assert (how.kept, how.distinct) == (3, 2)


@pytest.mark.parametrize(("size", "encoding", "distinct"), [(256, "codebook of 256", 256), (257, "float32", -1)])
def test_256_distinct_values_make_a_codebook_and_257_do_not(size: int, encoding: str, distinct: int) -> None:
    how = stored(codebook(size, np.random.default_rng(0), (80, 60)))
    assert (how.encoding, how.distinct) == (encoding, distinct)


def test_a_257th_value_in_the_last_place_is_seen() -> None:
    tensor = codebook(256, np.random.default_rng(0), (80, 60))
    tensor[-1, -1] = 3.14
    assert stored(tensor).encoding == "float32"


def test_a_sparse_codebook_says_nothing_of_zeros() -> None:
    how = stored(drawn("codebook of 3", 0, (80, 60), 0.1))
    assert (how.encoding, how.distinct) == ("codebook of 3", 3)


@pytest.mark.parametrize(("density", "signs"), [(1.0, 1), (1.0, 2), (0.1, 2)])
def test_a_scale_that_all_rows_have_is_said_once(density: float, signs: int) -> None:
    rng = np.random.default_rng(0)
    tensor = np.where(rng.random((200, 60)) < density, rng.choice([0.3, -0.3][:signs], (200, 60)), 0)
    bits = tensor.size * entropy(tensor != 0) + np.count_nonzero(tensor) * (signs - 1)
    assert stored(tensor.astype(np.float32)).bits <= SLACK[0] * bits + SLACK[1]


@pytest.mark.parametrize(("empty", "encoding"), [(5, "2 binary planes"), (40, "codebook of 4")])
def test_a_few_rows_of_zeros_among_planes_are_planes_too(empty: int, encoding: str) -> None:
    tensor = sum_of_planes(
        on_grid(np.array([[0.3, 0.1]] * 60)), np.random.default_rng(0).integers(0, 2, (2, 60, 80), np.uint8)
    )
    tensor[:empty] = 0
    assert stored(tensor).encoding == encoding


def test_planes_that_are_off_by_one_place_are_another_thing() -> None:
    how = stored(drawn("almost_planes", 0, (60, 80), 1.0))
    assert "planes" not in how.encoding


def test_values_beyond_the_first_4096_are_counted_too() -> None:
    tensor = np.full(5000, 0.3, np.float32)
    tensor[4500:] = gaussian(np.random.default_rng(0), (500,))
    assert (stored(tensor).encoding, stored(tensor).distinct) == ("float32", -1)


@pytest.mark.parametrize("shape", [(2**10, 2**10 + 1), (3, 2**18)])
@pytest.mark.parametrize("kind", ["gaussian", "codebook of 256", "2 planes", "scaled_powers"])
@pytest.mark.parametrize("density", [0.01, 1.0])
def test_large_tensors_for_which_the_writer_takes_its_short_ways_come_back(kind: str, shape, density: float) -> None:
    stored(drawn(kind, 0, shape, density))


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")], ids=["nan", "inf", "-inf"]
)
@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 2, 3, 3)])
def test_nan_and_infinity_are_refused_by_name_with_what_to_do(value: float, word: str, shape) -> None:
    tensor = np.ones(shape, np.float32)
    tensor[(-1,) * len(shape)] = value
    encoder = _native.Encoder()
    with pytest.raises(NonFiniteWeightsError, match=rf"^fc1\.weight holds {word}; .* Repair the model first\.$"):
        TensorWriter(encoder).write("fc1.weight", Dense(tensor))
    assert encoder.finish() == b""


def test_nan_beside_infinity_is_called_nan() -> None:
    with pytest.raises(NonFiniteWeightsError, match="NaN"):
        TensorWriter(_native.Encoder()).write("w", Dense(np.array([np.inf, np.nan], np.float32)))


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_the_layout_in_memory_means_nothing(order: str) -> None:
    tensor = drawn("gaussian", 0, (6, 4, 3, 3), 0.5)
    laid = np.repeat(tensor, 2, axis=0)[::2] if order == "strided" else np.array(tensor, order=order)
    assert written(_native, [laid]) == written(_native, [tensor])
