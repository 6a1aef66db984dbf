"""The page as a whole: it stands alone, is well formed, and says what the record says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.report.masks import SHAPES, Masks, masks_of

from netsurgery.errors import DataError, MissingExtraError
from netsurgery.records.record import PaperRow, Record, Run, TensorCount, Trace
from netsurgery.report.page import write_page

matplotlib = pytest.importorskip("matplotlib")

PAPER = PaperRow("Paper et al., Table 1", 0.95, 0.91, 123, 9.5, {"conv": 14.2, "fc": 2.6})


def trace_of(masks: Masks, samples: int) -> Trace:
    steps = [100 * index for index in range(samples)]
    density = {name: [max(0.0, 1 - 0.1 * index) for index in range(samples)] for name in masks} if samples else {}
    flips = [max(0.0, 50.0 - 10 * index) for index in range(samples)]
    return Trace(steps, density, flips, [flip / 2 for flip in flips], [1.0 + 0.2 * index for index in range(samples)])


def run_of(masks: Masks, seed: int = 0, samples: int = 0) -> Run:
    tensors = [TensorCount(name, mask.shape, int(mask.sum()), mask.size) for name, mask in masks.items()]
    return Run(seed, 1.25, 1.5 + seed, 1.02, 0.75 + seed, tensors, 61.0, trace_of(masks, samples))


def record_of(masks: Masks, seeds: int = 1, samples: int = 0, paper: PaperRow | None = None) -> Record:
    runs = [run_of(masks, seed, samples) for seed in range(seeds)]
    return Record("A title", {"network": "small", "plan": {"depth": [1, 2]}}, runs, paper)


def page_of(folder: Path, record: Record, masks: Masks) -> str:
    path = folder / "page.html"
    write_page(path, record, masks)
    return path.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Keeps the ids, the addresses and the visible text, and raises where tags don't pair."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str | None] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        if self.open:
            raise ValueError(f"never closed: {self.open}")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset"}]

    def handle_endtag(self, tag: str) -> None:
        opened = self.open.pop()
        if opened != tag:
            raise ValueError(f"<{opened}> is closed by </{tag}>")

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_page_makes_no_external_request(tmp_path: Path) -> None:
    masks = masks_of(SHAPES)
    page = page_of(tmp_path, record_of(masks, seeds=2, samples=5, paper=PAPER), masks)
    reader = Reader(page)
    assert reader.addresses
    assert all(address.startswith(("data:", "#")) for address in reader.addresses)
    assert not re.search(r"https?://|@import|<script", page)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert "default-src 'none'" in page


def test_tags_pair_and_ids_are_unique_and_found(tmp_path: Path) -> None:
    masks = masks_of(SHAPES)
    page = page_of(tmp_path, record_of(masks, seeds=3, samples=5, paper=PAPER), masks)
    reader = Reader(page)
    assert reader.tags.count("svg") == 3
    assert not [name for name, count in Counter(reader.ids).items() if count > 1]
    targets = {address[1:] for address in reader.addresses if address.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]*)\)", page))
    assert targets
    assert targets <= set(reader.ids)


def test_text_is_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>&amp;'
    masks = {f"{evil}.weight": np.ones((3, 4), bool), f"{evil}.bias": np.ones(3, bool)}
    paper = replace(PAPER, source=evil, density_percent={evil: 1.0})
    record = replace(
        record_of(masks, samples=5, paper=paper),
        title=evil,
        configuration={evil: evil},
        versions={evil: evil},
        machine={"m": evil},
    )
    page = page_of(tmp_path, record, {f"{evil}.weight": masks[f"{evil}.weight"]})
    reader = Reader(page)
    assert "script" not in reader.tags
    assert reader.text.count(evil) >= 8
    assert "<script" not in page


def test_outcome_is_a_sentence_beside_the_papers(tmp_path: Path) -> None:
    masks = {"fc.weight": np.arange(1000).reshape(20, 50) < 50}
    text = Reader(page_of(tmp_path, record_of(masks, seeds=2, paper=PAPER), masks)).text
    assert "1,000 → 50 connections (20.0×), test error 1.02 % → 1.25 % (mean of 2 seeds, ±0.71)." in text
    assert "Paper et al., Table 1 1,000 → 123 connections (9.5×), test error 0.95 % → 0.91 %." in text


def test_outcome_says_the_file_where_every_network_was_packed_and_connections_where_any_are_gone(
    tmp_path: Path,
) -> None:
    masks = {"fc.weight": np.ones((20, 50), bool)}
    packed = replace(record_of(masks), runs=[replace(run_of(masks), packed_bytes=160)])
    text = Reader(page_of(tmp_path, packed, masks)).text
    assert "Here 4,000 → 160 bytes (25.0×), test error 1.02 % → 0.75 % (one seed)." in text
    masks = {"fc.weight": np.arange(1000).reshape(20, 50) < 50}
    packed = replace(record_of(masks), runs=[replace(run_of(masks), packed_bytes=160)])
    text = Reader(page_of(tmp_path, packed, masks)).text
    assert "Here 1,000 → 50 connections (20.0×), 4,000 → 160 bytes (25.0×), test error" in text


def test_layer_is_compared_with_the_paper_over_weights_and_biases(tmp_path: Path) -> None:
    masks = {"fc.weight": np.arange(90).reshape(9, 10) < 9, "fc.bias": np.zeros(10, bool)}
    text = Reader(page_of(tmp_path, record_of(masks, paper=PAPER), masks)).text
    assert "fc 9 of 100 9 2.6" in text


def with_batch_norm(layers: int) -> tuple[Record, Masks]:
    """Convolutions that were operated on, each with a batch norm that wasn't."""
    masks: Masks = {}
    for layer in range(layers):
        masks[f"conv{layer}.weight"] = np.arange(36).reshape(2, 2, 3, 3) < 9
        masks |= {f"bn{layer}.weight": np.ones(2, bool), f"bn{layer}.bias": np.ones(2, bool)}
    record = record_of(masks, samples=3)
    trace = record.runs[0].trace
    operated = {name: shares for name, shares in trace.density.items() if name.startswith("conv")}
    return replace(record, runs=[replace(record.runs[0], trace=replace(trace, density=operated))]), masks


