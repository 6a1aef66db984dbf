"""The page of a search: what was found, the frontier as a picture, every trial, and where the best file's bytes go."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from netsurgery.analysis.summary import summary_of
from netsurgery.compression.candidate import Activations, Candidate
from netsurgery.compression.result import Compression
from netsurgery.files import write_verified
from netsurgery.report.page import document, section
from netsurgery.report.plot import PALETTE, Line, default_style, draw_level, figure_element, log_scale, new_axes
from netsurgery.runtime.session import read_packed

_TITLES = {"size": "The smallest network within the limit", "latency": "The fastest network within the limit"}
_UNITS = {"size": "bytes of the whole file", "latency": "microseconds of one example"}


def write_page(
    path: Path, result: Compression, state: Mapping[str, Any], layers: Sequence[tuple[str, int, int]]
) -> Path:
    """Write the page of a search; returns its path. Without matplotlib it has no picture."""
    baseline = state["identity"]["baseline"]
    body = [
        _claims(result, baseline),
        section("Cost and metric", _picture(result, state["identity"])) if find_spec("matplotlib") else "",
        section("What was tried", _trials(result)),
        section("Connections by layer", _layers(layers)),
        section("Bytes of the file", _bytes(result.path)) if result.path else "",
        section("How it was found", _origin(result, state)),
    ]
    content = document(_TITLES[result.objective], [part for part in body if part]).encode("utf-8")
    write_verified(path, content, lambda written: written.read_bytes() == content)
    return path


_FIXED: Mapping[Activations, str] = {"float": "", "fixed": ", activations in fixed point"}


def _claims(result: Compression, baseline: float | None) -> str:
    first, now = result.reference, result.best
    if not result.met:
        words = "No smaller network held the limit. This is the one that was given."
        if result.nearest is not None:
            words += f"<span>Number {result.nearest.number} came nearest: more of a budget may hold it.</span>"
        return f'<div class="claims"><p>{words}</p></div>'
    facts = [
        (f"{now.compression:,.1f}x fewer connections", f"{first.connections:,} to {now.kept:,}"),
        (f"metric {first.value:.6g} to {now.value:.6g}", _drop(now, baseline)),
    ]
    if now.activations == "fixed":
        facts.append(("activations in fixed point", "the packed network only adds; its metric is the file's own"))
    if first.size_bytes and now.size_bytes:
        facts.append(
            (
                f"{first.size_bytes / now.size_bytes:,.1f}x smaller file",
                f"{first.size_bytes:,} to {now.size_bytes:,} bytes",
            )
        )
    if first.latency_us and now.latency_us:
        facts.append(
            (
                f"{first.latency_us / now.latency_us:,.1f}x the speed in the engine",
                f"{first.latency_us:,.1f} to {now.latency_us:,.1f} microseconds of one example, one thread",
            )
        )
    return '<div class="claims">' + "".join(f"<p>{head}<span>{text}</span></p>" for head, text in facts) + "</div>"


def _drop(one: Candidate, baseline: float | None) -> str:
    """baseline: what drops are counted from, where that isn't the metric of the network given."""
    error = "" if one.error is None else f" (standard error {one.error:.2g})"
    beside = "" if baseline is None else f" beside {baseline:.6g}"
    change = f"{'lost' if one.drop > 0 else 'gained'} {abs(one.drop):.4g}" if one.drop else "lost nothing"
    chance = f". {html.escape(one.chance)}" if one.chance else ""
    return f"{change}{beside} on held-out data{error}{chance}"


def _picture(result: Compression, identity: Mapping[str, Any]) -> str:
    baseline, max_loss = identity["baseline"], float(identity["max_loss"])
    shown = [one for one in result.candidates if not one.failed]
    costs = [one.cost(result.objective) for one in shown]
    kinds = (
        ("within the limit", PALETTE[0], [one for one in shown if one.held]),
        ("beyond it", PALETTE[7], [one for one in shown if not one.held]),
    )
    with default_style():
        figure, axes = new_axes(_UNITS[result.objective], "metric")
        for _, color, group in kinds:
            axes.plot(
                [one.cost(result.objective) for one in group], [one.value for one in group], "o", color=color, ms=4
            )
        curve = result.curve
        axes.plot([one.cost(result.objective) for one in curve], [one.value for one in curve], color=PALETTE[7], lw=0.8)
        chosen = result.best
        axes.plot([chosen.cost(result.objective)], [chosen.value], "o", color=PALETTE[1], ms=8, fillstyle="none")
        draw_level(axes, (result.reference.value if baseline is None else baseline) - max_loss)
        if max(costs) > 3 * min(costs):
            log_scale(axes, costs, "x")
        legend = [Line(name, color) for name, color, group in kinds if group] + [Line("the best", PALETTE[1])]
        begin = "the network that was given" if baseline is None else "what drops are counted from"
        dotted = f"{max_loss:g} below {begin}" if max_loss else begin
        caption = (
            f"Metric on held-out data over {_UNITS[result.objective]}. The line joins networks that no other one beats "
            f"in both. Dotted: the limit, {dotted}."
        )
        return f'<div class="curves">{figure_element(figure, "frontier", caption, legend)}</div>'


