"""The tables of docs/training.md: what changes the time of a step, and what it consists of."""

from __future__ import annotations

import json

from outcomes import RESULTS


def training_step_table() -> str:
    """A row per variant, then a row per part of the step."""
    results = json.loads((RESULTS / "training_step.json").read_text(encoding="utf-8"))
    machine = results["machine"]
    lines = [
        "| variant | batch | step, ms | images a second | times faster | 10 to 90 % of the rounds |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        ratio = row["times_faster"]
        lines.append(
            f"| {row['variant']} | {row['batch_size']} | {row['median_step_ms']:.0f} | {row['images_per_s']:,.0f} "
            f"| {ratio['median']:.2f}x | {ratio['p10']:.2f} to {ratio['p90']:.2f} |"
        )
    lines += [f"| {name} | | | | doesn't run here | |" for name in results["failed"]]
    names = list(results["parts_ms"])
    lines += ["", f"| part of a step, ms | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for part in results["parts_ms"][names[-1]]:
        lines.append(f"| {part} | {' | '.join(_part(results['parts_ms'][name], part) for name in names)} |")
    if results["operators_ms"]:
        lines += ["", "| operators of the first row's step | ms |", "|---|---|"]
        lines += [f"| {kind} | {_part(results['operators_ms'], kind)} |" for kind in results["operators_ms"]]
    threads = f"{machine['threads']} thread" + "s" * (machine["threads"] != "1")
    lines += [
        "",
        f"{results['network']}, {machine['processor']}, {threads}, torch {results['versions']['torch']}: medians over "
        f"{results['rounds']} rounds of turns; times faster compares images a second of neighbouring turns with the "
        f"first row's. {results['note']}".rstrip(),
    ]
    return "\n".join(lines)


def _part(parts: dict[str, float], name: str) -> str:
    """Milliseconds, and the share of the whole step; nothing where a step has no such part."""
    if name not in parts:
        return ""
    return f"{parts[name]:.1f} ({parts[name] / sum(parts.values()):.1%})"
