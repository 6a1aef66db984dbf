"""The curves of the page: density, prunes and splices, and validation error over the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netsurgery.records.record import Run, Trace
from netsurgery.report.plot import (
    PALETTE,
    Line,
    default_style,
    draw,
    draw_level,
    figure_element,
    layer_colors,
    log_scale,
    new_plot,
    short_names,
    symmetric_log_scale,
)
from netsurgery.report.wording import density, error, layer_of, note

_PRUNED, _SPLICED, _ERROR = Line("pruned", PALETTE[1]), Line("spliced", PALETTE[0]), Line("error", PALETTE[2])


def curves(runs: Sequence[Run]) -> str:
    """The curves in which something happens, and the validation error's, as HTML; captions are of the first run."""
    if not runs[0].trace.steps:
        return note("The first run left no trace.")
    lead = "" if len(runs) == 1 else note(f"Thick: seed {runs[0].seed}; thin: the other seeds.")
    with default_style():
        pictures = _error_curve(runs)
        if any(share < 1 for run in runs for shares in run.trace.density.values() for share in shares):
            pictures = _density_curves(runs) + _flip_curves(runs) + pictures
    return f'{lead}<div class="curves">{pictures}</div>'


def _density_curves(runs: Sequence[Run]) -> str:
    trace = runs[0].trace
    figure, axes = new_plot(trace, "kept, %")
    lines = _tensor_lines(list(trace.density))
    for line in lines:
        draw(axes, runs, _density_percent(line.name), line)
    shown = [100 * share for run in runs for shares in run.trace.density.values() for share in shares]
    if max(shown) > 2 * min(shown):
        log_scale(axes, shown)
    else:
        axes.set_ylim(bottom=0, top=105)
    ends = {name: shares[-1] for name, shares in trace.density.items()}
    least, most = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    caption = (
        f"Connections kept in each tensor: at step {trace.steps[-1]:,} between {density(ends[least])} % in {least} "
        f"and {density(ends[most])} % in {most}."
    )
    return figure_element(figure, "density", caption, short_names(lines))


def _density_percent(name: str) -> Callable[[Trace], Sequence[float]]:
    return lambda trace: [100 * share for share in trace.density.get(name, [])]


def _tensor_lines(names: Sequence[str]) -> list[Line]:
    """A color for each layer, dashes for all but its first tensor."""
    layers = list(dict.fromkeys(map(layer_of, names)))
    colors = dict(zip(layers, layer_colors(len(layers)), strict=True))
    firsts = {layer: next(name for name in names if layer_of(name) == layer) for layer in layers}
    return [Line(name, colors[layer_of(name)], dashed=name != firsts[layer_of(name)]) for name in names]


def _flip_curves(runs: Sequence[Run]) -> str:
    trace = runs[0].trace
    figure, axes = new_plot(trace, "connections per step")
    draw(axes, runs, lambda trace: trace.pruned_per_step, _PRUNED)
    draw(axes, runs, lambda trace: trace.spliced_per_step, _SPLICED)
    symmetric_log_scale(axes, [n for run in runs for n in (*run.trace.pruned_per_step, *run.trace.spliced_per_step)])
    peak = max(trace.pruned_per_step)
    rate = f"{peak:,.0f}" if peak >= 100 else f"{peak:.3g}"
    caption = (
        f"Connections pruned and spliced back, all tensors together, means between samples: pruning peaks at {rate} "
        f"a step near step {trace.steps[trace.pruned_per_step.index(peak)]:,}, {_last_flip(trace)}."
    )
    return figure_element(figure, "flips", caption, [_PRUNED, _SPLICED])


def _last_flip(trace: Trace) -> str:
    moving = [
        step
        for step, *flips in zip(trace.steps, trace.pruned_per_step, trace.spliced_per_step, strict=True)
        if any(flips)
    ]
    if not moving:
        return "so that the masks never change"
    if moving[-1] == trace.steps[-1]:
        return "and the masks change until the end"
    return f"and no mask changes after step {moving[-1]:,}"


def _error_curve(runs: Sequence[Run]) -> str:
    trace, before = runs[0].trace, runs[0].validation_error_before_percent
    figure, axes = new_plot(trace, "validation error, %")
    draw(axes, runs, lambda trace: trace.validation_error_percent, _ERROR)
    draw_level(axes, before)
    shown = [before, *(percent for run in runs for percent in run.trace.validation_error_percent)]
    if min(shown) > 0 and max(shown) > 5 * min(shown):  # the course would hide the end
        log_scale(axes, shown)
    else:
        axes.set_ylim(bottom=0, top=1.15 * max(shown) or 1.0)
    errors = trace.validation_error_percent
    worst = max(errors)
    caption = (
        f"Error on the validation images against the level before (dotted, {error(before)} %): at most "
        f"{error(worst)} % at step {trace.steps[errors.index(worst)]:,}, {error(errors[-1])} % at the last sample."
    )
    return figure_element(figure, "error", caption, [])
