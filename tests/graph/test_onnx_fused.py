"""Operators that ONNX Runtime's optimiser writes, as those that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

from netsurgery.errors import UnsupportedOperatorError  # noqa: E402
from netsurgery.runtime.reference import run  # noqa: E402

RANDOM = np.random.default_rng(12)


def floats(*shape: int) -> Any:
    return RANDOM.standard_normal(shape).astype(np.float32)


def model_of(
    operator: str,
    inputs: str,
    given: dict[str, Any],
    known: dict[str, Any],
    outputs: str = "y",
    domain: str = "com.microsoft",
    opset: int = 17,
    **more: Any,
) -> Any:
    """A node; inputs: names, "-" where one is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    results = ["" if name == "-" else name for name in outputs.split()]
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
    graph = helper.make_graph(
        [helper.make_node(operator, names, results, domain=domain, **more)],
        "fused",
        [helper.make_tensor_value_info(name, kinds[array.dtype], array.shape) for name, array in given.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results if name],
        [numpy_helper.from_array(array, name) for name, array in known.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


X = {"x": floats(2, 5, 8)}
BOTH = {**X, "s": floats(2, 5, 8)}
ROWS = {"g": floats(8), "b": floats(8), "c": floats(8)}
PICTURE = {"x": floats(2, 3, 6, 6), "z": floats(2, 4, 6, 6)}
KERNEL = {"w": floats(4, 3, 3, 3), "b": floats(4)}
IDS = {
    "ids": RANDOM.integers(0, 9, (2, 5)).astype(np.int32),
    "segments": RANDOM.integers(0, 2, (2, 5)).astype(np.int32),
}
TABLES = {"words": floats(9, 8), "places": floats(7, 8), "kinds": floats(2, 8), "g": floats(8), "b": floats(8)}


def only(arrays: dict[str, Any], names: str) -> dict[str, Any]:
    return {name: arrays[name] for name in names.split()}


CASES: dict[str, Any] = {
    "Gelu": model_of("Gelu", "x", X, {}),
    "BiasGelu": model_of("BiasGelu", "x b", X, only(ROWS, "b")),
    "FastGelu": model_of("FastGelu", "x", X, {}),
    "FastGelu of a bias": model_of("FastGelu", "x b", X, only(ROWS, "b")),
    "QuickGelu": model_of("QuickGelu", "x", X, {}),
    "QuickGelu, another factor": model_of("QuickGelu", "x", X, {}, alpha=1.25),
    "FusedMatMul": model_of("FusedMatMul", "x s", BOTH, {}, alpha=0.25, transB=1),
    "FusedMatMul, turned": model_of("FusedMatMul", "x s", BOTH, {}, transA=1),
    "FusedMatMul, batches behind": model_of("FusedMatMul", "x s", BOTH, {}, transBatchA=1, transBatchB=1, transB=1),
    "FusedMatMul, one behind": model_of("FusedMatMul", "x w", X, {"w": floats(5, 8, 4)}, transBatchA=1),
    "FusedMatMul by weights": model_of("FusedMatMul", "x w", X, {"w": floats(3, 8)}, alpha=2.0, transB=1),
    "SkipLayerNormalization": model_of("SkipLayerNormalization", "x s g b c", BOTH, ROWS, epsilon=1e-3),
    "SkipLayerNormalization, its sum": model_of(
        "SkipLayerNormalization", "x s g b", BOTH, only(ROWS, "g b"), "y - - t"
    ),
    "SkipSimplifiedLayerNormalization": model_of(
        "SkipSimplifiedLayerNormalization", "x s g b", BOTH, only(ROWS, "g b"), "y - - t", epsilon=1e-6
    ),
    "SimplifiedLayerNormalization": model_of(
        "SimplifiedLayerNormalization", "x g", X, only(ROWS, "g"), domain="", axis=-1, epsilon=1e-3, stash_type=1
    ),
    "LayerNormalization of an old opset": model_of(
        "LayerNormalization", "x g b", X, only(ROWS, "g b"), domain="", opset=12, axis=-1, epsilon=1e-3
    ),
    "FusedGemm": model_of(
        "FusedGemm", "r w c", {"r": BOTH["x"][0]}, {"w": floats(3, 8), "c": floats(3)}, transB=1, activation="Relu"
    ),
    "FusedGemm, LeakyRelu": model_of(
        "FusedGemm",
        "r w c",
        {"r": BOTH["x"][0]},
        {"w": floats(8, 3), "c": floats(3)},
        alpha=0.5,
        activation="LeakyRelu",
        activation_alpha=0.25,
    ),
    "FusedConv": model_of("FusedConv", "x w b", only(PICTURE, "x"), KERNEL, activation="Relu", pads=[1] * 4),
    "FusedConv with a sum": model_of("FusedConv", "x w b z", PICTURE, KERNEL, activation="Relu", pads=[1] * 4),
    "FusedConv, LeakyRelu": model_of(
        "FusedConv", "x w", only(PICTURE, "x"), only(KERNEL, "w"), activation="LeakyRelu", activation_params=[0.2]
    ),
    "FusedConv, Clip": model_of(
        "FusedConv", "x w b", only(PICTURE, "x"), KERNEL, activation="Clip", activation_params=[-0.5, 1.0]
    ),
    "EmbedLayerNormalization": model_of(
        "EmbedLayerNormalization", "ids segments words places kinds g b", IDS, TABLES, "y -", epsilon=1e-6
    ),
    "EmbedLayerNormalization of one kind": model_of(
        "EmbedLayerNormalization", "ids - words places - g b", only(IDS, "ids"), only(TABLES, "words places g b"), "y -"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fused_operator_computes_what_onnx_runtime_has(name: str) -> None:
    everything = {**BOTH, **PICTURE, **IDS} if "Conv" in name else {**PICTURE, **BOTH, **IDS, "r": BOTH["x"][0]}
    given = {one.name: everything[one.name] for one in CASES[name].graph.input}
    found, wanted = run(read_onnx(CASES[name]), given), onnx_runtime_outputs(CASES[name], given)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_what_onnx_runtime_alone_has_under_onnxs_name_leaves_a_model_as_it_was() -> None:
    model = CASES["SimplifiedLayerNormalization"]
    before = model.SerializeToString()
    read_onnx(model)
    assert model.SerializeToString() == before


def test_the_seen_places_that_an_embedding_counts_are_lengths_of_an_attention() -> None:
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    model = model_of(
        "EmbedLayerNormalization",
        "ids - words places - g b mask",
        {**only(IDS, "ids"), "mask": mask},
        {**only(TABLES, "words places g b"), "w": floats(8, 24), "shift": floats(24)},
        "e seen",
    )
    names = ["e", "w", "shift", "seen"]
    model.graph.node.append(helper.make_node("Attention", names, ["y"], domain="com.microsoft", num_heads=2))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    given = {**only(IDS, "ids"), "mask": mask}
    (found,), (wanted,) = run(read_onnx(model), given), onnx_runtime_outputs(model, given)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_use_that_is_not_known_is_refused_as_what_it_is() -> None:
    model = model_of("FusedConv", "x w", only(PICTURE, "x"), only(KERNEL, "w"), activation="Elu")
    with pytest.raises(UnsupportedOperatorError, match="FusedConv"):
        read_onnx(model)


def test_what_is_laid_out_for_one_processor_is_refused_with_advice() -> None:
    made = model_of("Conv", "x w", only(PICTURE, "x"), only(KERNEL, "w"), domain="com.microsoft.nchwc")
    made.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    with pytest.raises(UnsupportedOperatorError) as refused:
        read_onnx(made)
    assert "ORT_ENABLE_EXTENDED at most" in refused.value.explanation