def _table(heads: Sequence[str], rows: Sequence[tuple[Sequence[str], bool]]) -> str:
    head = "".join(f"<th>{html.escape(one)}</th>" for one in heads)
    body = "".join(
        f"<tr{' class=strong' if strong else ''}><th>{html.escape(cells[0])}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells[1:])
        + "</tr>"
        for cells, strong in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _trials(result: Compression) -> str:
    rows = []
    for one in result.candidates:
        what = (
            "as given" if one.trial is None else f"from {one.trial.start}: {one.trial.words}{_FIXED[one.activations]}"
        )
        cells = [
            f"{one.number}: {what}",
            f"{one.trial.steps:,}" if one.trial else "",
            f"{one.compression:,.1f}x" if not one.failed else "",
            f"{one.value:.6g}" if not one.failed else one.failed,
            f"{one.drop:+.3g}" if not one.failed else "",
            "yes" if one.held else "no",
            f"{one.size_bytes:,}" if one.size_bytes else "",
            f"{one.latency_us:,.1f}" if one.latency_us else "",
        ]
        rows.append((cells, one.number == result.best.number))
    return _table(("network", "steps", "fewer", "metric", "lost", "held", "bytes", "µs"), rows)


def _layers(layers: Sequence[tuple[str, int, int]]) -> str:
    rows = [((name, f"{kept:,}", f"{size:,}", f"{100 * kept / size:.2f} %"), False) for name, kept, size in layers]
    kept, size = sum(one[1] for one in layers), sum(one[2] for one in layers)
    total = (("all", f"{kept:,}", f"{size:,}", f"{100 * kept / size:.2f} %"), True)
    return _table(("parameter", "kept", "of", "density"), [*rows, total])


def _bytes(path: Path) -> str:
    summary = summary_of(read_packed(path))
    rows = [
        ((one.name, one.encoding, f"{one.kept:,}", f"{one.bits / 8:,.1f}"), False)
        for one in summary.tensors
        if one.bits
    ]
    ends = summary.size_bytes - (summary.structure_bits + sum(one.bits for one in summary.tensors)) / 8
    rest = [
        (("structure", "", "", f"{summary.structure_bits / 8:,.1f}"), False),
        (("header, end", "", "", f"{ends:,.1f}"), False),
        (("whole file", "", "", f"{summary.size_bytes:,}"), True),
    ]
    return _table(("part", "form", "kept", "bytes"), [*rows, *rest])


def _origin(result: Compression, state: Mapping[str, Any]) -> str:
    identity = state["identity"]
    rate = state.get("rate", {})
    facts = [
        ("limit", f"{identity['max_loss']:g} of the metric, certainty {identity['certainty']:g}"),
        *([("counted from", f"{identity['baseline']:g}")] if identity["baseline"] is not None else []),
        ("objective", str(identity["objective"])),
        ("budget", str(identity["budget"])),
        ("seconds", f"{state['elapsed_s']:,.0f}"),
        ("optimizer", f"{rate['kind']} {rate['value']:g}" if rate else ""),
        ("taught by the network given", "yes" if state.get("taught") else "no"),
        ("precision of training", str(identity["precision"])),
        ("threads", str(state.get("threads", ""))),
        ("seed", str(identity["seed"])),
        ("versions", ", ".join(f"{name} {value}" for name, value in identity["versions"].items())),
        *([("ended early", "by Ctrl-C or the clock")] if result.interrupted else []),
        *([("not packed", result.unpacked)] if result.unpacked else []),
    ]
    return _table(("", ""), [(pair, False) for pair in facts])
