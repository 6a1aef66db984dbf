"""Every public name has an example in its docstring, which does what it says."""

from __future__ import annotations

import collections
import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery as ns

OPTIONS = doctest.ELLIPSIS | doctest.REPORT_NDIFF


def network() -> nn.Module:
    """(n, 20) -> (n, 3), 263 parameters."""
    torch.manual_seed(0)
    parts = {"hidden": nn.Linear(20, 10), "norm": nn.BatchNorm1d(10), "relu": nn.ReLU(), "head": nn.Linear(10, 3)}
    return nn.Sequential(collections.OrderedDict(parts))


def what_a_reader_has() -> dict[str, Any]:
    """The names that examples use without making them: a model of one's own, and what trains it."""
    model = network()
    return {
        "ns": ns,
        "np": np,
        "torch": torch,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "loader": [(torch.randn(16, 20), torch.randint(3, (16,))) for _ in range(100)],
        "loss_of": nn.CrossEntropyLoss(),
        "images": torch.randn(5, 20),
    }


def examples_of(docstring: str | None, name: str) -> doctest.DocTest:
    return doctest.DocTestParser().get_doctest(docstring or "", what_a_reader_has(), name, None, None)


@pytest.mark.parametrize("name", ns.__all__)
def test_a_public_name_has_an_example_that_does_what_it_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ns.pack(network(), "model.nsm", example_inputs=torch.randn(5, 20))
    test = examples_of(getattr(ns, name).__doc__, name)
    assert test.examples, f"{name} has no example"
    written: list[str] = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    assert runner.run(test, out=written.append).failed == 0, "".join(written)


def test_an_example_that_says_something_else_is_found() -> None:
    test = examples_of(">>> ns.INQ(bits=5, steps=8_000).round_starts\n(0, 1, 2)\n", "wrong")
    assert doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=lambda _: None).failed == 1


NETWORKS = [name for name in ns.zoo.__all__ if ">>>" in (getattr(ns.zoo, name).__doc__ or "")]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_example_of_a_network_says_is_what_it_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    test = examples_of(getattr(ns.zoo, name).__doc__, name)
    written: list[str] = []
    assert doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=written.append).failed == 0, "".join(written)


METHODS = [
    (name, method)
    for name in ns.__all__
    for method, value in vars(getattr(ns, name)).items()
    if not method.startswith("_") and ">>>" in (getattr(value, "__doc__", None) or "")
]


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_what_the_example_of_a_public_method_says_is_what_it_does(name: str, method: str) -> None:
    test = examples_of(getattr(getattr(ns, name), method).__doc__, f"{name}.{method}")
    written: list[str] = []
    assert doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=written.append).failed == 0, "".join(written)


def test_there_are_methods_with_examples() -> None:
    assert ("Operation", "apply") in METHODS
