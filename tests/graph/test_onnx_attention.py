"""Attention, rotary embeddings and packed weights as ONNX Runtime's own operators: the same numbers as there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.passes import simplify  # noqa: E402
from netsurgery.graph.recognition import recognise_weights  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(7)
BATCH, STEPS, HEADS, GROUPS, WIDTH, PLACES = 2, 6, 4, 2, 16, 300
ALL, SOME = HEADS * WIDTH, GROUPS * WIDTH


def floats(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


class Case(NamedTuple):
    """A node: its operands by name, None where one is left out; those that are computed; its attributes."""

    operator: str
    operands: dict[str, Any]
    computed: tuple[str, ...]
    attributes: dict[str, Any]
    outputs: int = 1


def case(operator: str, computed: str, outputs: int = 1, /, *, operands: dict[str, Any], **attributes: Any) -> Case:
    return Case(operator, operands, tuple(computed.split()), attributes, outputs)


X = {"x": floats(BATCH, STEPS, 12)}
WEIGHTS = {"w": floats(12, 3 * ALL), "b": floats(3 * ALL)}
KEYS_SEEN = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.int32)
LENGTHS = np.array([4, 6], np.int32)
PARTS = {"q": floats(BATCH, STEPS, ALL), "k": floats(BATCH, 5, ALL), "v": floats(BATCH, 5, ALL)}
ALIKE = {name: floats(BATCH, STEPS, ALL) for name in "qkv"}
GROUPED = {"q": floats(BATCH, STEPS, ALL), "k": floats(BATCH, STEPS, SOME), "v": floats(BATCH, STEPS, SOME)}
NO_PAST = {"past_key": None, "past_value": None}
CACHED = {"b": None, "mask": None, "addend": None} | dict.fromkeys(("pk", "pv"), floats(BATCH, HEADS, 3, WIDTH))
SIZES = {"lengths": np.full(BATCH, STEPS - 1, np.int32), "total": np.array([STEPS], np.int32)}
TABLES = {"cos": floats(PLACES, WIDTH // 2), "sin": floats(PLACES, WIDTH // 2)}
PART_TABLES = {"cos": floats(PLACES, 2), "sin": floats(PLACES, 2)}
CHOSEN = RANDOM.integers(0, PLACES, (BATCH, STEPS)).astype(np.int64)
QUERIES = {"x": floats(BATCH, STEPS, ALL)}
LEVELS = {"x": np.ones((3, 16), np.float32), "codes": np.zeros(16, np.uint8), "scales": np.ones(2, np.float32)}


def packed(bits: int, inputs: int, outputs: int, block: int, zeros: bool) -> dict[str, Any]:
    blocks = -(-inputs // block)
    made = {
        "x": floats(3, inputs),
        "codes": RANDOM.integers(0, 256, (outputs, blocks, block * bits // 8)).astype(np.uint8),
        "scales": np.abs(floats(outputs * blocks)),
    }
    per_row = -(-blocks * bits // 8)
    return made | ({"zeros": RANDOM.integers(0, 256, outputs * per_row).astype(np.uint8)} if zeros else {})


def table_of(kind: str, *, zeros: bool) -> dict[str, Any]:
    """A table (7, 40) in blocks of 16, as bytes of two numbers or more along its last axis."""
    per_byte = {"4": 2, "8": 1}[kind]
    made = {
        "codes": RANDOM.integers(0, 256, (7, 40 // per_byte)).astype(np.uint8),
        "x": RANDOM.integers(0, 7, (BATCH, STEPS)).astype(np.int64),
        "scales": np.abs(floats(7, 3)),
    }
    return made | ({"zeros": RANDOM.integers(0, 256, (7, -(-3 // per_byte))).astype(np.uint8)} if zeros else {})


CASES: dict[str, Case] = {
    "attention": case("Attention", "x", operands={**X, **WEIGHTS}, num_heads=HEADS),
    "attention that looks back": case(
        "Attention", "x", operands={**X, **WEIGHTS}, num_heads=HEADS, unidirectional=1, scale=0.25
    ),
    "attention with keys hidden": case(
        "Attention", "x mask", operands={**X, **WEIGHTS, "mask": KEYS_SEEN}, num_heads=HEADS
    ),
    "attention with known keys hidden": case(
        "Attention", "x", operands={**X, **WEIGHTS, "mask": KEYS_SEEN}, num_heads=HEADS
    ),
    "attention over lengths": case("Attention", "x mask", operands={**X, **WEIGHTS, "mask": LENGTHS}, num_heads=HEADS),
    "attention with rows of keys hidden": case(
        "Attention",
        "x mask",
        operands={**X, **WEIGHTS, "mask": np.broadcast_to(KEYS_SEEN[:, None], (BATCH, STEPS, STEPS)).copy()},
        num_heads=HEADS,
    ),
    "attention with an addend": case(
        "Attention",
        "x addend",
        operands={**X, **WEIGHTS, "mask": None, "past": None, "addend": floats(BATCH, HEADS, STEPS, STEPS)},
        num_heads=HEADS,
    ),
    "attention whose values are wider": case(
        "Attention",
        "x",
        operands={**X, "w": floats(12, 2 * ALL + 40), "b": floats(2 * ALL + 40)},
        num_heads=HEADS,
        qkv_hidden_sizes=[ALL, ALL, 40],
    ),
    "several inputs": case("MultiHeadAttention", "q k v", operands=PARTS, num_heads=HEADS),
    "several inputs, biased": case(
        "MultiHeadAttention", "q k v", operands={**PARTS, "b": floats(3 * ALL)}, num_heads=HEADS, scale=0.3
    ),
    "several inputs, keys hidden": case(
        "MultiHeadAttention",
        "q k v mask",
        operands={**ALIKE, "b": None, "mask": KEYS_SEEN, "addend": floats(1, 1, STEPS, STEPS)},
        num_heads=HEADS,
    ),
    "several inputs that look back": case(
        "MultiHeadAttention", "q k v", operands=ALIKE, num_heads=HEADS, unidirectional=1
    ),
    "keys and values with heads": case(
        "MultiHeadAttention",
        "q k v",
        operands={"q": PARTS["q"], "k": floats(BATCH, HEADS, 5, WIDTH), "v": floats(BATCH, HEADS, 5, WIDTH)},
        num_heads=HEADS,
    ),
    "groups": case(
        "GroupQueryAttention", "q k v", operands={**GROUPED, **NO_PAST, **SIZES}, num_heads=HEADS, kv_num_heads=GROUPS
    ),
    "groups, turned": case(
        "GroupQueryAttention",
        "q k v",
        3,
        operands={**GROUPED, **NO_PAST, **SIZES, **TABLES},
        num_heads=HEADS,
        kv_num_heads=GROUPS,
        do_rotary=1,
    ),
    "groups, turned pair by pair": case(
        "GroupQueryAttention",
        "q k v",
        operands={**GROUPED, **NO_PAST, **SIZES, **TABLES},
        num_heads=HEADS,
        kv_num_heads=GROUPS,
        do_rotary=1,
        rotary_interleaved=1,
    ),
    "groups that look back three steps": case(
        "GroupQueryAttention",
        "q k v",
        operands={**GROUPED, **NO_PAST, **SIZES},
        num_heads=HEADS,
        kv_num_heads=GROUPS,
        local_window_size=3,
    ),
    "groups with a cap": case(
        "GroupQueryAttention",
        "q k v",
        operands={**GROUPED, **NO_PAST, **SIZES},
        num_heads=HEADS,
        kv_num_heads=GROUPS,
        softcap=2.0,
    ),
    "groups in one input": case(
        "GroupQueryAttention",
        "q",
        operands={"q": floats(BATCH, STEPS, ALL + 2 * SOME), "k": None, "v": None, **NO_PAST, **SIZES},
        num_heads=HEADS,
        kv_num_heads=GROUPS,
    ),
    **{
        f"groups with a cache, {name}": case(
            "GroupQueryAttention",
            "q k v past_key past_value lengths",
            3,
            operands={
                **({part: x[: len(ends), :steps].copy() for part, x in GROUPED.items()}),
                **{past: floats(len(ends), GROUPS, room, WIDTH) for past in ("past_key", "past_value")},
                "lengths": np.array(ends, np.int32) - 1,
                "total": np.array([max(ends)], np.int32),
                **(TABLES if attributes.get("do_rotary") else {}),
            },
            num_heads=HEADS,
            kv_num_heads=GROUPS,
            **attributes,
        )
        for name, steps, room, ends, attributes in (
            ("that grows by a step", 1, 5, (6, 6), {"do_rotary": 1}),
            ("that grows by some steps", STEPS, 5, (11,), {"do_rotary": 1, "rotary_interleaved": 1}),
            ("of sequences that are shorter", 1, 5, (4, 6), {"do_rotary": 1}),
            ("that looks back three steps", 2, 7, (9,), {"local_window_size": 3}),
            ("with a cap", 2, 7, (9,), {"softcap": 2.0}),
            ("with room for more", 1, 20, (7, 7), {"do_rotary": 1}),
            ("with room for more of several lengths", 1, 20, (7, 3), {"do_rotary": 1}),
            ("with room for more that is empty", STEPS, 20, (STEPS, STEPS), {"do_rotary": 1}),
        )
    },
    "turned": case("RotaryEmbedding", "x p", operands={**QUERIES, "p": CHOSEN, **TABLES}),
    "turned pair by pair": case("RotaryEmbedding", "x p", operands={**QUERIES, "p": CHOSEN, **TABLES}, interleaved=1),
    "turned from a place on": case(
        "RotaryEmbedding", "x", operands={**QUERIES, "p": np.array([3], np.int64), **TABLES}
    ),
    "turned from a computed place on": case(
        "RotaryEmbedding", "x p", operands={**QUERIES, "p": np.array([3], np.int64), **TABLES}
    ),
    "heads turned": case(
        "RotaryEmbedding", "x p", operands={"x": floats(BATCH, HEADS, STEPS, WIDTH), "p": CHOSEN, **TABLES}
    ),
    "half of the heads turned": case(
        "RotaryEmbedding",
        "x p",
        operands={**QUERIES, "p": CHOSEN, **PART_TABLES},
        num_heads=HEADS,
        rotary_embedding_dim=4,
    ),
    **{
        f"weights of {bits} bits{', zero points' if zeros else ''}": case(
            "MatMulNBits",
            "x",
            operands=packed(bits, inputs, 24, 16, zeros),
            K=inputs,
            N=24,
            bits=bits,
            block_size=16,
        )
        for bits, inputs in ((4, 64), (4, 40), (8, 64))
        for zeros in (False, True)
    },
    **{
        f"weights of levels, {name}": case(
            "MatMulBnb4",
            "x",
            operands={
                "x": floats(3, 64),
                "codes": RANDOM.integers(0, 256, 64 * 24 // 2).astype(np.uint8),
                "scales": np.abs(floats(64 * 24 // 16)),
            },
            K=64,
            N=24,
            block_size=16,
            quant_type=kind,
        )
        for kind, name in enumerate(("FP4", "NF4"))
    },
    **{
        f"rows of {bits} bits{', zero points' if zeros else ''}": case(
            "GatherBlockQuantized",
            "x",
            operands=table_of(bits, zeros=zeros),
            bits=int(bits),
            block_size=16,
            gather_axis=0,
            quantize_axis=1,
        )
        for bits in ("4", "8")
        for zeros in (False, True)
    },
}


def model_of(one: Case, shapes: dict[str, Any] | None = None) -> Any:
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
    kinds[np.dtype(np.int64)] = TensorProto.INT64
    names = ["" if array is None else name for name, array in one.operands.items()]
    results = [f"y{place}" for place in range(one.outputs)]
    graph = helper.make_graph(
        [helper.make_node(one.operator, names, results, domain="com.microsoft", **one.attributes)],
        "attention",
        [
            helper.make_tensor_value_info(
                name, kinds[one.operands[name].dtype], (shapes or {}).get(name, one.operands[name].shape)
            )
            for name in one.computed
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
        [
            numpy_helper.from_array(array, name)
            for name, array in one.operands.items()
            if array is not None and name not in one.computed
        ],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_onnx_runtime_computes_and_the_engine_does_too(name: str) -> None:
    one = CASES[name]
    model, given = model_of(one), {name: one.operands[name] for name in one.computed}
    graph = read_onnx(model)
    found, wanted = run(graph, given), onnx_runtime_outputs(model, given)
    assert len(found) == len(wanted) == one.outputs
    engine = Session(encode(graph), threads=1)(*given.values())
    for mine, quick, theirs in zip(found, engine if one.outputs > 1 else [engine], wanted, strict=True):
        assert mine.shape == theirs.shape
        bound = 1e-5 * max(1.0, float(np.abs(theirs).max()))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=bound)
        np.testing.assert_allclose(quick, mine, rtol=0, atol=bound)


@pytest.mark.parametrize("together", [3, 2])
def test_queries_keys_and_values_in_one_input_are_what_they_are_in_several(together: int) -> None:
    """ONNX Runtime has no kernel for that on a CPU."""
    parts = floats(BATCH, STEPS, HEADS, 3, WIDTH)
    alone = {
        name: np.ascontiguousarray(parts[:, :, :, place]).reshape(BATCH, STEPS, ALL) for place, name in enumerate("qkv")
    }
    operands = {"q": parts} if together == 3 else {"q": alone["q"], "k": np.ascontiguousarray(parts[:, :, :, 1:])}
    one = Case("MultiHeadAttention", operands, tuple(operands), {"num_heads": HEADS})
    several = Case("MultiHeadAttention", alone, tuple(alone), {"num_heads": HEADS})
    (mine,), (wanted,) = run(read_onnx(model_of(one)), operands), onnx_runtime_outputs(model_of(several), alone)
    np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-5)


OPEN = ("attention that looks back", "attention with keys hidden", "several inputs, biased", "groups, turned", "turned")


@pytest.mark.parametrize("name", OPEN)
def test_batch_and_steps_stay_open_where_a_model_leaves_them_so(name: str) -> None:
    one = CASES[name]
    shapes = {
        given: ("batch", "keys" if given in "kv" and one.operator == "MultiHeadAttention" else "steps", *shape[2:])
        for given, shape in ((given, one.operands[given].shape) for given in one.computed)
    }
    graph = read_onnx(model_of(one, shapes))
    assert {"batch", "steps"} <= set(graph.axes)
    given = {name: np.concatenate([one.operands[name][:, :3], one.operands[name][:, :2]], 1) for name in one.computed}
    sized = Case(one.operator, {**one.operands, **given}, one.computed, one.attributes, one.outputs)
    if "total" in one.operands:
        sizes = {"lengths": np.full(BATCH, 4, np.int32), "total": np.array([5], np.int32)}
        sized = sized._replace(operands={**sized.operands, **sizes})
    for mine, theirs in zip(run(graph, given), onnx_runtime_outputs(model_of(sized), given), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_cache_grows_from_any_size_in_any_batch() -> None:
    one = CASES["groups with a cache, that grows by a step"]
    shapes: dict[str, Any] = {"lengths": ("batch",)}
    shapes |= dict.fromkeys(("past_key", "past_value"), ("batch", GROUPS, "past", WIDTH))
    shapes |= {name: ("batch", 1, *one.operands[name].shape[2:]) for name in "qkv"}
    one = one._replace(computed=(*one.computed, "total"))
    graph = read_onnx(model_of(one, shapes))
    session = Session(encode(graph), threads=1)
    for batch, room in ((1, 3), (2, 9), (3, 1)):
        made = {name: floats(batch, GROUPS, room, WIDTH) for name in ("past_key", "past_value")}
        made |= {name: floats(batch, 1, one.operands[name].shape[2]) for name in "qkv"}
        made |= {"lengths": np.full(batch, room, np.int32), "total": np.array([room + 1], np.int32)}
        given = {name: made[name] for name in one.computed}
        wanted = onnx_runtime_outputs(model_of(one._replace(operands={**one.operands, **made})), given)
        for mine, theirs in zip(session(*given.values()), wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OPEN[:-1])
def test_the_engine_does_it_in_one_step_for_any_batch(name: str) -> None:
    one = CASES[name]
    graph = read_onnx(model_of(one, {given: ("batch", *one.operands[given].shape[1:]) for given in one.computed}))
    steps = Session(encode(simplify(graph, run_node)), threads=1).profile(
        *(one.operands[given] for given in one.computed)
    )
    assert [kind for _, kind, _, _ in steps].count("attention") == BATCH


def test_a_mask_that_follows_from_fixed_sizes_is_a_constant() -> None:
    graph = simplify(read_onnx(model_of(CASES["groups that look back three steps"])), run_node)
    assert {"Less", "Or", "Where"}.isdisjoint(made.operator for made in graph.nodes)


def test_weights_of_few_bits_are_a_codebook_or_steps_as_the_file_keeps_them() -> None:
    model = model_of(CASES["weights of 4 bits"])
    graph = read_onnx(model)
    (name,) = graph.constants
    plain = len(encode(graph))
    assert len(np.unique(graph.constants[name].values)) <= 16 * 24 * 4
    assert len(encode(recognise_weights(graph))) <= plain


@pytest.mark.parametrize(
    ("operator", "operands", "attributes", "said"),
    [
        ("MultiHeadAttention", {**ALIKE, **CACHED}, {"num_heads": HEADS}, "cache"),
        ("MatMulNBits", packed(4, 64, 24, 16, False), {"bits": 3, "K": 64, "N": 24, "block_size": 16}, "3 bits"),
        ("Attention", {**X, **WEIGHTS}, {"num_heads": HEADS, "do_rotary": 1}, "do_rotary"),
        ("MatMulBnb4", LEVELS, {"K": 16, "N": 2, "block_size": 16, "quant_type": 2}, "quant_type 2"),
        ("MatMulBnb4", LEVELS, {"K": 16, "N": 2, "block_size": 16, "quant_type": 1, "transB": 0}, "transB"),
    ],
)
def test_what_is_not_supported_is_refused_in_words(
    operator: str, operands: dict[str, Any], attributes: dict[str, Any], said: str
) -> None:
    computed = tuple(name for name in operands if name in ("x", "q", "k", "v"))
    with pytest.raises(UnsupportedOperatorError, match=said):
        read_onnx(model_of(Case(operator, operands, computed, attributes)))
