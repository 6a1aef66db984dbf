"""The record of an experiment: what is written is read back, and nothing else is taken for a record."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netsurgery.errors import DataError
from netsurgery.records.record import (
    RECORD_VERSION,
    PaperRow,
    Record,
    Run,
    TensorCount,
    Trace,
    mean_and_spread,
)

WORDS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 1 << 40)
NUMBER_LISTS = st.lists(NUMBERS, max_size=4)
TRACES = st.builds(
    Trace, st.lists(COUNTS, max_size=4), st.dictionaries(WORDS, NUMBER_LISTS, max_size=2), *[NUMBER_LISTS] * 3
)
TENSORS = st.builds(TensorCount, WORDS, st.lists(COUNTS, max_size=4).map(tuple), COUNTS, COUNTS)
RUNS = st.builds(Run, COUNTS, *[NUMBERS] * 4, st.lists(TENSORS, max_size=2), NUMBERS, TRACES, st.none() | COUNTS)
PAPERS = st.builds(
    PaperRow, WORDS, NUMBERS, NUMBERS, st.none() | COUNTS, NUMBERS, st.dictionaries(WORDS, NUMBERS, max_size=2)
)
SETTINGS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.builds(
    Record,
    title=WORDS,
    configuration=st.dictionaries(WORDS, SETTINGS, max_size=3),
    runs=st.lists(RUNS, max_size=2),
    paper=st.none() | PAPERS,
    versions=st.dictionaries(WORDS, WORDS, max_size=2),
    machine=st.dictionaries(WORDS, WORDS, max_size=2),
)
RUN = Run(
    seed=3,
    validation_error_before_percent=1.5,
    validation_error_percent=1.25,
    test_error_before_percent=1.0,
    test_error_percent=0.75,
    tensors=[TensorCount("fc.weight", (10, 20), 30, 200), TensorCount("fc.bias", (10,), 0, 10)],
    duration_s=12.5,
    trace=Trace([0, 10], {"fc.weight": [1.0, 1e-05]}, [0.0, -1.5], [0.0, 1e300], [2.0, 1.0]),
)
RECORD = Record("A title", {"plan": {"stage": [{"density": 0.1}]}}, [RUN], PaperRow("P", 1.0, 2.0, 3, 4.0, {"fc": 5.0}))


@given(record=RECORDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_record_is_read_back_as_it_was_written(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "record.json"
    record.write(path)
    assert Record.read(path) == record
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(record.to_json())


def test_a_record_from_before_networks_were_packed_is_read(tmp_path: Path) -> None:
    table = json.loads(RECORD.to_json())
    del table["runs"][0]["packed_bytes"]
    path = tmp_path / "record.json"
    path.write_text(json.dumps(table))
    assert Record.read(path) == RECORD


def test_lists_of_numbers_stand_on_one_line_each() -> None:
    lines = RECORD.to_json().splitlines()
    for expected in ('"shape": [10, 20],', '"fc.weight": [1.0, 1e-05]', '"pruned_per_step": [0.0, -1.5],'):
        assert expected in [line.strip() for line in lines]
    assert '"stage": [' in [line.strip() for line in lines]
    assert max(len(line) for line in lines) < 120


def test_a_record_is_written_as_plain_ascii_and_ends_with_a_line_break() -> None:
    text = replace(RECORD, title="Größe × 2").to_json()
    assert text.isascii()
    assert text.endswith("}\n")


def changed(change: dict[str, Any]) -> str:
    return json.dumps({**json.loads(RECORD.to_json()), **change})


def without(key: str) -> str:
    return json.dumps({name: value for name, value in json.loads(RECORD.to_json()).items() if name != key})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "null",
        "[]",
        "17",
        '"text"',
        "{}",
        without("version"),
        without("runs"),
        without("paper"),
        without("title"),
        changed({"runs": None}),
        changed({"runs": [1]}),
        changed({"runs": [{}]}),
        changed({"runs": ["text"]}),
        changed({"paper": {}}),
        changed({"paper": 1}),
        changed({"unknown": 1}),
        changed({"runs": [{**json.loads(RECORD.to_json())["runs"][0], "unknown": 1}]}),
        changed({"runs": [{**json.loads(RECORD.to_json())["runs"][0], "trace": {"unknown": []}}]}),
        changed({"runs": [{**json.loads(RECORD.to_json())["runs"][0], "tensors": [{"name": "w"}]}]}),
    ],
)
def test_what_is_no_record_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(str(path)) + " is not a record of an experiment"):
        Record.read(path)


@pytest.mark.parametrize("version", [0, RECORD_VERSION + 1, "1", None])
def test_another_version_is_refused_by_name(tmp_path: Path, version: object) -> None:
    path = tmp_path / "record.json"
    path.write_text(changed({"version": version}))
    with pytest.raises(DataError, match=f"{re.escape(str(path))} is a record of version {version}; .* reads 1"):
        Record.read(path)


def test_a_file_that_is_missing_or_no_text_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(DataError, match=re.escape(str(path))):
        Record.read(path)
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(DataError, match=re.escape(str(path))):
        Record.read(path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_is_not_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(RECORD, runs=[replace(RUN, test_error_percent=value)]).write(tmp_path / "record.json")
    assert not list(tmp_path.iterdir())


def test_counts_of_a_run_are_sums_over_its_tensors() -> None:
    assert (RUN.kept, RUN.size, RUN.compression) == (30, 210, 7.0)


def test_a_network_without_connections_left_has_a_finite_compression() -> None:
    assert replace(RUN, tensors=[TensorCount("fc.bias", (10,), 0, 10)]).compression == 10.0


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9))
def test_spread_is_the_sample_standard_deviation(values: list[float]) -> None:
    mean, spread = mean_and_spread(values)
    assert mean == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert spread == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)), abs=1e-6)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_single_value_is_its_own_mean_and_has_no_spread(value: float) -> None:
    assert mean_and_spread([value]) == (value, 0.0)
