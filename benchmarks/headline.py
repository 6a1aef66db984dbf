"""The README's chart and small table: what is promised, from the records that show it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cifar_table import method_of
from record_figures import accuracies, file_bytes, kept_share

from netsurgery.records.record import Record

RESULTS = Path(__file__).parent / "results"
WIDTH = 28  # characters of the longest bar
LOSS_POINTS = 1.0
"""Of accuracy: networks that lose more aren't shown for their size."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


def chart() -> str:
    """A code block, which any page shows: pairs of bars, without netsurgery and with it."""
    lines: list[str] = []
    for record, data in ((_smallest("mnist", "lenet300"), "MNIST"), (_smallest("cifar10", "resnet20"), "CIFAR-10")):
        dense = 4 * record.runs[0].size
        size = file_bytes(record)
        lines += [
            f"{record.title.split(',')[0]} on {data}: bytes of the whole file, test accuracy {_accuracies(record)}",
            f"  float32    {_bar(dense, dense)} {dense:>10,}",
            f"  netsurgery {_bar(size, dense)} {size:>10,.0f}   {dense / size:,.0f}x smaller",
            "",
        ]
    for name, words in (("lenet5", "LeNet-5, surgery 108x"), ("resnet50", "ResNet-50, 10 % kept, random weights")):
        row = _latency(name)
        ours, theirs = (row["runtimes"][runtime]["median_us"] for runtime in ("netsurgery", "onnxruntime"))
        lines += [
            f"{words}: one image on one core, microseconds",
            f"  ONNX Runtime, dense {_bar(theirs, theirs, WIDTH - 9)} {theirs:>10,.1f}",
            f"  netsurgery          {_bar(ours, theirs, WIDTH - 9)} {ours:>10,.1f}   {theirs / ours:.1f}x faster",
            "",
        ]
    return "\n".join(["```text", *lines[:-1], "```"])


def proofs() -> str:
    """Three promises, a row or two each."""
    lenet, resnet = _record("mnist", "lenet5-surgery-108x"), _record("cifar10", "resnet20-surgery-20-teacher")
    small = _smallest("cifar10", "resnet20")
    size, kept = file_bytes(small), kept_share(resnet)
    fast = _latency("lenet5")
    ours, theirs = (fast["runtimes"][runtime]["median_us"] for runtime in ("netsurgery", "onnxruntime"))
    rows = [
        ("accuracy", "LeNet-5 on MNIST, 108x fewer connections", *_accuracies(lenet).split(" → ")),
        (
            "accuracy",
            f"ResNet-20 on CIFAR-10, {kept:.0%} of all weights kept, taught by the dense network",
            *_accuracies(resnet).split(" → "),
        ),
        (
            "bytes",
            f"ResNet-20 on CIFAR-10, {method_of(small)}: {_accuracies(small)}",
            f"{4 * small.runs[0].size:,}",
            f"**{size:,.0f}**",
        ),
        _by_one_call("lenet5", "LeNet-5 on MNIST"),
        ("time", "LeNet-5 pruned 108x, one image, beside ONNX Runtime", f"{theirs:.1f} µs", f"**{ours:.1f} µs**"),
    ]
    lines = ["| what | network | before | after |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _by_one_call(task: str, words: str) -> tuple[str, str, str, str]:
    """The row of `compress`: of its searches the one of the smallest file that makes no more errors on test images."""
    rows = json.loads((RESULTS / "compress.json").read_text(encoding="utf-8"))["rows"]
    errors = {id(row): re.findall(r"\d+\.\d+", row["report"][0]) for row in rows if row["task"] == task}
    kept = [row for row in rows if id(row) in errors and float(errors[id(row)][1]) <= float(errors[id(row)][0])]
    best = min(kept, key=lambda row: row["best"]["size_bytes"])
    before, after = errors[id(best)]
    fewer = f"{best['best']['compression']:.0f}x fewer connections, {best['best']['bits']} bits"
    dense = f"{4 * best['reference']['kept']:,}"
    return (
        "bytes",
        f"{words}, `ns.compress`: {fewer}, test error {before} % → {after} %",
        dense,
        f"**{best['best']['size_bytes']:,}**",
    )


def _record(data: str, name: str) -> Record:
    return Record.read(RESULTS / data / f"{name}.json")


def _smallest(data: str, network: str) -> Record:
    """Of a network's recorded runs the one of the smallest file that loses no more than LOSS_POINTS."""
    found = [Record.read(path) for path in sorted((RESULTS / data).glob(f"{network}-*.json"))]
    fitting = [record for record in found if record.packed_bytes and _loss(record) <= LOSS_POINTS]
    return min(fitting, key=file_bytes)


def _loss(record: Record) -> float:
    before, after, _ = accuracies(record)
    return before - after


def _accuracies(record: Record) -> str:
    before, after, spread = accuracies(record)
    return f"{before:.2f} % → {after:.2f}{spread} %"


def _latency(network: str) -> dict:
    """The recorded row of one image and one thread, on the first processor."""
    rows = json.loads((RESULTS / "engine.json").read_text(encoding="utf-8"))["rows"]
    return next(row for row in rows if (row["network"], row["batch"], row["threads"]) == (network, 1, 1))


def _bar(value: float, longest: float, width: int = WIDTH) -> str:
    eighths = max(1, round(8 * width * value / longest))
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(width)
