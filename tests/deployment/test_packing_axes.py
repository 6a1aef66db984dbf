"""Models with open axes and with whole numbers as inputs, from torch, ONNX and the command line to a file that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.cli.main import main
from netsurgery.errors import CaptureError, InputError, SettingError, UnsupportedOperatorError
from netsurgery.graph.from_torch import read_torch
from netsurgery.graph.ir import Input, named_axes
from netsurgery.graph.value_types import ValueType

WORDS: Any = {"ids": {0: "batch", 1: "time"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.nsm"


class Words(nn.Module):
    """Whole numbers -> scores for each of them, by way of some layers."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(11, 8)
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(8, 5)

    def forward(self, ids: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layers(self.embedding(ids)))
        return scores


class Attention(nn.Module):
    """Heads split with the sizes of the input, as many transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        query, key, value = (
            layer(x).view(batch, time, 2, 4).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, time, 8))
        return x + out


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return y


class Flat(nn.Module):
    """All words as rows, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.reshape(-1, 8)).view(x.shape[0], x.shape[1], 8)
        return y


MODELS = {
    "nothing else": (),
    "attention": (Attention(),),
    "encoder": (Encoder(), nn.LayerNorm(8)),
    "multihead attention": (SelfAttention(),),
    "rows": (Flat(), nn.ReLU(), Flat()),
}


