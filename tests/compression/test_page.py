"""The page of a search says what drops are counted from."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from netsurgery.compression.candidate import Candidate, Trial
from netsurgery.compression.page import write_page
from netsurgery.compression.result import Compression


def identity(baseline: float | None) -> dict[str, Any]:
    return {
        "max_loss": 0.5,
        "certainty": 0.5,
        "baseline": baseline,
        "objective": "size",
        "budget": "50 steps",
        "seed": 0,
        "precision": "float32",
        "versions": {"torch": "2"},
    }


@pytest.mark.parametrize(
    ("baseline", "claim", "dotted"),
    [
        (
            None,
            "lost 0.4 on held-out data (standard error 0.2)",
            "the limit, 0.5 below the network that was given.",
        ),
        (
            98.0,
            "gained 0.5 beside 98 on held-out data (standard error 0.2)",
            "the limit, 0.5 below what drops are counted from.",
        ),
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
    result = Compression(nn.Linear(1, 1), "size", candidates, False, tmp_path, None, "", None)
    state = {"identity": identity(baseline), "elapsed_s": 1.0}
    page = write_page(tmp_path / "report.html", result, state, [("weight", 1, 10)])
    text = page.read_text(encoding="utf-8")
    assert claim in text
    assert dotted in text


@pytest.mark.parametrize(
    ("error", "most", "words"),
    [
        (0.2, 0.73, "Judged on 350 held-out examples: on others like them it may lose up to 0.73."),
        (0.2, -0.1, "Judged on 350 held-out examples: the gain is more than chance."),
        (None, None, "How far chance moved it isn't known: `evaluate` gives no number for each of several examples."),
    ],
)
def test_result_and_page_say_how_far_chance_may_be_in_it(
    error: float | None, most: float | None, words: str, tmp_path: Path
) -> None:
    found = Candidate(1, Trial(0, 0.1, None, 50), 100, 1_000, 32, 98.5, 0.4, error, True, examples=350, most=most)
    candidates = (Candidate(0, None, 1_000, 1_000, 32, 98.9, 0.0, None, True), found)
    result = Compression(nn.Linear(1, 1), "size", candidates, False, tmp_path, None, "", None)
    assert str(result).endswith(f"\n{words}")
    page = write_page(tmp_path / "report.html", result, {"identity": identity(None), "elapsed_s": 1.0}, [("a", 1, 10)])
    assert words in html.unescape(page.read_text(encoding="utf-8"))


def test_where_nothing_held_the_nearest_is_named(tmp_path: Path) -> None:
    candidates = (
        Candidate(0, None, 1_000, 1_000, 32, 98.9, 0.0, None, True, 4_000, 10.0),
        Candidate(1, Trial(0, 0.1, None, 50), 100, 1_000, 32, 90.0, 8.9, 0.4, False, 400, 5.0),
        Candidate(2, Trial(0, None, 4, 50), 900, 1_000, 4, 98.2, 0.7, 0.2, False, 700, 9.0),
        Candidate(3, Trial(0, None, 2, 50), 0, 1_000, 2, 0.0, 0.0, None, False, failed="diverged"),
    )
    result = Compression(nn.Linear(1, 1), "size", candidates, False, tmp_path, None, "", None)
    assert result.nearest == candidates[2]
    assert str(result).endswith(
        "nearest to it: 1.1x fewer connections, 4 bits, 700 bytes, lost 0.7 (standard error 0.2)"
    )
    page = write_page(tmp_path / "report.html", result, {"identity": identity(None), "elapsed_s": 1.0}, [("a", 1, 10)])
    assert "Number 2 came nearest" in page.read_text(encoding="utf-8")
    assert Compression(nn.Linear(1, 1), "size", candidates[:1], False, tmp_path, None, "", None).nearest is None
