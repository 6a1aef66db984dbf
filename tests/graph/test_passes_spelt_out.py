"""Activations and normalisations that a model spells out in arithmetic are found, and what only looks so is left."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.each_case import each_case

from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.passes import simplify
from netsurgery.runtime.reference import run, run_node

TOLERANCE = 1e-5
"""Of the largest output: as many roundings as a spelling has steps, each amplified by no more than 4."""

WIDTH = 6
NAMED: dict[str, Any] = {
    "R2": math.sqrt(2),
    "ROOT_HALF": math.sqrt(0.5),
    "TANH": math.sqrt(2 / math.pi),
    "scale": np.linspace(0.5, 2, WIDTH),
    "shift": np.linspace(-1, 1, WIDTH),
    "row": np.linspace(1, 2, 4)[:, None],
}


def spelt_out(text: str, outputs: Sequence[str] = ("y",), shape: tuple[int | str, ...] = ("n", 4, WIDTH)) -> Graph:
    """A graph from steps `value = Operator(operands, attribute=value)`; numbers and names of NAMED are constants."""
    builder = GraphBuilder()
    values = {"x": builder.input("x", shape)}

    def operand(word: str) -> str:
        if word not in values:
            values[word] = builder.constant(NAMED[word] if word in NAMED else float(word))
        return values[word]

    for step in text.split(";"):
        output, operator, given = re.fullmatch(r"\s*(\w+) = (\w+)\((.*)\)\s*", step).groups()  # type: ignore[union-attr]
        parts = [part.strip() for part in given.split(",")]
        attributes = {
            name: ast.literal_eval(value) for name, _, value in (part.partition("=") for part in parts if "=" in part)
        }
        if operator in ("Mean", "ReduceMax", "ReduceSum"):
            attributes["axes"] = (attributes.pop("axis", 2),)
        values[output] = builder.node(
            operator, [operand(part) for part in parts if "=" not in part], output, **attributes
        )
    return builder.graph(list(outputs))


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes]


def simplified(graph: Graph) -> Graph:
    """The graph after all passes, which computes the same at two sizes of a batch."""
    simple = simplify(graph, run_node)
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(0, 2, (batch, 4, WIDTH)).astype(np.float32)
        for got, wanted in zip(run(simple, {"x": x}), run(graph, {"x": x}), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE * float(np.abs(wanted).max()))
    return simple


ERF = "d = Div(x, R2); e = Erf(d); "
CUBE = "c = Pow(x, 3); a = Mul(c, 0.044715); s = Add(x, a); z = Mul(s, TANH); t = Tanh(z); "
NORM = "m = Mean(x); c = Sub(x, m); q = Mul(c, c); v = Mean(q); e = Add(v, 1e-5); r = Sqrt(e); "
ROOT = "q = Pow(x, 2); v = Mean(q); e = Add(v, 1e-6); r = Sqrt(e); "
SPELLINGS = {
    "Gelu": [
        ERF + "p = Add(e, 1); m = Mul(x, p); y = Mul(m, 0.5)",
        ERF + "p = Add(1, e); m = Mul(x, 0.5); y = Mul(m, p)",
        "d = Mul(x, ROOT_HALF); e = Erf(d); p = Add(e, 1); m = Mul(p, 0.5); y = Mul(x, m)",
        "d = Mul(ROOT_HALF, x); e = Erf(d); p = Add(e, 1); m = Mul(p, x); y = Div(m, 2)",
        ERF + "p = Add(e, 1); m = Div(x, 2); y = Mul(p, m)",
        ERF + "h = Mul(e, 0.5); p = Add(h, 0.5); y = Mul(x, p)",
        ERF + "h = Mul(x, 0.5); p = Mul(e, h); y = Add(h, p)",
        CUBE + "p = Add(t, 1); h = Mul(x, 0.5); y = Mul(h, p)",
        "s = Mul(x, x); c = Mul(s, x); a = Mul(0.044715, c); b = Add(x, a); z = Mul(TANH, b); t = Tanh(z); "
        "p = Add(1, t); m = Mul(x, p); y = Mul(0.5, m)",
        "s = Mul(x, x); a = Mul(s, 0.044715); b = Add(1, a); w = Mul(x, TANH); z = Mul(w, b); t = Tanh(z); "
        "p = Add(1, t); h = Mul(x, 0.5); y = Mul(h, p)",
    ],
    "Silu": ["s = Sigmoid(x); y = Mul(x, s)", "s = Sigmoid(x); y = Mul(s, x)"],
    "Mish": ["s = Softplus(x); t = Tanh(s); y = Mul(x, t)"],
    "HardSwish": [
        "a = Add(x, 3); c = Clip(a, minimum=0, maximum=6); m = Mul(x, c); y = Div(m, 6)",
        "a = Add(x, 3); c = Clip(a, minimum=0, maximum=6); m = Div(c, 6); y = Mul(x, m)",
        "h = HardSigmoid(x); y = Mul(x, h)",
    ],
    "HardSigmoid": ["a = Add(3, x); c = Clip(a, minimum=0, maximum=6); y = Div(c, 6)"],
    "LayerNorm": [
        NORM + "y = Div(c, r)",
        NORM + "n = Div(c, r); s = Mul(n, scale); y = Add(s, shift)",
        NORM + "n = Div(c, r); s = Mul(scale, n); y = Add(shift, s)",
        NORM + "n = Div(c, r); y = Add(n, shift)",
        NORM + "n = Div(1, r); o = Mul(c, n); y = Mul(o, 3)",
        "m = Mean(x); c = Sub(x, m); q = Pow(c, 2); v = Mean(q); e = Add(1e-5, v); r = Pow(e, 0.5); y = Div(c, r)",
        "m = Mean(x); c = Sub(x, m); q = Pow(c, 2); v = Mean(q); e = Add(v, 1e-5); r = Pow(e, -0.5); y = Mul(r, c)",
        # Two differences, as exporters write them that compute the mean twice.
        "m = Mean(x); c = Sub(x, m); k = Mean(x); d = Sub(x, k); q = Mul(d, d); v = Mean(q); e = Add(v, 1e-5); "
        "r = Sqrt(e); y = Div(c, r)",
        "m = Mean(x); c = Sub(x, m); q = Mul(c, c); v = Mean(q); r = Sqrt(v); y = Div(c, r)",
    ],
    "RmsNorm": [
        ROOT + "y = Div(x, r)",
        ROOT + "n = Div(1, r); o = Mul(x, n); y = Mul(scale, o)",
        "q = Mul(x, x); v = Mean(q); e = Add(v, 1e-6); r = Pow(e, -0.5); y = Mul(x, r)",
    ],
    "Softmax": ["m = ReduceMax(x); d = Sub(x, m); e = Exp(d); s = ReduceSum(e); y = Div(e, s)"],
}


@each_case(("operator", "text"), [(operator, text) for operator, texts in SPELLINGS.items() for text in texts])
def test_what_is_spelt_out_becomes_one_node(operator: str, text: str) -> None:
    (made,) = simplified(spelt_out(text)).nodes
    assert (made.operator, made.given[0], made.output) == (operator, "x", "y")
    if operator == "Gelu":
        assert made.attributes["approximate"] == ("tanh" if "Tanh" in text else "none")


@pytest.mark.parametrize(
    ("operator", "text"), [(operator, texts[0]) for operator, texts in SPELLINGS.items() if operator != "HardSigmoid"]
)
def test_it_is_found_behind_a_product_of_its_own_and_what_else_is_read_stays(operator: str, text: str) -> None:
    before = "w = Mul(x, 0.5); " + re.sub(r"\bx\b", "w", text)
    part = re.findall(r"(\w+) = ", before)[-2]
    found = operators(simplified(spelt_out(before, ("y", part))))
    assert found[0] == "Mul"
    assert operator in found
    assert len(found) > 2


NO = [
    ERF.replace("R2", "2") + "p = Add(e, 1); m = Mul(x, p); y = Mul(m, 0.5)",
    ERF + "p = Add(e, 2); m = Mul(x, p); y = Mul(m, 0.5)",
    ERF + "p = Add(e, 1); m = Mul(x, p); y = Mul(m, 2)",
    ERF + "p = Add(e, 1); s = Tanh(x); m = Mul(s, p); y = Mul(m, 0.5)",
    CUBE.replace("0.044715", "0.0447") + "p = Add(t, 1); h = Mul(x, 0.5); y = Mul(h, p)",
    CUBE.replace("Pow(x, 3)", "Pow(x, 2)") + "p = Add(t, 1); h = Mul(x, 0.5); y = Mul(h, p)",
    "z = Mul(x, 1.702); s = Sigmoid(z); y = Mul(x, s)",
    "s = Sigmoid(x); w = Tanh(x); y = Mul(w, s)",
    "a = Add(x, 3); c = Clip(a, minimum=0, maximum=5); m = Mul(x, c); y = Div(m, 6)",
    "h = HardSigmoid(x, alpha=0.2); y = Mul(x, h)",
    NORM.replace("Mean(q)", "Mean(q, axis=1)") + "y = Div(c, r)",
    NORM.replace("Mean(x)", "Mean(x, axis=1)").replace("Mean(q)", "Mean(q, axis=1)") + "y = Div(c, r)",
    NORM.replace("Add(v, 1e-5)", "Add(v, -1e-5)") + "t = Abs(r); y = Div(c, t)",
    NORM + "y = Div(x, r)",
    NORM.replace("Mean(x)", "Mean(x, axis=1)") + "w = Abs(x); y = Div(w, r)",
    ROOT.replace("Mean(q)", "ReduceSum(q)") + "y = Div(x, r)",
    ROOT + "y = Div(r, x)",
    "m = ReduceMax(x); d = Sub(x, m); e = Exp(d); s = ReduceSum(e, axis=1); y = Div(e, s)",
    "m = ReduceMax(x); d = Sub(m, x); e = Exp(d); s = ReduceSum(e); y = Div(e, s)",
]


@pytest.mark.parametrize("text", NO)
def test_what_only_resembles_one_stays_as_it_is_written(text: str) -> None:
    graph = spelt_out(text)
    found = set(operators(simplify(graph, run_node)))
    written = set(operators(graph))
    assert not found & (set(SPELLINGS) - written)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ("y = Mul(n, row)", ["LayerNorm", "Mul"]),  # another number for each token
        ("s = Add(n, shift); y = Mul(s, scale)", ["LayerNorm", "Mul"]),
        ("s = Mul(n, scale); y = Mul(s, scale)", ["LayerNorm", "Mul"]),
        ("s = Mul(n, scale); b = Add(s, shift); y = Add(b, shift)", ["LayerNorm", "Add"]),
        ("s = Mul(n, x); y = Add(s, shift)", ["LayerNorm", "Mul", "Add"]),
    ],
)
def test_only_one_scale_and_then_one_bias_become_those_of_a_norm(behind: str, expected: list[str]) -> None:
    assert operators(simplified(spelt_out(NORM + "n = Div(c, r); " + behind))) == expected


def test_a_norm_that_is_also_read_without_its_scale_keeps_it_apart() -> None:
    graph = simplified(spelt_out(NORM + "n = Div(c, r); y = Mul(n, scale)", ("y", "n")))
    assert operators(graph) == ["LayerNorm", "Mul"]


def test_a_constant_with_more_axes_than_x_leaves_the_result_its_shape() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("n", WIDTH))
    wide = builder.constant(np.full((1, 1, 1), 0.5))
    half = builder.node("Mul", [x, wide])
    error = builder.node("Erf", [builder.node("Div", [x, builder.constant(NAMED["R2"])])])
    graph = builder.graph([builder.node("Mul", [half, builder.node("Add", [error, builder.constant(1.0)])])])
    assert "Gelu" not in operators(simplify(graph, run_node))
