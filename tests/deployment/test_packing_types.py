"""Networks whose values and outputs have types: packed, told, run from the command line, exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.analysis.summary import summary_of
from netsurgery.cli.main import main
from netsurgery.errors import VerificationError
from netsurgery.graph.ir import GraphBuilder
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode
from netsurgery.runtime import reference
from netsurgery.runtime.session import Session


class Tagger(nn.Module):
    """Words (0 is padding) -> the best of three tags for each, where a word stands, and scores of the whole."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.words, self.tags = nn.Embedding(9, 8), nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept = ids != 0
        scores = self.tags(self.words(ids)).masked_fill(~kept[:, :, None], float("-inf"))
        last = kept.long().cumsum(1).argmax(1)
        best = torch.where(kept, scores.argmax(2), -1)
        return best, kept, self.words(ids.gather(1, last[:, None]))[:, 0]


IDS = torch.tensor([[3, 1, 8, 0], [2, 5, 0, 0]])


def packed(path: Path) -> Path:
    ns.pack(Tagger().eval(), path, example_inputs=IDS, open_axes={"ids": {0: "batch", 1: "time"}})
    return path


def test_outputs_come_in_their_types_and_are_those_of_the_model(tmp_path: Path) -> None:
    network = ns.load(packed(tmp_path / "tagger.nsm"))
    assert network.output_types == (ValueType.INT64, ValueType.BOOL, ValueType.FLOAT32)
    for ids in (IDS, IDS[:1, :2], IDS.repeat(20, 3)):
        best, kept, last = (one.detach().numpy() for one in Tagger().eval()(ids))
        found = network(ids.numpy())
        np.testing.assert_array_equal(found[0], best)
        np.testing.assert_array_equal(found[1], kept)
        np.testing.assert_allclose(found[2], last, rtol=1e-6)
        assert [one.dtype for one in found] == [np.int64, np.bool_, np.float32]


def test_info_run_and_export_know_types_of_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = packed(tmp_path / "tagger.nsm")
    summary = summary_of(ns.load(path).packed)
    assert [str(one.type) for one in summary.outputs] == ["int64", "bool", "float32"]
    np.save(tmp_path / "ids.npy", IDS.numpy())
    outputs = [tmp_path / f"{name}.npy" for name in ("best", "kept", "last")]
    arguments = [argument for one in outputs for argument in ("--output", str(one))]
    assert main(["run", str(path), "--input", str(tmp_path / "ids.npy"), *arguments]) == 0
    assert [np.load(one).dtype for one in outputs] == [np.int64, np.bool_, np.float32]
    assert main(["export", str(path), "--to", "onnx", "-o", str(tmp_path / "tagger.onnx")]) == 0
    assert "verified" in capsys.readouterr().out


def test_a_whole_number_that_is_off_by_one_fails_the_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = reference.KERNELS["ArgMax"]
    monkeypatch.setitem(reference.KERNELS, "ArgMax", lambda operands, given: right(operands, given) + 1)
    with pytest.raises(VerificationError, match="differ from those of torch"):
        packed(tmp_path / "tagger.nsm")


def test_a_batch_is_cut_beside_whole_numbers_that_a_graph_holds() -> None:
    """The same bits for each row alone and for many, on several threads."""
    builder = GraphBuilder()
    ids = builder.input("ids", ("batch", 6), ValueType.INT64)
    moved = builder.node("Add", [ids, builder.integers(np.arange(6), ValueType.INT64)])
    rows = builder.node("Embedding", [moved, builder.constant(np.random.default_rng(0).normal(size=(20, 8)))])
    graph = builder.graph([builder.node("Mean", [rows], axes=(1,), keepdims=False), moved])

    given = np.random.default_rng(1).integers(0, 15, (37, 6))
    together = Session(encode(graph), threads=2)(given)
    alone = [Session(encode(graph), threads=1)(row[None]) for row in given]
    for place in range(2):
        np.testing.assert_array_equal(together[place], np.concatenate([one[place] for one in alone]))