@pytest.mark.parametrize("layers", [2, 12])
def test_layers_that_were_not_operated_on_are_one_row_and_have_no_picture(tmp_path: Path, layers: int) -> None:
    record, masks = with_batch_norm(layers)
    page = page_of(tmp_path, record, masks)
    text = Reader(page).text
    assert f"not operated on: {2 * layers} tensors {4 * layers} of {4 * layers} 100 all" in text
    assert f"all {13 * layers} of {40 * layers} 32.5" in text
    assert "connections and all other parameters" in text
    assert page.count('<img alt="conv') == layers
    assert '<img alt="bn' not in page
    assert "Not operated on, and not shown: bn0.weight, bn0.bias, bn1.weight" in text


def test_many_layers_stand_beside_each_other(tmp_path: Path) -> None:
    headings = {layers: page_of(tmp_path, *with_batch_norm(layers)).count("<h3>") for layers in (8, 9)}
    assert headings == {8: 8, 9: 0}


def test_a_share_stands_where_no_count_was_published(tmp_path: Path) -> None:
    record, masks = with_batch_norm(2)
    paper = PaperRow("Somebody", 8.22, 8.57, None, 1 / 0.309, {})
    text = Reader(page_of(tmp_path, replace(record, paper=paper), masks)).text
    assert "Somebody 30.9 % of the connections (3.2×), test error 8.22 % → 8.57 %." in text
    assert "published – 3.2× – – 8.22 8.57 –" in text
    assert "paper, %" not in text


