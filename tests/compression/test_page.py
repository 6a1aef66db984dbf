"""The page of a search says what drops are counted from."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from netsurgery.compression.candidate import Candidate, Trial
from netsurgery.compression.page import write_page
from netsurgery.compression.result import Compression


@pytest.mark.parametrize(
    ("baseline", "claim", "dotted"),
    [
        (None, "lost 0.4 on held-out data (standard error 0.2)", "Dotted: the network that was given."),
        (98.0, "gained 0.5 beside 98 on held-out data (standard error 0.2)", "Dotted: what drops are counted from."),
    ],
)
def test_a_baseline_of_ones_own_stands_beside_what_was_lost(
    baseline: float | None, claim: str, dotted: str, tmp_path: Path
) -> None:
    drop = 0.4 if baseline is None else -0.5
    candidates = (
        Candidate(0, None, 1_000, 1_000, 32, 98.9, 0.0, None, True, 4_000, 10.0),
        Candidate(1, Trial(0, 0.1, None, 50), 100, 1_000, 32, 98.5, drop, 0.2, True, 400, 5.0),
    )
    identity = {
        "max_loss": 0.5,
        "certainty": 0.5,
        "baseline": baseline,
        "objective": "size",
        "budget": "50 steps",
        "seed": 0,
        "precision": "float32",
        "versions": {"torch": "2"},
    }
    result = Compression(nn.Linear(1, 1), "size", candidates, False, tmp_path, None, "", None)
    page = write_page(tmp_path / "report.html", result, {"identity": identity, "elapsed_s": 1.0}, [("weight", 1, 10)])
    text = page.read_text(encoding="utf-8")
    assert claim in text
    assert dotted in text
