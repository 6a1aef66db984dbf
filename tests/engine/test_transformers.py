"""Transformers that torch writes as ONNX, in whatever spelling: their norms, activations and attention are one step."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from tests.graph.onnx_reading import read_onnx  # noqa: E402
from tests.graph.spelt_transformers import LAYERS, TOKENS, TRANSFORMERS, VOCABULARY  # noqa: E402

from netsurgery.graph.ir import Array, Graph  # noqa: E402
from netsurgery.graph.passes import simplify  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run_node  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

TOLERANCE = 3e-6
"""Of the largest output. Sums of some tens of products in another order, in two layers, each within 1e-6."""

SPELT = {"Erf", "Sigmoid", "Tanh", "Sqrt", "Pow", "Mean", "Softplus"}
"""What norms and activations are spelt out in; none of it is left, as these networks have nothing else of the kind."""


def exported(name: str, opset: int, dynamo: bool, is_open: bool, path: Path) -> tuple[Graph, list[Array], Array]:
    """A transformer as a graph, what goes in, and what torch makes of that."""
    torch.manual_seed(0)
    model = TRANSFORMERS[name]().eval()
    ids, mask = torch.randint(0, VOCABULARY, (2, TOKENS)), torch.ones(2, TOKENS, dtype=torch.int64)
    mask[1, 9:] = 0
    axes: dict[str, object] = {}
    if is_open and dynamo:
        batch, time = torch.export.Dim("batch"), torch.export.Dim("time", max=64)
        axes["dynamic_shapes"] = ({0: batch, 1: time},) * 2
    elif is_open:
        axes["dynamic_axes"] = {given: {0: "batch", 1: "time"} for given in ("ids", "mask")}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")  # torch would like its other exporter to be used
        torch.onnx.export(
            model, (ids, mask), str(path), dynamo=dynamo, opset_version=opset, input_names=["ids", "mask"], **axes
        )
        wanted = model(ids, mask).numpy()
    return simplify(read_onnx(path), run_node), [ids.numpy(), mask.numpy()], wanted


def assert_joined(name: str, opset: int, dynamo: bool, is_open: bool, path: Path) -> None:
    graph, given, wanted = exported(name, opset, dynamo, is_open, path)
    operators = Counter(node.operator for node in graph.nodes)
    norm = "RmsNorm" if name.startswith("LLaMA") else "LayerNorm"
    activation = "Silu" if name.startswith("LLaMA") else "Gelu"
    assert operators[norm] == 2 * LAYERS + 1
    assert operators[activation] == LAYERS
    assert not SPELT & set(operators)
    session = Session(encode(graph), 1)
    kinds = Counter(kind for _, kind, _, _ in session.profile(*given))
    assert kinds["attention"] == LAYERS
    np.testing.assert_allclose(session(*given), wanted, rtol=0, atol=TOLERANCE * float(np.abs(wanted).max()))


@pytest.mark.parametrize(("opset", "is_open"), [(14, True), (14, False), (17, False), (20, True)])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_norms_activations_and_attention_of_traced_models_are_one_step_each(
    name: str, opset: int, is_open: bool, tmp_path: Path
) -> None:
    assert_joined(name, opset, False, is_open, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["BERT", "BERT, all in arithmetic", "DistilBERT", "ALBERT"])
def test_they_are_with_the_oldest_operators_that_torch_still_writes(name: str, tmp_path: Path) -> None:
    assert_joined(name, 11, False, False, tmp_path / "model.onnx")


@pytest.mark.parametrize(("opset", "is_open"), [(18, False), (20, True)])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_they_are_as_torchs_newer_exporter_writes_them(name: str, opset: int, is_open: bool, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    assert_joined(name, opset, True, is_open, tmp_path / "model.onnx")
