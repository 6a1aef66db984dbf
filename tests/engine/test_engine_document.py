"""What docs/engine.md shows is executed, and its table of errors is that of the header."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netsurgery as ns
from netsurgery import errors
from netsurgery.graph.ir import GraphBuilder
from netsurgery.packed.writer import encode

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
HEADER = (ROOT / "engine" / "include" / "netsurgery.h").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    return str(found)


@pytest.fixture(autouse=True)
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """model.nsm in the working directory: (n, 1, 8, 8) -> (n, 10)."""
    generator = np.random.default_rng(0)
    builder = GraphBuilder()
    flat = builder.node("Reshape", [builder.input("image", ("batch", 1, 8, 8))], shape=(-1, 64))
    weight, bias = builder.constant(generator.normal(size=(10, 64))), builder.constant(generator.normal(size=10))
    monkeypatch.chdir(tmp_path)
    graph = builder.graph([builder.node("Linear", [flat, weight, bias], "scores")])
    Path("model.nsm").write_bytes(encode(graph, names=True))


def test_its_python_runs() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102
    assert names["scores"].shape == (4, 10)
    np.testing.assert_array_equal(names["by_name"]["scores"], names["scores"])
    np.testing.assert_allclose(names["same"], names["scores"], rtol=1e-6)


def test_its_c_compiles_and_runs(compiled: Callable[[Path, Path], Path], tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(block("c"), encoding="utf-8")
    program = compiled(tmp_path / "program.c", tmp_path / "program")
    done = subprocess.run([program, "model.nsm"], capture_output=True, text=True, check=False)
    first = ns.load("model.nsm")(np.zeros((4, 1, 8, 8), np.float32))[0][0]
    assert done.stderr == ""
    assert done.stdout.splitlines()[:2] == ["image: 4 axes", "scores: 4 x 10"]
    assert np.float32(done.stdout.splitlines()[2]) == first
    missing = subprocess.run([program, "missing.nsm"], capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "missing.nsm can't be read" in missing.stderr


def test_its_table_has_every_status_and_real_exceptions() -> None:
    rows = dict(re.findall(r"^\| `(NS_ERROR_\w+)` \| `(\w+)` \|", DOCUMENT, flags=re.MULTILINE))
    assert list(rows) == re.findall(r"^  (NS_ERROR_\w+) = \d", HEADER, flags=re.MULTILINE)
    for name in {*rows.values()} - {"MemoryError", "RuntimeError"}:
        assert issubclass(getattr(errors, name), errors.NetsurgeryError)


def test_every_file_that_it_links_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", DOCUMENT):
        assert (ROOT / "docs" / target).exists(), target
