"""The table of residual networks on CIFAR-10: one row for each record of benchmarks/results/cifar10."""

from __future__ import annotations

from pathlib import Path

from record_figures import accuracies, file_bytes, kept_share

from netsurgery.records.record import Record

RECORDS = Path(__file__).parent / "results" / "cifar10"
NONE = "No run is recorded."
_METHODS = {
    "surgery": "surgery, one density",
    "naive-cut": "naive cut, then training",
    "surgery+inq": "surgery, then powers of two",
    "inq": "powers of two",
    "sketching-direct": "binary planes by the direct method, nothing trained",
    "sketching-refined": "binary planes, refined, nothing trained",
    "sketching": "binary planes",
}


def cifar_table(folder: Path = RECORDS) -> str:
    """Markdown; accuracies in percent, mean and spread over seeds."""
    records = [Record.read(path) for path in sorted(folder.glob("*.json"))]
    if not records:
        return NONE
    records.sort(key=_place)
    lines = [
        "| network | method | kept | test accuracy %, before → after | file, bytes | of float32 | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(record) for record in records]
    devices = sorted({_device(record) for record in records})
    epochs = sorted({f"{record.configuration['epochs']:g}" for record in records if record.configuration["epochs"]})
    lines += ["", f"{' or '.join(epochs)} epochs, trained on {', '.join(devices)}; accuracies measured on a processor."]
    return "\n".join(lines)


def method_of(record: Record) -> str:
    """In words: powers of two, 3 bits, taught by the dense network."""
    precision = record.configuration["precision"]
    said = [] if precision == "float32" else [f"trained in {precision}"]
    return ", ".join([_METHODS[_method(record)], *record.title.split(", ")[2:], *said])


def _method(record: Record) -> str:
    return str(record.configuration["method"])


def _device(record: Record) -> str:
    device = record.machine.get("device", "cpu")
    return str(record.machine["processor"] if device == "cpu" else device)


def _place(record: Record) -> tuple[str, int, bool, float, list[int]]:
    """By network, method, whether taught; then what keeps most, and most bits or planes, first."""
    network, *words = record.title.split(", ")
    numbers = [-int(word.split()[0]) for word in words if word[0].isdigit()]
    taught = bool(record.configuration["training"].get("distilled"))
    kept = 0.0 if numbers else -kept_share(record)  # quantized zeros were not cut
    return network, list(_METHODS).index(_method(record)), taught, kept, numbers


def _row(record: Record) -> str:
    network, runs = record.title.split(", ")[0], record.runs
    before, after, spread = accuracies(record)
    size_bytes = file_bytes(record)
    return (
        f"| {network} | {method_of(record)} | {kept_share(record):.1%} | {before:.2f} → **{after:.2f}**{spread} "
        f"| {size_bytes:,.0f} | {size_bytes / (4 * runs[0].size):.1%} | {len(runs)} |"
    )
