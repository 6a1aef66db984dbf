"""What results/public_models.json says, as tables for a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cells
import refusals

from public_models.models import FIXED, PACKS, ModelFile, model_files

RECORD = Path(__file__).resolve().parents[1] / "results" / "public_models.json"


def recorded(path: Path = RECORD) -> dict[str, Any]:
    """What was recorded last."""
    return json.loads(path.read_text(encoding="utf-8"))


def summary(record: Mapping[str, Any]) -> str:
    """How many files pack, and with what they were compared."""
    rows = record["rows"]
    counts = Counter(row["verdict"] for row in rows)
    packages = len({file.package for file in _files(record).values()})
    packed = counts[PACKS] + counts[FIXED]
    ratios = [run["times_faster"]["median"] for row in rows for run in row.get("runs", ()) if "times_faster" in run]
    runs = [run for row in _packing(rows) for run in row["runs"]]
    usual = [run for run in runs if run.get("allowed", record["tolerance"]) <= record["tolerance"]]
    worst = max((run["difference"] or 0.0 for run in usual), default=0.0)
    versions = record["versions"]
    text = (
        f"{packed} of {len(rows)} files from {packages} packages pack ({100 * packed / len(rows):.0f} %), "
        f"{counts[FIXED]} of them with sizes in the place of open axes. "
    )
    if ratios:
        faster = sum(one >= 1 for one in ratios)
        text += (
            f"Outputs lie at most {worst:.0e} of the largest one from those of ONNX Runtime {versions['onnxruntime']} "
            f"({record['tolerance']:.0e} is allowed){_magnified(len(runs) - len(usual))}. "
            f"Of {len(ratios)} runs, {faster} are at least as fast as there. "
        )
    text += f"{record['machine']['processor']}, one thread, {record['rounds']} turns of each runtime."
    return text + cells.busy(rows)


def _magnified(runs: int) -> str:
    """Of networks that rounding alone moves further on these inputs."""
    if not runs:
        return ""
    return f", but for {runs} runs in which rounding alone moves outputs further, by Monte Carlo arithmetic"


def _packing(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["verdict"] in (PACKS, FIXED)]


def files_table(record: Mapping[str, Any]) -> str:
    """A row for each file."""
    files = _files(record)
    lines = [
        "| package | file | what | bytes | packed | verdict | missing, notes | times faster |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        file = files[row["name"]]
        lines.append(
            f"| {file.package.name} {file.package.version} | {Path(file.path).name} | {file.kind}: {file.what} "
            f"| {file.bytes:,} | {_bytes(row)} | {row['verdict']} | {_notes(row)} | {_faster(row)} |"
        )
    return "\n".join(lines)


def wanted_table(record: Mapping[str, Any]) -> str:
    """Operators that are missing, those that most files need first."""
    files: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    for row in record["rows"]:
        missing = row.get("missing", {})
        files.update(missing.keys())
        nodes.update(missing)
    lines = ["| operator | files | nodes |", "|---|---|---|"]
    order = sorted(files, key=lambda operator: (-files[operator], -nodes[operator], operator))
    return "\n".join([*lines, *(f"| {operator} | {files[operator]} | {nodes[operator]} |" for operator in order)])


def _files(record: Mapping[str, Any]) -> dict[str, ModelFile]:
    known = {file.name: file for file in model_files()}
    return {row["name"]: known[row["name"]] for row in record["rows"]}


def _bytes(row: Mapping[str, Any]) -> str:
    return f"{row['packed_bytes']:,}" if "packed_bytes" in row else ""


def _notes(row: Mapping[str, Any]) -> str:
    """What is missing, why axes are fixed, which inputs have a value, and how far the file as shipped lies off."""
    notes = [f"{name} is {value}" for name, value in row.get("input_values", {}).items()]
    off = [run["difference_as_shipped"] for run in row.get("runs", ()) if "difference_as_shipped" in run]
    if off:
        notes.append(f"{' '.join(row['remarks'])} The file as shipped gives outputs up to {max(off):.0e} away.")
    return "; ".join(part for part in (refusals.words(row), *notes) if part)


def _faster(row: Mapping[str, Any]) -> str:
    """At each of the sizes, in the order of models.toml."""
    ratios = [run["times_faster"]["median"] for run in row.get("runs", ()) if "times_faster" in run]
    return " / ".join(map(cells.faster, ratios))


def public_models_tables() -> str:
    """All of it, of what was recorded last."""
    record = recorded()
    parts = [summary(record), files_table(record)]
    if any(row.get("missing") for row in record["rows"]):
        parts += ["What is missing, over all files:", wanted_table(record)]
    return "\n\n".join(parts)
