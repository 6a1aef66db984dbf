"""The page of the papers' networks says what the record and the networks say; goals that are met are met on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastfood_table import fastfood_table
from papers_networks_table import RECORD, papers_networks_table, zoo_table

from netsurgery.zoo import ZOO


def made(tmp_path: Path) -> Path:
    """A record of two rows, one of them with one file."""
    file = {"size_bytes": 4_000_000, "dense_bytes": 240_000_000}
    record = {
        "seed": 7,
        "scale_spread": 0.25,
        "rows": [
            {
                "network": "alexnet",
                "title": "surgery and INQ, 5 bits",
                "files": {"independent": file, "scaled": {**file, "size_bytes": 2_000_000}},
            },
            {"network": "resnet18", "title": "INQ, 2 bits", "files": {"scaled": file}},
        ],
    }
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def test_a_row_has_counts_files_and_what_was_reported(tmp_path: Path) -> None:
    table = papers_networks_table(made(tmp_path))
    (row,) = (line for line in table.splitlines() if "surgery and INQ, 5 bits" in line)
    assert row == (
        "| AlexNet | surgery and INQ, 5 bits | 3,461,124 | 0 | 254 | 1/53 | 4,000,000 bytes, 1/60.0 "
        "| 2,000,000 bytes, 1/120.0 | 1/60 |"
    )
    assert "seed 7" in table
    assert "0.25 in the logarithm" in table


def test_a_file_that_is_not_recorded_is_left_empty(tmp_path: Path) -> None:
    table = papers_networks_table(made(tmp_path))
    (row,) = (line for line in table.splitlines() if "INQ, 2 bits" in line)
    assert row.endswith("|  |  | 4,000,000 bytes, 1/60.0 |  |")


def test_every_network_of_the_zoo_has_a_row() -> None:
    lines = zoo_table().splitlines()[2:]
    assert [line.split("`")[1] for line in lines] == list(ZOO)


@pytest.mark.parametrize(
    ("title", "least"),
    [("surgery and INQ, 5 bits", 60), ("surgery and INQ, 4 bits", 80), ("surgery and INQ, 3 bits", 100)],
)
def test_alexnets_recorded_files_are_as_small_as_was_aimed_at(title: str, least: float) -> None:
    rows = {(row["network"], row["title"]): row for row in json.loads(RECORD.read_text(encoding="utf-8"))["rows"]}
    file = rows["alexnet", title]["files"]["scaled"]
    assert file["dense_bytes"] / file["size_bytes"] >= least


def test_errors_are_means_over_seeds(tmp_path: Path) -> None:
    run = {"test_error_percent": 0.7, "packed_test_error_percent": 0.7, "parameters": 38_892, "packed_bytes": 140_000}
    record = {"lenet5": {"features": 1024, "steps": 500, "runs": [run, {**run, "test_error_percent": 0.9}]}}
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    table = fastfood_table(path)
    assert "| LeNet-5, Fastfood-1024 | 38,892 | 0.80 ± 0.14 | 0.70 ± 0.00 | 0.73 | 140,000 |" in table
    assert "500 steps" in table
