"""The networks that are measured are those that were published, pruned as said, and each gets a row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import any_network
import pytest
import torch
from any_network_table import any_network_table
from networks.any_networks import ANY_NETWORKS, DENSE, TENTH, TREATMENTS, AnyNetwork
from networks.random_weights import keep, trained_like, weights_that_are_pruned
from torch import Tensor, nn

from netsurgery.timing.instruction_sets import instructions

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", [name for name, network in ANY_NETWORKS.items() if network.parameters])
def test_a_published_network_has_as_many_parameters_as_was_published(name: str) -> None:
    network = ANY_NETWORKS[name]
    with torch.device("meta"):
        model = network.build()
    assert sum(parameter.numel() for parameter in model.parameters()) == network.parameters


def test_every_network_is_measured_dense_and_pruned_by_treatments_that_there_are() -> None:
    for network in ANY_NETWORKS.values():
        assert set(network.goals) <= set(TREATMENTS)
        assert DENSE in network.goals
        assert len(network.goals) == 2
        assert set(network.batches) <= set(network.goals)


SHAPES = {
    "mobilenet-v3-small": [(2, 1000)],
    "squeezenet": [(2, 1000)],
    "bert-tiny": [(2, 128, 128), (2, 128)],
    "tcn": [(2, 40)],
    "lstm-step": [(1, 2, 40), (2, 2, 256), (2, 2, 256)],
    "gru": [(100, 2, 40), (2, 2, 256)],
}


@pytest.mark.parametrize("name", SHAPES)
def test_weights_are_those_of_the_seed_and_outputs_neither_vanish_nor_explode(name: str) -> None:
    network = ANY_NETWORKS[name]
    model, again = network.made(DENSE), network.made(DENSE)
    assert not model.training
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), again.parameters(), strict=True))
    torch.manual_seed(1)
    with torch.no_grad():
        outputs = model(*network.examples(2))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert [tuple(output.shape) for output in outputs] == SHAPES[name]
    assert all(0.01 < float(output.std()) < 100 for output in outputs)


def test_random_weights_have_the_heavy_tails_of_trained_ones_at_the_variance_that_keeps_activations() -> None:
    model = trained_like(nn.Sequential(nn.Conv2d(64, 256, 3), nn.Flatten()))
    weight = model[0].weight.detach()
    assert float(weight.var()) * 64 * 9 == pytest.approx(2.0, rel=0.05)
    kurtosis = float((weight**4).mean() / (weight**2).mean() ** 2)
    assert kurtosis == pytest.approx(6.0, rel=0.1)  # 3 of a normal distribution, 6 of Laplace's


def test_the_largest_weights_stay_and_depthwise_frozen_and_embedded_ones_are_left_alone() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "conv": nn.Conv2d(8, 16, 3),
            "groups": nn.Conv2d(8, 16, 3, groups=2),
            "linear": nn.Linear(40, 30),
            "lstm": nn.LSTM(8, 16),
            "depthwise": nn.Conv2d(8, 8, 3, groups=8),
            "frozen": nn.Conv2d(8, 1, 1).requires_grad_(False),
            "words": nn.Embedding(50, 8),
        }
    )
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    pruned = {id(weight) for weight in weights_that_are_pruned(model)}
    keep(model, 0.1)
    for name, parameter in model.named_parameters():
        if id(parameter) in pruned:
            kept = parameter != 0
            assert int(kept.sum()) == pytest.approx(0.1 * parameter.numel(), abs=1), name
            assert before[name][kept].abs().min() >= before[name][~kept].abs().max(), name
        else:
            assert torch.equal(parameter, before[name]), name
    names = {name for name, parameter in model.named_parameters() if id(parameter) in pruned}
    assert names == {"conv.weight", "groups.weight", "linear.weight", "lstm.weight_ih_l0", "lstm.weight_hh_l0"}


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x + torch.rand_like(x))


def _measured(build: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    network = AnyNetwork("Small", build, lambda batch: (torch.ones(batch, 20),), {DENSE: 1.0, TENTH: 2.0})
    network.batches.update({TENTH: {4: 3.0}})  # type: ignore[attr-defined]
    monkeypatch.setitem(ANY_NETWORKS, "small", network)
    return any_network.rows("small", (1, 2), any_network.Pace(rounds=1, calls=1, pause_s=0.0))


def test_each_treatment_and_batch_is_packed_compared_and_timed_with_each_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = _measured(lambda: nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5)), monkeypatch)
    assert [(row["treatment"], row["batch"], row["goal"]) for row in rows] == [
        (DENSE, 1, 1.0),
        (TENTH, 1, 2.0),
        (TENTH, 4, 3.0),
    ]
    assert all(row["verdict"] == "packed" and row["difference"] < 1e-5 for row in rows)
    assert rows[1]["packed_bytes"] < 0.3 * rows[0]["packed_bytes"]
    for row in rows:
        assert list(row["threads"]) == ["1", "2"]
        for found in row["threads"].values():
            assert set(found["times_faster"]) <= {"netsurgery", "netsurgery_avx2"}
            assert found["times_faster"]["netsurgery"]["median"] > 0
    text = _table(rows, tmp_path)
    assert len(text) == 3
    assert text[1].startswith(f"| Small | {TENTH} | 1 | ")
    assert text[1].endswith(f" | 2x | {rows[1]['packed_bytes']:,} |")


def test_what_cannot_be_packed_is_a_row_that_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = _measured(Noisy, monkeypatch)
    assert [row["verdict"] for row in rows] == ["refused"] * 3
    assert rows[0]["missing"] == {"RandomUniformLike": 1}
    assert _table(rows, tmp_path)[0] == "| Small | dense | 1 | | refused: RandomUniformLike ×1 | | 1x | |"


def test_where_avx2_is_the_best_there_is_no_column_for_it(tmp_path: Path) -> None:
    row = {"network": "lstm", "treatment": DENSE, "batch": 1, "goal": 1.0, "verdict": "packed", "packed_bytes": 7}
    found = {"runtimes": {"onnxruntime": {"median_us": 1000.0}}, "times_faster": {"netsurgery": {"median": 2.0}}}
    text = _table([row | {"threads": {"1": found}}], tmp_path, "avx2")
    assert text[0].endswith(" | dense | 1 | 1.00 | **2.0x** | 1x | 7 |")


def _table(rows: list[dict[str, Any]], folder: Path, instructions: str = "avx512") -> list[str]:
    record = {
        "machine": {"processor": "A processor"},
        "instructions": instructions,
        "rounds": 1,
        "versions": {"onnxruntime": "1", "torch": "2"},
        "rows": rows,
    }
    path = folder / "record.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return any_network_table(path).split("\n\n")[0].splitlines()[2:]


def test_instructions_are_forced_for_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETSURGERY_ISA", raising=False)
    with instructions("avx2"):
        assert os.environ["NETSURGERY_ISA"] == "avx2"
    assert "NETSURGERY_ISA" not in os.environ
    monkeypatch.setenv("NETSURGERY_ISA", "portable")
    with instructions("avx2"):
        pass
    assert os.environ["NETSURGERY_ISA"] == "portable"
