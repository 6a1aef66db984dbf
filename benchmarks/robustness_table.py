"""The tables of docs/robustness.md, from the record of the stress table.

python benchmarks/robustness_table.py [RECORD]    # print them
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from outcomes import RESULTS
from stress.networks import NETWORKS
from stress.record import StressRecord
from stress.runs import Outcome
from stress.training import OPTIMIZERS, SCHEDULES
from stress.treatments import DENSE, DENSITIES, TREATMENTS

RECORD = RESULTS / "robustness.json"
PICTURE = RESULTS / "robustness.svg"
NOTHING = "No run is recorded."
CHANCE_PERCENT = 15.0
"""Up to here a network of ten classes is taken to guess."""
ALLOWED_SHORTFALL = 3.0
"""Points that a run of surgery may lie below the better of its comparators."""
PRUNED = tuple(name for name, treatment in TREATMENTS.items() if treatment.unit == "density")
FEW_BITS = tuple(name for name, treatment in TREATMENTS.items() if treatment.unit in ("bits", "planes"))
OPTIMIZER_TITLES = {"sgd": "SGD", "adamw": "AdamW"}


def recorded(path: Path = RECORD) -> StressRecord | None:
    """The record that the page is made from, if there is one."""
    return StressRecord.read(path) if path.exists() else None


def summary_table(record: StressRecord | None) -> str:
    """Means over all runs, how many only guess, and how far surgery lies below the better of its comparators."""
    if record is None or not record.outcomes:
        return NOTHING
    parts = [_means(record), _chance(record), _shortfalls(record), _few_bits_summary(record), _words(record)]
    return "\n\n".join(part for part in parts if part)


def density_tables(record: StressRecord | None) -> str:
    """A table for each density, a row for each network, optimizer and schedule: means over seeds."""
    if record is None:
        return NOTHING
    columns = [TREATMENTS[name].title for name in (*PRUNED, DENSE)]
    tables = []
    for density in DENSITIES:
        rows = _rows(record, [(name, density) for name in PRUNED])
        if rows:
            table = _table(["network", "optimizer", "steps", *columns], rows)
            tables.append(f"Density {density:g}, accuracy in percent:\n\n{table}")
    return "\n\n".join(tables) or NOTHING


def few_bits_table(record: StressRecord | None) -> str:
    """A row for each network, optimizer and schedule: means over seeds of every number of bits and planes."""
    treated = [(name, setting) for name in FEW_BITS for setting in TREATMENTS[name].settings]
    columns = [_title(*one) for one in treated]
    rows = [] if record is None else _rows(record, treated)
    return _table(["network", "optimizer", "steps", *columns, "dense"], rows) if rows else NOTHING


def picture(record: StressRecord | None) -> str:
    """The line that shows the picture on its page."""
    if record is None:
        return NOTHING
    return f"![Accuracy less that of dense training, by density and treatment](../benchmarks/results/{PICTURE.name})"


def of_treatment(record: StressRecord, treatment: str, setting: float) -> list[Outcome]:
    """All runs of a treatment at a setting."""
    return [
        outcome
        for outcome in record.outcomes
        if outcome.configuration.treatment == treatment and outcome.configuration.setting == setting
    ]


def less_dense(record: StressRecord, outcomes: Iterable[Outcome]) -> list[float]:
    """Of each outcome, its accuracy less that of dense training for the same steps, in points."""
    pairs = [(outcome, record.dense(outcome)) for outcome in outcomes]
    return [outcome.accuracy_percent - dense.accuracy_percent for outcome, dense in pairs if dense is not None]


def shortfalls(record: StressRecord, density: float) -> list[tuple[float, Outcome]]:
    """Of each run of surgery: points below the better of naive cut and no splicing, < 0 where it is above both."""
    found = []
    for outcome in of_treatment(record, "surgery", density):
        others = [record.other(outcome, treatment) for treatment in ("naive-cut", "no-splicing")]
        better = [other.accuracy_percent for other in others if other is not None]
        if len(better) == len(others):
            found.append((max(better) - outcome.accuracy_percent, outcome))
    return found


def _means(record: StressRecord) -> str:
    rows = []
    for density in DENSITIES:
        groups = {name: of_treatment(record, name, density) for name in PRUNED}
        dense = [found for outcome in itertools.chain(*groups.values()) if (found := record.dense(outcome))]
        if dense:
            rows.append([f"{density:g}", *_bold_best([_mean(group) for group in groups.values()]), _mean(dense)])
    return _table(["mean accuracy, %, at density", *(TREATMENTS[name].title for name in (*PRUNED, DENSE))], rows)


def _chance(record: StressRecord) -> str:
    rows = []
    for density in DENSITIES:
        groups = [of_treatment(record, name, density) for name in PRUNED]
        if any(groups):
            rows.append([f"{density:g}", *(_guessing(group) for group in groups)])
    title = f"runs at chance (at most {CHANCE_PERCENT:g} %), at density"
    return _table([title, *(TREATMENTS[name].title for name in PRUNED)], rows)


def _shortfalls(record: StressRecord) -> str:
    rows = []
    for density in DENSITIES:
        found = shortfalls(record, density)
        if not found:
            continue
        worst, outcome = max(found, key=lambda one: one[0])
        beyond = sum(points > ALLOWED_SHORTFALL for points, _ in found)
        mean = statistics.fmean(points for points, _ in found)
        rows.append([f"{density:g}", f"{mean:.2f}", f"{worst:.1f}", _run(outcome), f"{beyond} of {len(found)}"])
    titles = ["mean", "worst", "which run that is", f"more than {ALLOWED_SHORTFALL:g}"]
    return _table(["surgery, points below the better of no splicing and naive cut, at density", *titles], rows)


def _few_bits_summary(record: StressRecord) -> str:
    rows = []
    for name in FEW_BITS:
        for setting in TREATMENTS[name].settings:
            group = of_treatment(record, name, setting)
            differences = less_dense(record, group)
            if differences:
                dense = [found for outcome in group if (found := record.dense(outcome))]
                means = [
                    _mean(group),
                    _mean(dense),
                    f"{statistics.fmean(differences):+.2f}",
                    f"{min(differences):+.1f}",
                ]
                rows.append([_title(name, setting), *means, _guessing(group)])
    return _table(["few bits", "mean accuracy, %", "dense, %", "difference", "worst", "runs at chance"], rows)


def _words(record: StressRecord) -> str:
    seeds = len({outcome.configuration.seed for outcome in record.outcomes})
    failed = sum(bool(outcome.failure) for outcome in record.outcomes)
    said = Counter(warning for outcome in record.outcomes for warning in outcome.warnings)
    hours = sum(outcome.duration_s for outcome in record.outcomes) / 3600
    words = (
        f"{len(record.outcomes):,} runs, {seeds} seed{'s' * (seeds != 1)}, {hours:.1f} hours of one thread on "
        f"{record.facts['machine']['processor']}, torch {record.facts['versions']['torch']}. "
        f"Runs that ended in an error, counted as 0 %: {failed}."
    )
    return words + "".join(f" {name} was given in {count} runs." for name, count in sorted(said.items()))


def _rows(record: StressRecord, treated: Sequence[tuple[str, float]]) -> list[list[str]]:
    """Of each network, optimizer and schedule that was run: the means of the treatments, then of dense training."""
    rows = []
    for place in itertools.product(NETWORKS, OPTIMIZERS, SCHEDULES):
        groups = [_of_place(of_treatment(record, *one), place) for one in treated]
        if any(groups):
            dense = _of_place(of_treatment(record, DENSE, 1), place)
            network, optimizer, schedule = place
            titles = [NETWORKS[network].title, OPTIMIZER_TITLES[optimizer], f"{SCHEDULES[schedule].steps:,}"]
            rows.append([*titles, *map(_mean, groups), _mean(dense)])
    return rows


def _of_place(outcomes: Iterable[Outcome], place: tuple[str, str, str]) -> list[Outcome]:
    runs = ((outcome, outcome.configuration) for outcome in outcomes)
    return [outcome for outcome, run in runs if (run.network, run.optimizer, run.schedule) == place]


def _mean(outcomes: Sequence[Outcome]) -> str:
    """Nothing where there is no run."""
    return f"{statistics.fmean(outcome.accuracy_percent for outcome in outcomes):.1f}" if outcomes else ""


def _bold_best(means: Sequence[str]) -> list[str]:
    best = max(filter(None, means), key=float, default=None)
    return [f"**{mean}**" if mean and mean == best else mean for mean in means]


def _guessing(outcomes: Sequence[Outcome]) -> str:
    count = sum(outcome.accuracy_percent <= CHANCE_PERCENT for outcome in outcomes)
    return f"{count} of {len(outcomes)}" if outcomes else ""


def _run(outcome: Outcome) -> str:
    run = outcome.configuration
    title = NETWORKS[run.network].title
    return f"{title}, {OPTIMIZER_TITLES[run.optimizer]}, {SCHEDULES[run.schedule].steps:,} steps, seed {run.seed}"


def _title(treatment: str, setting: float) -> str:
    """A treatment of few bits in words: powers of two, 5 bits; binary planes, 1."""
    unit = f" {TREATMENTS[treatment].unit}" if TREATMENTS[treatment].unit == "bits" else ""
    return f"{TREATMENTS[treatment].title}, {setting:g}{unit}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Nothing without rows."""
    if not rows:
        return ""
    lines = [f"| {' | '.join(cells)} |" for cells in (titles, *rows)]
    return "\n".join([lines[0], "|---" * len(titles) + "|", *lines[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", nargs="?", type=Path, default=RECORD)
    record = recorded(parser.parse_args().record)
    print(summary_table(record), density_tables(record), few_bits_table(record), sep="\n\n")


if __name__ == "__main__":
    main()
