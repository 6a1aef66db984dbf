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
           "FeatureVectorizer", "Imputer", "Binarizer", "OneHotEncoder", "TreeEnsembleRegressor",
           "TreeEnsembleClassifier"}  # fmt: skip
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


# Trees


def grown(generator, trees, depth, modes=("BRANCH_LEQ",), targets=1, prefix="target", weight=None):
    """Trees with comparisons and leaves at random; a leaf may add to several targets, or to none."""
    given = {name: [] for name in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes",
                                   "nodes_truenodeids", "nodes_falsenodeids")}  # fmt: skip
    given |= {f"{prefix}_{what}": [] for what in ("treeids", "nodeids", "ids", "weights")}

    def grow(tree, left):
        here = given["nodes_treeids"].count(tree)
        leaf = left == 0 or (0 < left < depth - 1 and generator.random() < 0.2)
        place = len(given["nodes_modes"])
        for name, value in (("treeids", tree), ("nodeids", here), ("featureids", int(generator.integers(4))),
                            ("values", float(np.float32(generator.choice([-0.5, 0, 0.25, 1])))),
                            ("modes", "LEAF" if leaf else str(generator.choice(modes))),
                            ("truenodeids", 0), ("falsenodeids", 0)):  # fmt: skip
            given[f"nodes_{name}"].append(value)
        if leaf:
            for target in generator.choice(targets, size=int(generator.integers(targets)) + 1, replace=False):
                for what, value in (("treeids", tree), ("nodeids", here), ("ids", int(target)),
                                    ("weights", float(np.float32(weight or generator.standard_normal())))):  # fmt: skip
                    given[f"{prefix}_{what}"].append(value)
        else:
            given["nodes_truenodeids"][place] = grow(tree, left - 1)
            given["nodes_falsenodeids"][place] = grow(tree, left - 1)
        return here

    for tree in range(trees):
        grow(tree, depth)
    return given


ALL_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TREE_ROWS = np.concatenate([RANDOM.standard_normal((40, 4)), RANDOM.choice([-0.5, 0, 0.25, 1], (40, 4))]).astype(
    np.float32
)


def regressor(seed=1, **more):
    generator = np.random.default_rng(seed)
    grow = {name: more.pop(name) for name in ("trees", "depth", "modes") if name in more}
    targets = more.get("n_targets", 1)
    given = grown(generator, **({"trees": 5, "depth": 4, "targets": targets} | grow))
    return pipeline(("TreeEnsembleRegressor", ["x"], ["y"], {"n_targets": targets, **given, **more}))


def tree_classifier(classes, post="NONE", weight=None, one=False, labels=None, seed=2, **more):
    targets = 1 if one else classes
    given = grown(np.random.default_rng(seed), 4, 3, ALL_MODES[:2], targets, "class", weight)
    if one == "second":
        given["class_ids"] = [1] * len(given["class_ids"])
    labels = list(range(classes)) if labels is None else labels
    attributes = {"classlabels_int64s": labels, "post_transform": post, **given, **more}
    return pipeline(("TreeEnsembleClassifier", ["x"], ["l", "y"], attributes), **BOTH)


TREES = {
    "two small trees": regressor(trees=2, depth=1),
    "a leaf alone": regressor(trees=1, depth=0),
    "trees of all comparisons": regressor(modes=ALL_MODES, trees=20, depth=6),
    "several targets": regressor(n_targets=3, base_values=[1.0, -2, 0.5]),
    "their mean": regressor(aggregate_function="AVERAGE", base_values=[0.5]),
    "three classes": tree_classifier(3),
    "three classes, SOFTMAX": tree_classifier(3, "SOFTMAX"),
    "three classes, LOGISTIC": tree_classifier(3, "LOGISTIC", labels=[5, -1, 7]),
    "two classes": tree_classifier(2),
    "two classes, shares": tree_classifier(2, weight=0.2),
    "two classes, scores of one": tree_classifier(2, one=True),
    "two classes, scores of the second": tree_classifier(2, one="second"),
    "two classes, LOGISTIC of one": tree_classifier(2, "LOGISTIC", one=True),
    "two classes, shares of one": tree_classifier(2, weight=0.2, one="second", labels=[3, 4]),
    "two classes, LOGISTIC of the second": tree_classifier(2, "LOGISTIC", one="second"),
    "two classes, SOFTMAX of the second": tree_classifier(2, "SOFTMAX", one="second", weight=0.3),
    "three classes, a base": tree_classifier(3, base_values=[0.25, -1.0, 0.5]),
    "two classes, LOGISTIC of shares": tree_classifier(2, "LOGISTIC", weight=0.1, one=True),
    "two classes, a base": tree_classifier(2, one=True, base_values=[0.25]),
}


@pytest.mark.parametrize("name", TREES)
def test_trees_give_what_onnx_runtime_gives(name):
    found = run(read_model(TREES[name], run_node).graph, {"x": TREE_ROWS})
    for one, wanted in zip(found, onnx_runtime_outputs(TREES[name], {"x": TREE_ROWS}), strict=True):
        assert one.shape == wanted.shape
        np.testing.assert_allclose(one, wanted, rtol=0, atol=1e-5)


def test_what_is_missing_goes_where_a_tree_says():
    given = grown(np.random.default_rng(3), 6, 4)
    tracks = np.random.default_rng(4).integers(0, 2, len(given["nodes_modes"])).tolist()
    model = pipeline(("TreeEnsembleRegressor", ["x"], ["y"], {
        **given, "n_targets": 1, "nodes_missing_value_tracks_true": tracks}))  # fmt: skip
    x = np.where(RANDOM.random(TREE_ROWS.shape) < 0.3, np.float32(np.nan), TREE_ROWS)
    (found,) = run(read_model(model, run_node).graph, {"x": x})
    np.testing.assert_allclose(found, onnx_runtime_outputs(model, {"x": x})[0], rtol=0, atol=1e-5)


TREES_REFUSED = {
    "takes the least or the most": regressor(aggregate_function="MAX"),
    "has trees that can't be read": regressor(target_ids=[9] * 3, target_treeids=[0] * 3),
}


@pytest.mark.parametrize("message", TREES_REFUSED)
def test_trees_that_are_not_known_are_refused(message):
    with pytest.raises(UnsupportedOperatorError, match=message):
        read_model(TREES_REFUSED[message], run_node)
