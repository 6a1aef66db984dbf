"""Tables and answers say what the records say, and nothing of what isn't recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cells
import methods_chart
import pytest
import readme_tables
from answers import PLANES, POWERS, SMALLEST, answer, fastest_answer
from experiment_tables import pruned_table, quantized_table
from fixed_accuracy_table import fixed_accuracy_table
from hypothesis import given
from hypothesis import strategies as st
from latencies import Latencies
from methods_table import methods_table
from outcomes import METHODS, Outcome, outcomes
from tests.benchmarks.recorded import SIZE, record_of

from netsurgery.experiments.treatments import SURGERY_THEN_INQ
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.keep_zeros import KeepZeros

ROOT = Path(__file__).resolve().parents[2]


def outcome_of(name: str = "mine", **record: Any) -> Outcome:
    made = record_of(**record)
    return Outcome(name, made, tuple(run.packed_bytes for run in made.runs if run.packed_bytes is not None))


def latencies_of(*names: str) -> Latencies:
    """Of LeNet-300-100: each runtime takes 10 microseconds less than the one before it."""
    runtimes = {name: {"median_us": 100.0 - 10 * index} for index, name in enumerate(("onnxruntime", "dense", *names))}
    faster = {name: {"onnxruntime": {"median": 100 / runtimes[name]["median_us"]}} for name in ("dense", *names)}
    rows = [{"network": "lenet300", "batch": batch, "runtimes": runtimes, "times_faster": faster} for batch in (1, 64)]
    networks = {"lenet300": {"dense_packed_bytes": SIZE}}
    machine = {"processor": "Another processor", "threads": "1"}
    return Latencies(
        {
            "rows": rows,
            "networks": networks,
            "machine": machine,
            "rounds": 3,
            "seed": 0,
            "note": "Measured in a hurry.",
            "versions": {"onnxruntime": "1.2.3"},
        }
    )


def rows_of(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")][2:]


def test_every_method_has_its_words() -> None:
    assert set(METHODS) == {*ALL_METHODS, SURGERY_THEN_INQ} - {KeepZeros.name}  # which makes nothing smaller


def test_every_document_is_what_the_records_say() -> None:
    script = ROOT / "benchmarks" / "readme_tables.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_table_stands_in_a_document() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in readme_tables.DOCUMENTS)
    for name in readme_tables.TABLES:
        assert texts.count(f"<!-- table: {name} -->\n") == 1, name


def test_a_document_that_differs_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["readme_tables.py", "--check"])
    monkeypatch.setitem(readme_tables.TABLES, "smallest", lambda: "something else")
    assert readme_tables.main() == 1
    assert "docs/choosing-a-method.md differs" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["<!-- table: smallest -->\n", "<!-- table: ours -->\n<!-- end: ours -->\n"])
def test_markers_that_are_wrong_are_refused(text: str) -> None:
    with pytest.raises(SystemExit, match="needs"):
        readme_tables.rewritten(text)


def test_experiments_of_few_bits_have_a_table_of_their_own() -> None:
    made = [outcome_of(method=method) for method in METHODS]
    assert [row[1] for row in rows_of(pruned_table(made))] == list(METHODS.values())[:4]
    few = rows_of(quantized_table(made))
    assert [row[1:3] for row in few] == [
        ["surgery, then powers of two", "5"],
        ["powers of two", "5"],
        ["binary planes", "2"],
    ]


def test_a_busy_machine_is_said_below_a_table_and_a_quiet_one_is_not() -> None:
    assert cells.busy([{"busy_cores": 0.1}, {"busy_cores": None}, {}]) == ""
    assert "took up to 1.5 cores" in cells.busy([{"busy_cores": 0.1}, {"busy_cores": 1.5}])


def test_sizes_that_were_not_noted_are_left_blank() -> None:
    unknown = outcome_of(method="inq", packed_bytes=None)
    assert rows_of(quantized_table([unknown]))[0][5:7] == ["", ""]
    assert rows_of(pruned_table([outcome_of(packed_bytes=None)]))[0][5] == ""
    assert answer([unknown], SMALLEST) == "No experiment is recorded."


def test_no_record_gives_a_table_without_rows() -> None:
    assert "No run is recorded." in quantized_table([])
    assert rows_of(quantized_table([])) == []
    assert rows_of(methods_table([outcome_of()], latencies_of("of no record"))) == []


def test_the_methods_table_joins_record_and_times_by_name() -> None:
    made = [
        outcome_of("timed", errors=(1.5, 1.7), kept=SIZE // 56),
        outcome_of("another"),
        outcome_of(network="lenet5"),
    ]
    table = methods_table(made, latencies_of("timed", "of no record"))
    rows = rows_of(table)
    assert [row[1] for row in rows] == ["*dense, ONNX Runtime*", "*dense*", "surgery, one density, 56x"]
    assert table.count("ONNX Runtime 1.2.3. Measured in a hurry. Trained on A processor.") == 1
    assert rows[0][4:7] == [f"{4 * SIZE:,}", "0.100", "0.100"]
    assert rows[1][4:7] == [f"{SIZE:,} (4.0x)", "0.0900 (**1.1x**)", "0.0900 (**1.1x**)"]
    assert rows[2][2:] == [
        "32",
        "2.28 → **1.60** ± 0.14",
        "1,000 (1066x)",
        "0.0800 (**1.2x**)",
        "0.0800 (**1.2x**)",
        "9,000",
        "60",
    ]


errors = st.sampled_from([1.0, 2.28, 2.29, 3.0])
drawn = st.lists(st.tuples(errors, st.integers(1, 4), st.one_of(st.none(), st.integers(1, 5))), max_size=6)


@given(drawn)
def test_the_best_is_the_least_of_those_that_lose_nothing(drawn: list[tuple[float, int, int | None]]) -> None:
    made = [
        outcome_of(str(index), method="inq", errors=(error,), bits=bits, packed_bytes=size)
        for index, (error, bits, size) in enumerate(drawn)
    ]
    for question, cost in ((SMALLEST, lambda row: row[2]), (POWERS, lambda row: (row[1], row[2]))):
        best = question.best(made)
        rows = [row for row in drawn if row[2] is not None]
        if best is None:
            assert not rows
            continue
        chosen = drawn[int(best.name)]
        assert chosen in rows
        kept = [row for row in rows if row[0] <= 2.28]
        if kept:
            assert chosen in kept
            assert cost(chosen) == min(map(cost, kept))
        else:
            assert chosen[0] == min(row[0] for row in rows)


def test_an_answer_says_where_the_best_loses_something() -> None:
    lossy, fine = outcome_of(method="inq", errors=(3.0,)), outcome_of(method="sketching", errors=(2.0, 2.1, 2.2))
    assert "this loses least" in answer([lossy, fine], POWERS)
    words = answer([lossy, fine], PLANES)
    assert words == (
        "- LeNet-300-100: **binary planes, 2 planes**: 2 bits a weight, 1,000 bytes, 1066x smaller; "
        "test error 2.28 → 2.10 ± 0.10 %."
    )


def test_the_fastest_is_among_those_that_were_measured() -> None:
    made = [outcome_of("slow"), outcome_of("fast", method="inq"), outcome_of("not measured", method="sketching")]
    lines = fastest_answer(made, latencies_of("slow", "fast")).splitlines()
    assert ["powers of two, 5 bits" in line for line in lines] == [True, True]
    assert "0.0700 ms at batch 64, 1.4 times" in lines[1]


def test_outcomes_take_sizes_from_their_records_first(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    record_of(packed_bytes=None, errors=(1.0, 2.0)).write(folder / "older.json")
    record_of(packed_bytes=None, errors=(1.0, 2.0)).write(folder / "unknown.json")
    record_of(method="inq", packed_bytes=7).write(folder / "newer.json")
    sizes = [("older", "float32, exact", 5), ("older", "float32, exact", 6), ("older", "rounded", 1)]
    sizes += [("newer", "float32, exact", 3), ("unknown", "float32, exact", 3)]  # of one seed of two
    rows = [{"network": name, "weights": form, "size_bytes": {".nsm": size}} for name, form, size in sizes]
    path = tmp_path / "file_size.json"
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    found = {outcome.name: outcome.file_bytes for outcome in outcomes(folder, path)}
    assert found == {"older": (5, 6), "unknown": (), "newer": (7,)}
    assert list(found)[-1] == "newer"  # surgery comes before powers of two


def test_the_picture_knows_the_records_that_it_was_made_from(tmp_path: Path) -> None:
    made, path = [outcome_of(), outcome_of("b", method="inq", errors=(1.0, 2.0))], tmp_path / "picture.svg"
    methods_chart.draw(path, made)
    assert methods_chart.shows(path, made)
    assert not methods_chart.shows(path, made[:1])
    assert not methods_chart.shows(tmp_path / "none.svg", made)
    first = path.read_bytes()
    methods_chart.draw(path, made)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (cells.milliseconds(2.23), "0.00223"),
        (cells.milliseconds(99_960), "100"),
        (cells.milliseconds(215_400), "215"),
        (cells.faster(0.983), "0.98x"),
        (cells.faster(1.0), "**1.0x**"),
        (cells.smaller(9.96), "10x"),
        (cells.smaller(1.21), "1.2x"),
    ],
)
def test_figures_are_written_shortly(written: str, expected: str) -> None:
    assert written == expected


def test_fixed_point_is_written_as_means_over_seeds_and_the_worst_of_other_answers(tmp_path: Path) -> None:
    def row(seed: int, error: float, answers: int, kept: int) -> dict[str, Any]:
        figures = {"multiplications": 11.0, "additions": 10.0, "doublings": 2.0, "given_bits": [8, 8 + seed]}
        fixed = {"error_percent": error, "other_answers": answers, "layers": 3, "of": 3, **figures}
        names = {"title": "LeNet-5, inq, 4 bits", "folder": "lenet5-inq-4", "seed": seed, "steps": 9_000}
        return {**names, "float_error_percent": 1.0, "fixed": fixed, "auto": {**fixed, "layers": kept}}

    record = {"rows": [row(0, 1.0, 3, 3), row(1, 1.1, 7, 2)]}
    record |= {"machine": {"processor": "a processor"}, "versions": {"torch": "1"}}
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    table = fixed_accuracy_table(path)
    assert "| LeNet-5, powers of two, 4 bits | 9,000 | 2 | 1.00 → **1.05** | 7 | 8 to 9 | 11.0 → 10.0, 2.0 |" in table
    assert "leaves a layer in float32 in 1 of 2 networks" in table
    assert "a processor, torch 1." in table
