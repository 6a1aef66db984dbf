"""The operators of scikit-learn's exporters around a network: scalers before it, labels and scores behind it."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs  # noqa: E402

from netsurgery.errors import UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.from_onnx import read_model  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402

RANDOM = np.random.default_rng(21)
TABLE = "ai.onnx.ml"
ROWS = RANDOM.standard_normal((5, 4)).astype(np.float32)


def pipeline(*nodes, outputs=("y",), kinds=(TensorProto.FLOAT,), kind=TensorProto.FLOAT, constants=None, opset=17):
    made = [
        helper.make_node(name, inputs, results, domain=TABLE if name in TABULAR else "", **attributes)
        for name, inputs, results, attributes in nodes
    ]
    graph = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("x", kind, ["N", 4])],
        [helper.make_tensor_value_info(name, one, None) for name, one in zip(outputs, kinds, strict=True)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(TABLE, 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


TABULAR = {"Scaler", "Normalizer", "LinearClassifier", "LinearRegressor", "ArrayFeatureExtractor", "ZipMap",
           "FeatureVectorizer", "Imputer", "Binarizer", "OneHotEncoder"}  # fmt: skip
COEFFICIENTS = RANDOM.standard_normal(12).astype(np.float32).tolist()
INTERCEPTS = RANDOM.standard_normal(3).astype(np.float32).tolist()


def classifier(post="SOFTMAX", rows=3, labels=(0, 1, 2)):
    return ("LinearClassifier", ["x"], ["l", "y"], {
        "coefficients": COEFFICIENTS[: 4 * rows], "intercepts": INTERCEPTS[:rows], "post_transform": post,
        "classlabels_ints": list(labels), "multi_class": 0})  # fmt: skip


BOTH = {"outputs": ("l", "y"), "kinds": (TensorProto.INT64, TensorProto.FLOAT)}

CASES = {
    "scaler": pipeline(("Scaler", ["x"], ["y"], {"offset": [0.5, 1, -1, 2], "scale": [2.0, 0.5, 1, 3]})),
    "scaler of one": pipeline(("Scaler", ["x"], ["y"], {"offset": [0.5], "scale": [2.0]})),
    **{f"normalizer {norm}": pipeline(("Normalizer", ["x"], ["y"], {"norm": norm})) for norm in ("L1", "L2")},
    "normalizer, opset 18": pipeline(("Normalizer", ["x"], ["y"], {"norm": "L2"}), opset=18),
    "regressor": pipeline(("LinearRegressor", ["x"], ["y"], {"coefficients": COEFFICIENTS, "intercepts": INTERCEPTS,
                                                              "targets": 3})),
    "regressor without intercepts": pipeline(("LinearRegressor", ["x"], ["y"], {"coefficients": COEFFICIENTS[:4]})),
    **{f"classifier {post}": pipeline(classifier(post), **BOTH) for post in ("NONE", "LOGISTIC", "SOFTMAX")},
    "classifier of two": pipeline(classifier("LOGISTIC", rows=2, labels=(0, 1)), **BOTH),
    "classifier of other labels": pipeline(classifier(labels=(7, -2, 40)), **BOTH),
    "features": pipeline(("ArrayFeatureExtractor", ["x", "places"], ["y"], {}), constants={"places": np.int64([2, 0])}),
    "joined": pipeline(("FeatureVectorizer", ["x", "x"], ["y"], {"inputdimensions": [4, 4]})),
    "imputer": pipeline(("Imputer", ["x"], ["y"], {"imputed_value_floats": [1.0, 2, 3, 4],
                                                   "replaced_value_float": float("nan")})),
    "binarizer": pipeline(("Binarizer", ["x"], ["y"], {"threshold": 0.25})),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_pipeline_computes_what_onnx_runtime_makes_of_it(name):
    x = ROWS.copy()
    if name == "imputer":
        x[1, 2] = np.nan
    found = run(read_model(CASES[name], run_node).graph, {"x": x})
    for one, wanted in zip(found, onnx_runtime_outputs(CASES[name], {"x": x}), strict=True):
        np.testing.assert_allclose(one, wanted.reshape(one.shape), rtol=0, atol=1e-6)


def test_rows_of_zeros_stay_zeros():
    (found,) = run(read_model(CASES["normalizer L2"], run_node).graph, {"x": np.zeros((2, 4), np.float32)})
    assert not found.any()


def test_text_labels_are_left_out_and_dictionaries_are_arrays():
    labels = {"classlabels_strings": ["cat", "dog", "owl"], "classlabels_ints": []}
    made = classifier()
    attributes = {name: value for name, value in (made[3] | labels).items() if len(np.atleast_1d(value))}
    nodes = [(*made[:3], attributes), ("ZipMap", ["y"], ["z"], {"classlabels_strings": ["cat", "dog", "owl"]})]
    model = pipeline(*nodes, outputs=("l", "z"), kinds=(TensorProto.STRING, TensorProto.FLOAT))
    entry = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    model.graph.output[1].type.CopyFrom(helper.make_sequence_type_proto(entry))
    found = read_model(model, run_node)
    assert len(found.graph.outputs) == 1
    assert (
        "'l' is a text and left out: it is the class with the largest of 'y', of 'cat', 'dog', 'owl'"
        in found.remarks[0]
    )
    assert "'z' is an array of scores" in found.remarks[1]
    (scores,) = run(found.graph, {"x": ROWS})
    np.testing.assert_allclose(scores.sum(1), 1, rtol=0, atol=1e-6)


def test_what_is_not_known_of_a_table_is_refused():
    with pytest.raises(UnsupportedOperatorError, match="ends in PROBIT; NONE, LOGISTIC and SOFTMAX are known"):
        read_model(pipeline(classifier("PROBIT"), **BOTH), run_node)