def test_file_sizes_are_shown_where_every_network_was_packed(tmp_path: Path) -> None:
    masks = masks_of(SHAPES)
    record = record_of(masks, seeds=2, paper=PAPER)
    packed = [replace(run, packed_bytes=size) for run, size in zip(record.runs, (1234, 1456), strict=True)]
    text = Reader(page_of(tmp_path, replace(record, runs=packed), masks)).text
    for expected in ("file, kB", "61 1.2 1", "mean", "±0 1.3 ±0.2", "as float32 it takes"):
        assert expected in text
    for runs in (record.runs, [packed[0], record.runs[1]]):
        assert "file, kB" not in Reader(page_of(tmp_path, replace(record, runs=runs), masks)).text


def test_figures_of_layers_are_means_over_seeds(tmp_path: Path) -> None:
    masks = {"a.weight": np.arange(100).reshape(10, 10) < 10, "b.weight": np.arange(50).reshape(5, 10) < 4}
    other = run_of({"a.weight": np.arange(100).reshape(10, 10) < 30, "b.weight": np.ones((5, 10), bool)}, seed=1)
    text = Reader(page_of(tmp_path, replace(record_of(masks), runs=[run_of(masks), other]), masks)).text
    assert "a.weight 10×10 20 of 100 20" in text
    assert "b.weight 5×10 27 of 50 54" in text
    assert "all 47 of 150 31.3" in text
    assert "Means over 2 seeds." in text


def test_same_record_gives_same_bytes(tmp_path: Path) -> None:
    masks = masks_of(SHAPES)
    record = record_of(masks, seeds=2, samples=5, paper=PAPER)
    assert page_of(tmp_path, record, masks) == page_of(tmp_path, record, masks)


def test_own_settings_of_matplotlib_neither_matter_nor_are_lost(tmp_path: Path) -> None:
    masks = masks_of(SHAPES)
    record = record_of(masks, samples=5)
    expected = page_of(tmp_path, record, masks)
    own = {"axes.linewidth": 7.0, "svg.fonttype": "path", "image.origin": "lower", "text.color": "red"}
    with matplotlib.rc_context(own):
        assert page_of(tmp_path, record, masks) == expected
        assert {name: matplotlib.rcParams[name] for name in own} == own


def test_page_of_lenet_5_is_below_a_megabyte_and_a_half(tmp_path: Path) -> None:
    shapes = {"conv1.weight": (20, 1, 5, 5), "conv2.weight": (50, 20, 5, 5), "fc1.weight": (500, 800)}
    record = record_of({name: np.ones(shape, bool) for name, shape in shapes.items()}, seeds=3, samples=200)
    generator = np.random.default_rng(0)
    path = tmp_path / "page.html"
    write_page(path, record, {name: generator.normal(size=shape) for name, shape in shapes.items()})
    assert path.stat().st_size < 1_500_000


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"other.weight": np.ones((10, 49), bool)}, "named 'other.weight'"),
        ({"fc.weight": np.ones((49, 10), bool)}, r"shape \(49, 10\)"),
        ({"fc.weight": np.ones((10, 49), bool)}, "keep 490"),
    ],
)
def test_masks_of_another_network_are_refused(tmp_path: Path, masks: Masks, message: str) -> None:
    record = record_of(masks_of(SHAPES))
    with pytest.raises(DataError, match=message):
        write_page(tmp_path / "page.html", record, masks)
    assert not list(tmp_path.iterdir())


def test_record_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no run"):
        write_page(tmp_path / "page.html", Record("A title", {}, []), {})


def test_missing_matplotlib_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    masks = masks_of(SHAPES)
    with pytest.raises(MissingExtraError, match=r"matplotlib.*pip install 'netsurgery\[report\]'"):
        write_page(tmp_path / "page.html", record_of(masks), masks)
    assert not list(tmp_path.iterdir())


def test_importing_the_page_needs_no_matplotlib() -> None:
    code = "import sys, netsurgery.report.page; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from netsurgery.report.page import write_page; from netsurgery.records.record import *\n"
        "trace = Trace([0], {'w': [1.0]}, [0.0], [0.0], [1.0])\n"
        "run = Run(0, 1.0, 1.0, 1.0, 1.0, [TensorCount('w', (2,), 2, 2)], 1.0, trace)\n"
        "write_page(sys.argv[1], Record('t', {}, [run]), {})\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "page.html")], check=True)
