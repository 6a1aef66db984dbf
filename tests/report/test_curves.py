"""The curves of the page: drawn whatever the runs left behind."""

from __future__ import annotations

import re

import pytest

from netsurgery.records.record import Run, TensorCount, Trace
from netsurgery.report.curves import curves

pytest.importorskip("matplotlib")

NAMES = ("conv.weight", "conv.bias", "fc.weight")


def trace_of(samples: int) -> Trace:
    steps = [100 * index for index in range(samples)]
    density = {name: [max(0.0, 1 - 0.1 * index) for index in range(samples)] for name in NAMES} if samples else {}
    flips = [max(0.0, 50.0 - 10 * index) for index in range(samples)]
    return Trace(steps, density, flips, [flip / 2 for flip in flips], [1.0 + 0.2 * index for index in range(samples)])


def run_of(trace: Trace, seed: int = 0, error_before: float = 1.25) -> Run:
    tensors = [TensorCount(name, (3, 4), 6, 12) for name in NAMES]
    return Run(seed, error_before, 1.5, 1.02, 0.75, tensors, 61.0, trace)


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_trace_gives_a_note_and_no_curve(seeds: int) -> None:
    element = curves([run_of(Trace(), seed) for seed in range(seeds)])
    assert "<svg" not in element
    assert "The first run left no trace." in element


@pytest.mark.parametrize("samples", [1, 2])
def test_a_short_trace_gives_all_curves(samples: int) -> None:
    runs = [run_of(trace_of(samples), seed) for seed in range(2)]
    for run in runs:
        run.trace.density["fc.weight"][-1] = 0.5
    assert curves(runs).count("<svg") == 3


def test_where_nothing_was_ever_pruned_only_the_error_is_drawn() -> None:
    ones, zeros = [1.0] * 3, [0.0] * 3
    element = curves([run_of(Trace([0, 1, 2], dict.fromkeys(NAMES, ones), zeros, zeros, [1.0, 2.0, 1.0]))])
    assert element.count("<svg") == 1
    assert "Error on the validation images" in element


def test_runs_with_traces_of_other_lengths_share_the_curves() -> None:
    runs = [run_of(trace_of(samples), seed) for seed, samples in enumerate((5, 0, 1, 9))]
    assert curves(runs).count("<svg") == 3


def test_flat_and_zero_curves_are_drawn() -> None:
    zeros = [0.0] * 3
    element = curves([run_of(Trace([0, 1, 2], dict.fromkeys(NAMES, zeros), zeros, zeros, zeros), error_before=0.0)])
    assert element.count("<svg") == 3
    assert "so that the masks never change" in element


@pytest.mark.parametrize(
    ("pruned", "spliced", "words"),
    [
        ([0.0, 3.0, 0.0], [0.0, 0.0, 0.0], "no mask changes after step 100"),
        ([0.0, 0.0, 0.0], [0.0, 3.0, 0.0], "no mask changes after step 100"),
        ([0.0, 3.0, 1.0], [0.0, 0.0, 0.0], "the masks change until the end"),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 1.0], "the masks change until the end"),
    ],
)
def test_the_caption_says_when_masks_stop_changing(pruned: list[float], spliced: list[float], words: str) -> None:
    trace = Trace([0, 100, 200], {"fc.weight": [1.0, 0.5, 0.5]}, pruned, spliced, [1.0, 1.0, 1.0])
    assert words in curves([run_of(trace)])


def test_captions_name_the_extremes_of_the_first_run() -> None:
    density = {"conv.weight": [1.0, 0.5, 0.25], "fc.weight": [1.0, 0.1, 0.0125]}
    trace = Trace([0, 100, 2000], density, [0.0, 1234.5, 7.0], [0.0, 1.0, 2.0], [1.0, 9.25, 1.5])
    element = curves([run_of(trace), run_of(trace_of(5), seed=1)])
    assert "at step 2,000 between 1.25 % in fc.weight and 25 % in conv.weight" in element
    assert "pruning peaks at 1,234 a step near step 100" in element
    assert "(dotted, 1.25 %): at most 9.25 % at step 100, 1.50 % at the last sample" in element


@pytest.mark.parametrize("layers", [3, 8, 9, 30])
def test_every_layer_has_a_color_of_its_own_and_its_bias_is_dashed(layers: int) -> None:
    names = [f"{layer}.{kind}" for layer in range(layers) for kind in ("weight", "bias")]
    trace = Trace([0, 1], {name: [1.0, 0.5] for name in names}, [0.0, 0.0], [0.0, 0.0], [1.0, 1.0])
    element = curves([run_of(trace)])
    looks = re.findall(r"border-top-color:([^;]*);border-top-style:(\w+)\"></i>(\d+\.\w+)<", element)
    assert [name for _, _, name in looks] == names
    assert [style for _, style, _ in looks] == ["solid", "dashed"] * layers
    colors = [color for color, _, _ in looks]
    assert colors[::2] == colors[1::2]
    assert len(set(colors)) == layers


def test_a_long_legend_calls_a_layer_with_a_single_line_by_its_name() -> None:
    names = [*(f"stage.{layer}.conv.weight" for layer in range(9)), "linear.weight", "linear.bias"]
    trace = Trace([0, 1], {name: [1.0, 0.5] for name in names}, [0.0, 0.0], [0.0, 0.0], [1.0, 1.0])
    listed = re.findall(r"</i>([^<]*)</li>", curves([run_of(trace)]))
    assert listed[: len(names)] == [*(f"stage.{layer}.conv" for layer in range(9)), "linear.weight", "linear.bias"]
