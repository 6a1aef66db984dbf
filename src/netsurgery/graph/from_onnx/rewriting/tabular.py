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
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)}
        self._taken |= {tensor.name for tensor in graph.initializer}
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
        name = self._unique("table")
        self._graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """A new node; returns its output."""
        made = output or self._unique(f"{self._node.output[0]}.{operator.lower()}")
        self._nodes.append(onnx.helper.make_node(operator, list(inputs), [made], **attributes))
        return made

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

    def _unique(self, wish: str) -> str:
        name, count = wish, 0
        while name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        self._taken.add(name)
        return name


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
    if texts:
        rewriting.as_text(node.output[0], texts, probabilities or "its scores")
        return
    best = rewriting.add("ArgMax", [best_of], axis=-1, keepdims=0)
    if list(numbers) == list(range(classes)):
        rewriting.add("Identity", [best], node.output[0])
    else:
        rewriting.add("Gather", [rewriting.constant(numbers, np.int64), best], node.output[0])


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
    "ZipMap": _plain_scores,
}
"""Operators of the domain ai.onnx.ml, and what they become."""