def assert_packed_as(model: nn.Module, network: ns.Session, *sizes: tuple[int, int]) -> None:
    for size in sizes:
        ids = torch.randint(0, 11, size)
        with torch.no_grad():
            wanted = model.eval()(ids).numpy()
        np.testing.assert_allclose(network(ids.numpy()), wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_words_packs_with_open_batch_and_time(name: str, path: Path) -> None:
    model = Words(*MODELS[name])
    report = ns.pack(model, path, example_inputs=torch.randint(0, 11, (2, 3)), open_axes=WORDS)
    assert report.axes == ("batch", "time")
    assert report.batch is None
    assert "\nIt takes any batch, time.\n" in str(report)
    network = ns.load(path)
    assert network.inputs == (Input("input", ("batch", "time"), ValueType.INT64),)
    assert_packed_as(model, network, (1, 1), (1, 9), (2, 3), (3, 2), (4, 4), (17, 5))


def test_axes_are_open_where_the_examples_are_of_one(path: Path) -> None:
    model = Words()
    ns.pack(model, path, example_inputs=torch.zeros(1, 1, dtype=torch.int64), open_axes={0: {0: "batch", 1: "time"}})
    assert_packed_as(model, ns.load(path), (1, 1), (3, 4))


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_the_batch_alone_is_open_unless_more_is_asked_for(kind: torch.dtype, path: Path) -> None:
    model = Words()
    ns.pack(model, path, example_inputs=torch.zeros(2, 3, dtype=kind))
    network = ns.load(path)
    assert network.inputs == (Input("input", ("batch", 3), ValueType[str(kind).removeprefix("torch.").upper()]),)
    with pytest.raises(InputError, match=r"input 'input' has shape \(2, 4\); \(batch, 3\) is needed"):
        network(np.zeros((2, 4), np.int32))
    ns.pack(model, path, example_inputs=torch.zeros(2, 3, dtype=kind), open_axes={})
    assert ns.load(path).inputs[0].shape == (2, 3)


def test_pictures_of_any_size_pack_from_the_smallest_on(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).eval()
    axes: Any = {"input": {0: "batch", 2: "height", 3: "width"}}
    ns.pack(model, path, example_inputs=torch.randn(1, 3, 40, 50), open_axes=axes)
    network = ns.load(path)
    least = 4 + 2 * 5 + 1  # a window of 3 behind a pool of 2 behind a stride of 2
    for height, width in ((least, least), (least, 64), (41, 30), (99, 33)):
        x = torch.randn(2, 3, height, width)
        with torch.no_grad():
            np.testing.assert_allclose(network(x.numpy()), model(x).numpy(), rtol=0, atol=1e-5)
    with pytest.raises(InputError, match=rf"height is {least - 1}: it must be at least {least}\."):
        network(np.zeros((1, 3, least - 1, least), np.float32))
    assert main(["info", str(path)]) == 0
    assert f"open axes   batch, height from {least} on, width from {least} on" in capsys.readouterr().out


def test_inputs_share_an_axis_by_its_name(path: Path) -> None:
    class Two(nn.Module):
        def forward(self, words: Tensor, more: Tensor) -> Tensor:
            return torch.cat([words, more], 2)

    axes: Any = {"words": {0: "batch", 1: "time"}, 1: {0: "batch", 1: "time"}}
    ns.pack(Two(), path, example_inputs=[torch.randn(2, 5, 3), torch.randn(2, 5, 4)], open_axes=axes)
    network = ns.load(path)
    assert network.axes == ("batch", "time")
    assert network(np.ones((3, 7, 3)), np.zeros((3, 7, 4))).shape == (3, 7, 7)  # type: ignore[union-attr]


class Merged(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, 4)
        return torch.relu(flat).view(x.shape[0], x.shape[1], 4)


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Embedding(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.position(torch.arange(x.shape[1]))
        return y


@pytest.mark.parametrize("model", [Merged(), Positions()])
def test_sizes_of_reshapes_and_counted_positions_follow_open_axes(model: nn.Module, path: Path) -> None:
    ns.pack(model, path, example_inputs=torch.randn(2, 3, 4), open_axes={"x": {0: "batch", 1: "time"}})
    network = ns.load(path)
    for batch, time in ((1, 1), (3, 5), (2, 64)):
        x = torch.randn(batch, time, 4)
        with torch.no_grad():
            np.testing.assert_allclose(network(x.numpy()), model(x).numpy(), rtol=0, atol=1e-6)


class Stretched(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x.transpose(1, 2), scale_factor=1.3)


@pytest.mark.parametrize(
    ("model", "message"),
    [(Stretched(), r"resizes an open axis by \(1\.3,\), which rounds.*leaving it out of open_axes.*Stretched")],
)
def test_what_can_not_be_open_is_refused_by_place_and_packs_with_the_axis_fixed(
    model: nn.Module, message: str, path: Path
) -> None:
    given = torch.randn(2, 3, 4)
    with pytest.raises(UnsupportedOperatorError, match=message):
        ns.pack(model, path, example_inputs=given, open_axes={"x": {0: "batch", 1: "time"}})
    assert not path.exists()
    ns.pack(model, path, example_inputs=given, open_axes={"x": {0: "batch"}})
    assert ns.load(path).inputs[0].shape == ("batch", 3, 4)


@pytest.mark.parametrize(
    ("axes", "error", "message"),
    [
        (
            {"nothing": {0: "batch"}},
            SettingError,
            "open_axes='nothing' is not allowed: .* by the name of an input, 'ids'",
        ),
        ({1: {0: "batch"}}, SettingError, "open_axes=1 is not allowed: .* or by its place, 0 to 0"),
        ({"ids": {2: "batch"}}, SettingError, "must be the place of a size, 0 to 1"),
        ({"ids": {0: ""}}, SettingError, "a name for the axis"),
        (["ids"], SettingError, r"open_axes=\['ids'\] is not allowed: .* names of axes by place, by input"),
        ({"ids": "batch"}, SettingError, r"open_axes\['ids'\]='batch' is not allowed: .* names of axes by place"),
        ({"ids": [0]}, SettingError, r"open_axes\['ids'\]=\[0\] is not allowed"),
        ({"ids": {"0": "batch"}}, SettingError, "'0' is not allowed: .* must be the place of a size, 0 to 1"),
    ],
)
def test_axes_that_there_are_not_are_refused(axes: Any, error: type[Exception], message: str, path: Path) -> None:
    with pytest.raises(error, match=message):
        ns.pack(Words(), path, example_inputs=torch.zeros(2, 3, dtype=torch.int64), open_axes=axes)


def test_axes_that_the_model_joins_or_fixes_are_refused(path: Path) -> None:
    both: Any = {0: {0: "rows", 1: "columns"}}

    class Joined(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.t()

    with pytest.raises(CaptureError, match="axes 'rows' and 'columns' must have the same size"):
        ns.pack(Joined(), path, example_inputs=torch.randn(3, 3), open_axes=both)
    with pytest.raises(CaptureError, match=r"with these axes open: rows, columns\. .*What the model fixes has"):
        ns.pack(nn.Linear(4, 4), path, example_inputs=torch.randn(2, 4), open_axes=both)


def test_programs_say_their_axes_by_themselves(path: Path, tmp_path: Path) -> None:
    model, ids = Words(Attention()).eval(), torch.randint(0, 11, (2, 3))
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    program = torch.export.export(model, (ids,), dynamic_shapes=(dims,))
    torch.export.save(program, tmp_path / "model.pt2")
    for source in (program, tmp_path / "model.pt2"):
        assert ns.pack(source, path).axes == ("batch", "axis_2")
        assert_packed_as(model, ns.load(path), (2, 3), (5, 1), (1, 8))
        ns.pack(source, path, input_shapes={"ids": ("batch", 6)})
        assert ns.load(path).inputs[0].shape == ("batch", 6)
        with pytest.raises(SettingError, match="this model says by itself which of its axes are open"):
            ns.pack(source, path, open_axes=WORDS)
    with pytest.raises(SettingError, match="the examples say the shapes"):
        ns.pack(model, path, example_inputs=ids, input_shapes={"ids": (1, 3)})


def test_examples_stay_whole_and_are_checked_against_the_type(path: Path) -> None:
    model = Words().eval()
    program = torch.export.export(model, (torch.zeros(2, 3, dtype=torch.int64),))
    ns.pack(program, path, example_inputs=np.ones((2, 3), np.int32))
    with pytest.raises(InputError, match="example_inputs hold float32 for input 'ids', which is int64"):
        ns.pack(program, path, example_inputs=np.ones((2, 3), np.float32))


def test_a_table_of_few_values_is_a_codebook_in_the_file(path: Path) -> None:
    model = Words()
    with torch.no_grad():
        model.embedding.weight.copy_((model.embedding.weight * 2).round() / 2)
    ns.pack(model, path, example_inputs=torch.zeros(2, 3, dtype=torch.int64), open_axes=WORDS)
    network = ns.load(path)
    table = next(node.inputs[1] for node in network.graph.nodes if node.operator == "Embedding")
    assert "codebook" in network.packed.stored[str(table)].encoding
    assert_packed_as(model, network, (3, 4))


def test_the_reader_gives_axes_their_names() -> None:
    graph = read_torch(Words().eval(), (torch.zeros(2, 3, dtype=torch.int64),), open_axes=WORDS)
    assert graph.axes == ("batch", "time")
    assert graph.inputs == (Input("ids", ("batch", "time"), ValueType.INT64),)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_the_command_line_fixes_axes_runs_whole_numbers_and_measures_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Words().eval()
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    torch.export.save(
        torch.export.export(model, (torch.zeros(2, 3, dtype=torch.int64),), dynamic_shapes=(dims,)), "m.pt2"
    )
    printed(capsys, "pack", "m.pt2", "--input-shape", "ids=batch,time", "-o", "m.nsm")
    assert "input (batch, time) int64" in " ".join(printed(capsys, "info", "m.nsm").split())
    facts = json.loads(printed(capsys, "info", "m.nsm", "--json"))
    assert facts["axes"] == {"batch": 1, "time": 1}
    assert facts["inputs"] == [{"name": "input", "shape": ["batch", "time"], "type": "int64"}]
    assert facts["outputs"] == [{"name": "linear_1", "shape": ["batch", "time", 5], "type": "float32"}]
    ids = np.arange(8).reshape(2, 4)
    np.save("ids.npy", ids)
    printed(capsys, "run", "m.nsm", "--input", "ids.npy", "--output", "scores.npy")
    with torch.no_grad():
        np.testing.assert_allclose(np.load("scores.npy"), model(torch.from_numpy(ids)).numpy(), atol=1e-5)
    quick = ["--seconds", "0.01", "--threads", "1", "--json"]
    record = json.loads(printed(capsys, "bench", "m.nsm", "--batch", "1,3", "--size", "time=6", *quick))
    assert [row["batch"] for row in record["rows"]] == [1, 3]
    assert main(["bench", "m.nsm", *quick]) == 1
    assert "--size='none' is not allowed: --size must be one for each open axis but the first: time" in (
        capsys.readouterr().err
    )
    printed(capsys, "pack", "m.pt2", "--input-shape", "ids=batch,7", "-o", "fixed.nsm")
    assert ns.load("fixed.nsm").inputs[0].shape == ("batch", 7)
    with pytest.raises(SystemExit):
        main(["pack", "m.pt2", "--input-shape", "7"])


class ClassToken(nn.Module):
    """A learned first token, expanded to the batch, before a causal mask of infinities."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.token, self.query = nn.Parameter(torch.randn(1, 1, 8)), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        steps = x.shape[1]
        mask = torch.full((steps, steps), float("-inf")).triu(1)
        out: Tensor = (self.query(x) @ x.transpose(1, 2) + mask).softmax(-1) @ x
        return out


@pytest.mark.parametrize("axes", [{0: "rows"}, {0: "rows", 1: "time"}, {0: "batch", 1: "time"}])
def test_an_axis_may_have_any_name_where_attributes_follow_it(axes: dict[int, str], path: Path) -> None:
    """A file keeps no name of a batch alone: what follows it is compared by its place."""
    model = ClassToken().eval()
    report = ns.pack(model, path, example_inputs=torch.randn(2, 5, 8), open_axes={"x": axes})
    assert report.axes == tuple(axes.values())
    for batch, time in ((1, 5), (4, 5), (3, 9))[: 1 + len(axes)]:
        x = torch.randn(batch, time, 8)
        np.testing.assert_allclose(ns.load(path)(x.numpy()), model(x).detach().numpy(), rtol=0, atol=1e-5)


def as_in(model: nn.Module, path: Path, *sizes: tuple[int, ...]) -> None:
    """The packed network gives what the model gives at these sizes."""
    network = ns.load(path)
    for size in sizes:
        x = torch.randn(size)
        with torch.no_grad():
            np.testing.assert_allclose(network(x.numpy()), model(x).numpy(), rtol=1e-4, atol=1e-4)


PLANE: Any = {"x": {0: "batch", 2: "height", 3: "width"}}


class Resampled(nn.Module):
    """Halved by a convolution, and brought back to its size by a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        up: Tensor = self.up(self.down(x), output_size=x.shape[2:])
        return up


def test_a_transposed_convolution_gives_the_size_that_was_there_before(path: Path) -> None:
    ns.pack(model := Resampled().eval(), path, example_inputs=torch.randn(2, 3, 12, 15), open_axes=PLANE)
    as_in(model, path, (1, 3, 13, 20), (2, 3, 7, 7), (1, 3, 30, 9))


class Windows(nn.Module):
    """The largest numbers of windows of any size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (-1, self.size)).unflatten(4, (-1, self.size)).amax((3, 5))


@pytest.mark.parametrize("size", [3, 6, 7, 14, 20])
def test_windows_take_multiples_of_their_size(size: int, path: Path) -> None:
    x = torch.randn(2, 3, 2 * size, 3 * size)
    report = ns.pack(model := Windows(size), path, example_inputs=x, open_axes=PLANE)
    assert report.steps == {"height": size, "width": size}
    as_in(model, path, (1, 3, 5 * size, size), (3, 3, size, 4 * size))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.shape[1] % 4 == 3 else x


def test_a_branch_on_a_remainder_is_no_step_that_the_examples_do_not_have(path: Path) -> None:
    axes = {"x": {0: "batch", 1: "time"}}
    with pytest.raises(CaptureError, match="it branches on what is left of a size that is divided"):
        ns.pack(Branching(), path, example_inputs=torch.randn(2, 5, 8), open_axes=axes)


@pytest.mark.parametrize("sizes", [((2, 3, 8), (2, 3, 4)), ((2, 3), (2, 3))])
def test_a_list_of_tensors_is_not_one_input(sizes: tuple[tuple[int, ...], ...], path: Path) -> None:
    class Levels(nn.Module):
        def forward(self, levels: list[Tensor]) -> Tensor:
            return levels[0].sum() + levels[1].sum()

    levels = [torch.randn(size) for size in sizes]
    for examples in ([levels], {"levels": levels}):
        with pytest.raises(InputError, match="hold a list of tensors for one input; each input has to be one tensor"):
            ns.pack(Levels(), path, example_inputs=examples)


@pytest.mark.parametrize("padded", [True, False])
def test_an_encoder_that_leaves_padding_out_is_compared_with_what_its_layers_compute(padded: bool, path: Path) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)

        def forward(self, x: Tensor, padding: Tensor) -> Tensor:
            encoded: Tensor = self.encoder(x, src_key_padding_mask=padding)
            return encoded

    padding = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1]]).bool() & padded
    fast = torch.backends.mha.get_fastpath_enabled()
    report = ns.pack(model := Padded().eval(), path, example_inputs=(x := torch.randn(2, 5, 8), padding))
    assert "nn.TransformerEncoder gives zeros where a mask says padding" in str(report)
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert not model.encoder._forward_pre_hooks
    expected = model(x, padding).detach().numpy()  # with gradients
    np.testing.assert_allclose(ns.load(path)(x.numpy(), padding.numpy()), expected, rtol=1e-4, atol=1e-5)


class Positions(nn.Module):
    """As many rows of a table as there are steps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(1, 32, 8))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.table[:, : x.shape[1]]).mean(1)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_the_largest_size_of_an_axis_is_told_and_what_is_beyond_it_refused(
    engine: Any, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axes: Any = {"x": {0: "batch", 1: "time"}}
    report = ns.pack(Positions(), path, example_inputs=torch.randn(2, 6, 8), open_axes=axes)
    assert report.most == {"time": 32}
    assert "\nIt takes any batch, time up to 32.\n" in str(report)
    main(["info", str(path)])
    assert "open axes   batch, time up to 32" in capsys.readouterr().out
    main(["info", "--json", str(path)])
    assert json.loads(capsys.readouterr().out)["most"] == {"time": 32}
    network = ns.load(path, engine=engine)
    assert network(np.zeros((3, 32, 8), np.float32)).shape == (3, 8)
    with pytest.raises(
        InputError, match=r"can't run at batch 3, time 33: time is 33: it must be at most 32\. \(.*must lie inside"
    ):
        network(np.zeros((3, 33, 8), np.float32))


def test_limits_of_axes_are_said_as_they_are() -> None:
    least, steps = {"batch": 1, "time": 3, "height": 8, "width": 32}, {"width": 32}
    said = named_axes(least, steps, {"batch": 4, "time": 9, "width": 96})
    assert said == "batch up to 4, time from 3 to 9, height from 8 on, width in multiples of 32 up to 96"
