"""What scikit-learn's exporters put around a network, the domain ai.onnx.ml, as operators of ONNX itself.

Scores stay arrays where ZipMap would make dictionaries of them. Labels that are texts are no outputs of a network, and
are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.from_onnx.rewriting.names import names_in
from netsurgery.graph.from_onnx.rewriting.trees import trees
from netsurgery.graph.ir import unlike

DOMAIN = "ai.onnx.ml"

Rewrite: TypeAlias = Callable[["_Rewriting", onnx.NodeProto, dict[str, Any]], None]


def without_tables(graph: onnx.GraphProto, opset: int) -> list[str]:
    """Rewrite a graph of this opset in place. Returns remarks. Raises UnsupportedOperatorError."""
    if not any(node.domain == DOMAIN for node in graph.node):
        return []
    rewriting = _Rewriting(graph, opset)
    for node in list(graph.node):
        rewriting.take(node)
    return rewriting.finish()


class _Rewriting:
    def __init__(self, graph: onnx.GraphProto, opset: int) -> None:
        self._graph, self._opset = graph, opset
        self._nodes: list[onnx.NodeProto] = []
        self._taken = names_in(graph)
        self._kinds = {given.name: given.type.tensor_type.elem_type for given in (*graph.input, *graph.value_info)}
        self._texts: dict[str, str] = {}
        self._plain: set[str] = set()
        self._node = onnx.NodeProto()

    def take(self, node: onnx.NodeProto) -> None:
        """The next node."""
        self._node = node
        text = [name for name in node.input if name in self._texts]
        if text and node.op_type in ("Identity", "Cast", "Reshape", "ArrayFeatureExtractor"):
            self._texts[node.output[0]] = self._texts[text[0]]
            return
        if node.domain != DOMAIN:
            self._nodes.append(node)
            return
        rewrite = _REWRITES.get(node.op_type)
        if rewrite is None:
            self._nodes.append(node)  # is refused with all others
            return
        rewrite(self, node, {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute})

    def finish(self) -> list[str]:
        """Put the nodes in place. Returns remarks."""
        del self._graph.node[:]
        self._graph.node.extend(self._nodes)
        del self._graph.value_info[:]
        remarks = []
        for output in list(self._graph.output):
            if output.name in self._texts:
                self._graph.output.remove(output)
                remarks.append(f"Output {output.name!r} is a text and left out: {self._texts[output.name]}.")
            elif output.name in self._plain:
                output.ClearField("type")
                output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
                remarks.append(f"Output {output.name!r} is an array of scores, in the place of dictionaries.")
        return remarks

    def refuse(self, why: str) -> UnsupportedOperatorError:
        """What is said of the present node."""
        return UnsupportedOperatorError(f"{self._node.op_type} {self._node.name or self._node.output[0]!r} {why}.")

    def constant(self, values: Any, kind: type[np.generic] = np.float32) -> str:
        """The name of a new constant."""
        name = unlike("table", self._taken)
        self._graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """A new node; returns its output."""
        made = output or unlike(f"{self._node.output[0]}.{operator.lower()}", self._taken)
        self._nodes.append(onnx.helper.make_node(operator, list(inputs), [made], **attributes))
        return made

    def compared(self, mode: str, x: str, thresholds: str) -> str:
        """A comparison as the nodes of trees name it."""
        if mode == "BRANCH_NEQ":
            return self.add("Not", [self.add("Equal", [x, thresholds])])
        operator = _MODES.get(mode)
        if operator is None:
            raise self.refuse(f"compares by {mode}; {', '.join(_MODES)} and BRANCH_NEQ are known")
        if self._opset < 12 and operator.endswith("OrEqual"):
            less = self.add({"LessOrEqual": "Less", "GreaterOrEqual": "Greater"}[operator], [x, thresholds])
            return self.add("Or", [less, self.add("Equal", [x, thresholds])])
        return self.add(operator, [x, thresholds])

    def along(self, operator: str, x: str, since: int, **attributes: Any) -> str:
        """A node along the last axis, which is an operand since that opset, before it an attribute."""
        if self._opset < since:
            return self.add(operator, [x], axes=[-1], **attributes)
        return self.add(operator, [x, self.constant([-1], np.int64)], **attributes)

    def floats(self, name: str) -> str:
        """A value as float32."""
        if self._kinds.get(name) in (None, onnx.TensorProto.FLOAT):
            return name
        return self.add("Cast", [name], to=onnx.TensorProto.FLOAT)

    def as_floats(self, name: str) -> None:
        """Note that an output is an array of floats, whatever it was."""
        self._plain.add(name)

    def as_text(self, name: str, classes: Sequence[bytes], scores: str) -> None:
        """Note that an output would be one of these texts."""
        said = ", ".join(repr(one.decode(errors="replace")) for one in classes[:8]) + (
            ", ..." if len(classes) > 8 else ""
        )
        self._texts[name] = f"it is the class with the largest of {scores!r}, of {said}"


def _scaler(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    x = rewriting.floats(node.input[0])
    moved = rewriting.add("Sub", [x, rewriting.constant(given.get("offset", [0.0]))])
    rewriting.add("Mul", [moved, rewriting.constant(given.get("scale", [1.0]))], node.output[0])


def _normalizer(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """Rows over their norm; rows of zeros stay zeros."""
    x, norm = rewriting.floats(node.input[0]), given.get("norm", b"MAX").decode()
    operator = {"MAX": "ReduceMax", "L1": "ReduceL1", "L2": "ReduceL2"}.get(norm)
    if operator is None:
        raise rewriting.refuse(f"has the norm {norm}; MAX, L1 and L2 are known")
    length = rewriting.along(operator, x, 18, keepdims=1)
    if norm != "MAX":
        length = rewriting.add("Clip", [length, rewriting.constant(np.finfo(np.float32).tiny)])
    rewriting.add("Div", [x, length], node.output[0])


def _after(rewriting: _Rewriting, scores: str, transform: str, output: str) -> None:
    """What is done with scores at last."""
    operator = {"NONE": "Identity", "LOGISTIC": "Sigmoid", "SOFTMAX": "Softmax"}.get(transform)
    if operator is None:
        raise rewriting.refuse(f"ends in {transform}; NONE, LOGISTIC and SOFTMAX are known")
    rewriting.add(operator, [scores], output, **({"axis": -1} if operator == "Softmax" else {}))


def _matrix(given: dict[str, Any], rows: int) -> AnyArray:
    coefficients = np.asarray(given["coefficients"], np.float32)
    return coefficients.reshape(rows, -1)


def _scores(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any], rows: int) -> str:
    weight = rewriting.constant(_matrix(given, rows).T)
    product = rewriting.add("MatMul", [rewriting.floats(node.input[0]), weight])
    if not len(given.get("intercepts", ())):
        return product
    return rewriting.add("Add", [product, rewriting.constant(given["intercepts"])])


def _regressor(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    scores = _scores(rewriting, node, given, int(given.get("targets", 1)))
    _after(rewriting, scores, given.get("post_transform", b"NONE").decode(), node.output[0])


def _classifier(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """Labels and scores. One row of coefficients is the second of two classes; the first has the rest."""
    texts, numbers = given.get("classlabels_strings", ()), given.get("classlabels_ints", ())
    classes = len(texts) or len(numbers)
    transform = given.get("post_transform", b"NONE").decode()
    rows = len(given["intercepts"]) if len(given.get("intercepts", ())) else classes
    scores = _scores(rewriting, node, given, rows)
    probabilities = node.output[1] if len(node.output) > 1 and node.output[1] else ""
    if rows == 1 and classes == 2:
        after = rewriting.add(*(("Sigmoid", [scores]) if transform == "LOGISTIC" else ("Identity", [scores])))
        if transform not in ("NONE", "LOGISTIC"):
            raise rewriting.refuse(f"has one score for two classes and ends in {transform}")
        first = (
            rewriting.add("Sub", [rewriting.constant(1.0), after])
            if transform == "LOGISTIC"
            else rewriting.add("Neg", [after])
        )
        both = rewriting.add("Concat", [first, after], probabilities, axis=-1)
        best_of = both
    else:
        best_of = scores
        if probabilities:
            _after(rewriting, scores, transform, probabilities)
    best = "" if texts else rewriting.add("ArgMax", [best_of], axis=-1, keepdims=0)
    _label(rewriting, node.output[0], best, texts, numbers, probabilities)


def _label(
    rewriting: _Rewriting, output: str, best: str, texts: Sequence[bytes], numbers: Sequence[int], scores: str
) -> None:
    """The label of the class in a place."""
    if texts:
        rewriting.as_text(output, texts, scores or "its scores")
    elif list(numbers) == list(range(len(numbers))):
        rewriting.add("Identity", [best], output)
    else:
        rewriting.add("Gather", [rewriting.constant(numbers, np.int64), best], output)


def _tree_scores(
    rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any], prefix: str, targets: int
) -> tuple[str, str]:
    """The sum of what the leaves add that are reached, (N, targets); and to which any adds, "" where that is all."""
    if any(name.endswith("_as_tensor") for name in given):
        raise rewriting.refuse("has its numbers in float64")
    if given.get("aggregate_function", b"SUM") not in (b"SUM", b"AVERAGE"):
        raise rewriting.refuse("takes the least or the most of its trees; SUM and AVERAGE are known")
    try:
        found = trees(given, prefix, targets)
    except (KeyError, StopIteration, ValueError) as error:
        raise rewriting.refuse(f"has trees that can't be read ({error})") from error
    count, comparisons, leaves = found.needs.shape
    x = rewriting.floats(node.input[0])
    compared = rewriting.add("Gather", [x, rewriting.constant(found.features, np.int64)], axis=1)
    thresholds = rewriting.constant(found.thresholds)
    true = ""
    for mode in sorted(set(found.modes) - {""}) or ["BRANCH_LEQ"]:
        one = rewriting.compared(mode, compared, thresholds)
        if true:
            own = rewriting.constant(found.modes == mode, np.bool_)
            one = rewriting.add("Where", [own, one, true])
        true = one
    if found.follows_missing.any():
        follows = rewriting.constant(found.follows_missing, np.bool_)
        missing = rewriting.add("And", [rewriting.add("IsNaN", [compared]), follows])
        true = rewriting.add("Or", [true, missing])
    ones = rewriting.add("Cast", [true], to=onnx.TensorProto.FLOAT)
    by_tree = rewriting.add("Reshape", [ones, rewriting.constant([-1, count, 1, comparisons], np.int64)])
    sums = rewriting.add("MatMul", [by_tree, rewriting.constant(found.needs)])
    reached = rewriting.add("Equal", [sums, rewriting.constant(found.trues)])
    reached = rewriting.add("Cast", [reached], to=onnx.TensorProto.FLOAT)
    reached = rewriting.add("Reshape", [reached, rewriting.constant([-1, count * leaves], np.int64)])
    weights = found.weights / (count if given.get("aggregate_function") == b"AVERAGE" else 1)
    scores = rewriting.add("MatMul", [reached, rewriting.constant(weights)])
    base = given.get("base_values", ())
    if len(base):
        return rewriting.add("Add", [scores, rewriting.constant(base)]), ""
    if found.adds[found.trues.reshape(-1) >= 0].all():
        return scores, ""
    votes = rewriting.add("MatMul", [reached, rewriting.constant(found.adds)])
    return scores, rewriting.add("Greater", [votes, rewriting.constant(0.0)])


def _tree_regressor(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    scores, _ = _tree_scores(rewriting, node, given, "target", int(given.get("n_targets", 1)))
    _after(rewriting, scores, given.get("post_transform", b"NONE").decode(), node.output[0])


def _voted(rewriting: _Rewriting, scores: str, voted: str, classes: int) -> str:
    """The place of the class that is chosen, which is one of those that a leaf says anything of.

    Of two classes the second one is, where its score is above 0 (the first one's, where it has none).
    """
    if classes > 2:
        if voted:
            scores = rewriting.add("Where", [voted, scores, rewriting.constant(np.finfo(np.float32).min)])
        return rewriting.add("ArgMax", [scores], axis=-1, keepdims=0)
    first, second = (
        rewriting.add("Gather", [scores, rewriting.constant(place, np.int64)], axis=1) for place in range(2)
    )
    if voted:
        has = rewriting.add("Gather", [voted, rewriting.constant(1, np.int64)], axis=1)
        second = rewriting.add("Where", [has, second, first])
    above = rewriting.add("Greater", [second, rewriting.constant(0.0)])
    return rewriting.add("Cast", [above], to=onnx.TensorProto.INT64)


def _tree_classifier(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """Labels and scores. Of two classes one alone may have scores; if no weight is negative, the other has the rest.

    That, and which class is chosen, is as ONNX Runtime has it: the specification doesn't say.
    """
    texts, numbers = given.get("classlabels_strings", ()), given.get("classlabels_int64s", ())
    classes, transform = len(texts) or len(numbers), given.get("post_transform", b"NONE").decode()
    probabilities = node.output[1] if len(node.output) > 1 and node.output[1] else ""
    only = set(given["class_ids"])
    if classes == 2 and len(only) == 1:
        one = dict(given, class_ids=[0] * len(given["class_ids"]))
        score = _tree_scores(rewriting, node, one, "class", 1)[0]
        shares = min(given["class_weights"]) >= 0
        larger = rewriting.add("Greater", [score, rewriting.constant(0.5 if shares else 0.0)])
        best = rewriting.add("Cast", [larger], to=onnx.TensorProto.INT64)
        best = rewriting.add("Reshape", [best, rewriting.constant([-1], np.int64)])
        if only == {1}:
            rest = rewriting.add("Mul", [score, rewriting.constant(0.0)])
        elif transform == "SOFTMAX":
            raise rewriting.refuse("has one score for two classes and ends in SOFTMAX")
        else:
            rest = rewriting.add("Sub", [rewriting.constant(float(shares and transform == "NONE")), score])
        scores = rewriting.add("Concat", [rest, score], axis=-1)
    else:
        scores, voted = _tree_scores(rewriting, node, given, "class", classes)
        best = _voted(rewriting, scores, voted, classes)
    if probabilities:
        _after(rewriting, scores, transform, probabilities)
    _label(rewriting, node.output[0], best, texts, numbers, probabilities)


def _features(rewriting: _Rewriting, node: onnx.NodeProto, _: dict[str, Any]) -> None:
    rewriting.add("Gather", list(node.input), node.output[0], axis=-1)


def _joined(rewriting: _Rewriting, node: onnx.NodeProto, _: dict[str, Any]) -> None:
    rewriting.add("Concat", [rewriting.floats(name) for name in node.input], node.output[0], axis=1)


def _plain_scores(rewriting: _Rewriting, node: onnx.NodeProto, _: dict[str, Any]) -> None:
    rewriting.add("Identity", [node.input[0]], node.output[0])
    rewriting.as_floats(node.output[0])


def _imputer(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    if "imputed_value_floats" not in given:
        raise rewriting.refuse("fills in whole numbers; floats are known")
    x, missing = node.input[0], float(given.get("replaced_value_float", 0.0))
    is_missing = (
        rewriting.add("IsNaN", [x]) if np.isnan(missing) else rewriting.add("Equal", [x, rewriting.constant(missing)])
    )
    rewriting.add("Where", [is_missing, rewriting.constant(given["imputed_value_floats"]), x], node.output[0])


def _binarizer(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    x = rewriting.floats(node.input[0])
    larger = rewriting.add("Greater", [x, rewriting.constant(given.get("threshold", 0.0))])
    rewriting.add("Cast", [larger], node.output[0], to=onnx.TensorProto.FLOAT)


def _one_hot(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    if "cats_int64s" not in given or not given.get("zeros", 1):
        raise rewriting.refuse("takes texts, or has to refuse what it doesn't know; whole numbers are known")
    x = rewriting.add("Cast", [node.input[0]], to=onnx.TensorProto.INT64)
    wide = rewriting.along("Unsqueeze", x, 13)
    same = rewriting.add("Equal", [wide, rewriting.constant(given["cats_int64s"], np.int64)])
    rewriting.add("Cast", [same], node.output[0], to=onnx.TensorProto.FLOAT)


_MODES = {
    "BRANCH_LEQ": "LessOrEqual",
    "BRANCH_LT": "Less",
    "BRANCH_GTE": "GreaterOrEqual",
    "BRANCH_GT": "Greater",
    "BRANCH_EQ": "Equal",
}
"""How a node of a tree compares -> ONNX operator."""

_REWRITES: dict[str, Rewrite] = {
    "ArrayFeatureExtractor": _features,
    "Binarizer": _binarizer,
    "FeatureVectorizer": _joined,
    "Imputer": _imputer,
    "LinearClassifier": _classifier,
    "LinearRegressor": _regressor,
    "Normalizer": _normalizer,
    "OneHotEncoder": _one_hot,
    "Scaler": _scaler,
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsembleRegressor": _tree_regressor,
    "ZipMap": _plain_scores,
}
"""Operators of the domain ai.onnx.ml, and what they become."""
