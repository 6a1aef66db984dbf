"""A model that goes another way at other sizes isn't packed as if it went the same one everywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

import netsurgery as ns  # noqa: E402
from netsurgery.errors import CaptureError, InputError, VerificationError  # noqa: E402
from netsurgery.graph.from_torch import ranges_of  # noqa: E402
from netsurgery.runtime import reference  # noqa: E402

TIME = {"x": {0: "batch", 1: "time"}}
PLANE = {"x": {0: "batch", 1: "height", 2: "width"}}


class Of(nn.Module):
    """A layer, and a function of what it gives."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(8, 8)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer(x))


def pack(tmp_path: Path, function: Callable[[Tensor], Tensor], *shape: int, **settings: object) -> ns.PackReport:
    torch.manual_seed(1)
    return ns.pack(Of(function).eval(), tmp_path / "n.nsm", example_inputs=torch.randn(*shape), **settings)  # type: ignore[arg-type]


OF_THE_BATCH: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "above": (lambda x: x * 2 if x.shape[0] > 3 else x, 2),
    "far above": (lambda x: x * 2 if x.shape[0] > 900 else x, 2),
    "below": (lambda x: x * 2 if x.shape[0] < 5 else x, 7),
    "of one": (lambda x: x * 2 if x.shape[0] == 1 else x, 2),
    "of one, as the example": (lambda x: x * 2 if x.shape[0] == 1 else x, 1),
    "of two": (lambda x: x * 2 if x.shape[0] == 2 else x, 5),
    "of half of it": (lambda x: x * 2 if x.shape[0] / 2 > 10 else x, 2),
}


@pytest.mark.parametrize("name", OF_THE_BATCH)
def test_a_branch_on_the_batch_fixes_it_and_the_report_says_why(name: str, tmp_path: Path) -> None:
    function, batch = OF_THE_BATCH[name]
    report = pack(tmp_path, function, batch, 8)
    assert report.batch == batch
    assert "The batch is fixed: the model isn't at batch" in str(report)
    x = torch.randn(batch, 8)
    with torch.no_grad():
        expected = Of(function).eval()(x).numpy()
    np.testing.assert_allclose(ns.load(tmp_path / "n.nsm")(x.numpy()), expected, rtol=1e-4, atol=1e-5)


OF_THE_TIME: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "above": (lambda x: x - x.mean(1, keepdim=True) if x.shape[1] > 16 else x, 9),
    "from above": (lambda x: x * 2 if x.shape[1] > 10 else x, 12),
    "with the batch": (lambda x: x * 2 if x.shape[0] * x.shape[1] > 100 else x, 12),
    "as long as the batch": (lambda x: x * 2 if x.shape[0] == x.shape[1] else x, 12),
    "of one": (lambda x: x * 2 if x.shape[1] == 1 else x, 4),
    "behind a stride": (lambda x: x * 2 if x[:, ::2].shape[1] * 3 // 4 > 16 else x, 12),
    "as a quarter of it is": (lambda x: x * 2 if x.shape[1] // 4 == 5 else x, 6),
    "of half of it": (lambda x: x * 2 if x.shape[1] / 2 > 10.5 else x, 8),
    "of half of it, cut off": (lambda x: x * 2 if int(x.shape[1] * 0.5) > 10 else x, 8),
    "of a quarter, rounded up": (lambda x: x * 2 if math.ceil(x.shape[1] / 4) > 6 else x, 8),
    "of a share, rounded down": (lambda x: x * 2 if math.floor(x.shape[1] * 0.3) > 6 else x, 8),
    "of a share, rounded": (lambda x: x * 2 if round(x.shape[1] * 0.3) > 6 else x, 8),
    "of its root": (lambda x: x * 2 if x.shape[1] ** 0.5 > 5 else x, 8),
    "of its square": (lambda x: x * 2 if x.shape[1] ** 2 > 500 else x, 8),
    "as often as a quarter of it": (lambda x: sum(x[:, 4 * i] for i in range(x.shape[1] // 4 + 1)), 6),
    "in quarters, rounded up": (lambda x: sum(x[:, 4 * i] for i in range((x.shape[1] + 3) // 4)), 6),
    "in parts that are added": (lambda x: torch.stack([part.sum(1) for part in x.split(4, 1)]).sum(0), 6),
    "up to two sizes, of which torch keeps one": (lambda x: x[:, :10].sum(1) + x[:, :30].sum(1), 6),
    "in chunks": (lambda x: x.cumsum(1) if x.shape[1] <= 8 else torch.cat([p.cumsum(1) for p in x.split(8, 1)], 1), 6),
}


@pytest.mark.parametrize("name", OF_THE_TIME)
def test_a_branch_on_an_axis_that_was_to_be_open_is_refused(name: str, tmp_path: Path) -> None:
    function, time = OF_THE_TIME[name]
    with pytest.raises(CaptureError, match=r"The model isn't at .*time \d+ what it is at .*Leave that axis out"):
        pack(tmp_path, function, 2, time, 8, open_axes=TIME)
    assert not (tmp_path / "n.nsm").exists()
    assert pack(tmp_path, function, 2, time, 8, open_axes={}).batch == 2


def refusing_long(x: Tensor) -> Tensor:
    if x.shape[1] > 6:
        raise ValueError("too long")
    return x * 2


EVERYWHERE: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], object]] = {
    "a softmax": (lambda x: x.softmax(-1), (2, 8), None),
    "a sum so far": (lambda x: x.cumsum(1), (2, 5, 8), TIME),
    "padded to even sizes": (lambda x: nn.functional.pad(x, (0, 0, 0, x.shape[1] % 2)), (2, 5, 8), TIME),
    "a table of positions": (lambda x: x + torch.linspace(0, 1, 40)[: x.shape[1], None], (2, 5, 8), TIME),
    "windows": (lambda x: nn.functional.avg_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1), (1, 9, 12, 8), PLANE),
    "the best entries": (lambda x: x.topk(3, 1)[0], (2, 7, 8), TIME),
    "a branch that both ways agree in": (lambda x: x if x.shape[1] > 9 else x + 0, (2, 5, 8), TIME),
    "a model that refuses long ones": (refusing_long, (2, 5, 8), TIME),
}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_what_holds_everywhere_stays_open(name: str, tmp_path: Path) -> None:
    function, shape, axes = EVERYWHERE[name]
    report = pack(tmp_path, function, *shape, open_axes=axes)
    assert report.batch is None
    assert report.fixed == ()


class Tokens(nn.Module):
    """Attention of each token to all, and another way for long sentences."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.table = nn.Embedding(50, 4)
        self.longest = longest

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids)
        return x * 2 if ids.shape[1] > self.longest else (x @ x.transpose(1, 2)).softmax(-1) @ x


CUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "the first ones": lambda x: x[:, :10].mean(1),
    "the last ones": lambda x: x[:, -10:] * 2,
    "no more than there are": lambda x: x[:, : min(x.shape[1], 10)].sum(1),
    "narrowed": lambda x: x.narrow(1, 0, min(x.shape[1], 10)).sum(1),
    "very many": lambda x: x[:, :500].sum(1),
    "very many last ones": lambda x: x[:, -200:].sum(1),
    "the first part": lambda x: x.split(500, 1)[0].sum(1),
    "the last ones of more": lambda x: torch.cat([x[:, :1], x], 1)[:, -12:].mean(1),
    "resized": lambda x: nn.functional.interpolate(x.mT, size=min(x.shape[1], 12)) * 2,
    "of halves": lambda x: x[:, ::2][:, :10].sum(1),
}


@pytest.mark.parametrize("name", CUTS)
def test_what_is_cut_at_a_size_beyond_the_examples_is_cut_there(name: str, tmp_path: Path) -> None:
    model = Of(CUTS[name]).eval()
    ns.pack(model, tmp_path / "n.nsm", example_inputs=torch.randn(2, 6, 8), open_axes=TIME)
    network = ns.load(tmp_path / "n.nsm")
    for time in (1, 2, 9, 10, 11, 13, 24, 25, 199, 201, 501, 700):
        x = torch.randn(3, time, 8)
        with torch.no_grad():
            expected = model(x).numpy()
        np.testing.assert_allclose(network(x.numpy()), expected, rtol=1e-4, atol=1e-3)


def test_a_batch_that_is_cut_is_cut(tmp_path: Path) -> None:
    pack(tmp_path, lambda x: x[:16] * 2, 2, 8)
    assert ns.load(tmp_path / "n.nsm")(np.ones((20, 8), np.float32)).shape == (16, 8)


def test_one_axis_is_cut_to_the_length_of_another(tmp_path: Path) -> None:
    class Aligned(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x[:, : y.shape[1]].sum(1)

    examples = (torch.randn(2, 5, 8), torch.randn(2, 7, 8))
    axes = {"x": {0: "batch", 1: "time"}, "y": {0: "batch", 1: "other"}}
    ns.pack(Aligned(), tmp_path / "n.nsm", example_inputs=examples, open_axes=axes)
    network = ns.load(tmp_path / "n.nsm")
    for time, other in ((4, 9), (9, 4), (40, 3), (5, 5)):
        x, y = torch.randn(1, time, 8), torch.randn(1, other, 8)
        np.testing.assert_allclose(network(x.numpy(), y.numpy()), x[:, :other].sum(1).numpy(), rtol=1e-4, atol=1e-4)


def test_a_pass_that_is_wrong_elsewhere_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a pass takes for true at all sizes: what is packed is compared where it might not be."""
    from netsurgery.graph.ir import Graph

    monkeypatch.setattr(Graph, "tried_sizes", lambda self: self._on_lines)
    with pytest.raises(VerificationError, match="isn't what the model is at batch 2, time 11"):
        pack(tmp_path, lambda x: x[:, :10].mean(1), 2, 6, 8, open_axes=TIME)
    assert not (tmp_path / "n.nsm").exists()


def test_sizes_that_would_take_too_much_memory_are_told_and_not_tried(tmp_path: Path) -> None:
    ids = torch.randint(0, 50, (1, 16))
    report = ns.pack(Tokens(30_000).eval(), tmp_path / "n.nsm", example_inputs=ids, open_axes={"ids": TIME["x"]})
    assert report.batch is None
    assert "may go another way at batch 1, time 30001, which is too large to be tried." in str(report)


def test_equal_scores_of_repeated_tokens_are_no_other_way(tmp_path: Path) -> None:
    class Best(Tokens):
        def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
            return tuple(self.table(ids).sum(-1).topk(2, 1))  # type: ignore[return-value]

    ids = torch.tensor([[5, 7, 9, 11], [1, 2, 3, 4]])
    ns.pack(Best(9).eval(), tmp_path / "n.nsm", example_inputs=ids, open_axes={"ids": TIME["x"]})


def test_rows_that_are_padding_alone_where_the_example_is_cut_are_no_other_way(tmp_path: Path) -> None:
    class Padded(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            weights = torch.zeros_like(x).masked_fill(mask == 0, -torch.inf).softmax(-1)
            return weights if x.shape[1] != 1 else weights + 0 / (mask != 0)

    given = (torch.randn(2, 4), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]))
    axes = {"x": TIME["x"], "mask": TIME["x"]}
    assert ns.pack(Padded(), tmp_path / "n.nsm", example_inputs=given, open_axes=axes).batch is None


def test_an_output_that_loses_its_batch_of_one_is_told(tmp_path: Path) -> None:
    report = pack(tmp_path, lambda x: x.sum(-1).squeeze(), 3, 8)
    assert report.batch is None
    assert "At batch 1 an output has the shape (1,), the model's own ()." in str(report)


def test_a_network_that_is_wrong_at_every_size_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = reference.KERNELS["Softmax"]
    monkeypatch.setitem(reference.KERNELS, "Softmax", lambda operands, given: right(operands, given) * 2)
    with pytest.raises(VerificationError, match="differ from those of torch"):
        pack(tmp_path, lambda x: x.softmax(-1), 1, 8)


def test_examples_may_be_named_as_forward_names_them(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, first: Tensor, second: Tensor, third: Tensor | None = None) -> Tensor:
            return first - 2 * second if third is None else third

    given = {"second": torch.ones(2, 3), "first": torch.zeros(2, 3)}
    ns.pack(Two(), tmp_path / "n.nsm", example_inputs=given, names=True)
    np.testing.assert_array_equal(ns.load(tmp_path / "n.nsm").run(given)["sub"], np.full((2, 3), -2, np.float32))
    told = r"called 'first', 'third'; forward takes, .* 'first', 'second'. Wrap it .* takes first, third, and"
    with pytest.raises(InputError, match=told):
        ns.pack(Two(), tmp_path / "n.nsm", example_inputs={"first": torch.zeros(2, 3), "third": torch.zeros(2, 3)})


def exported(dim: object) -> torch.export.ExportedProgram:
    model = Of(lambda x: x * 2 if x.shape[0] > 3 else x).eval()
    return torch.export.export(model, (torch.randn(2, 8),), dynamic_shapes=({0: dim},))


@pytest.mark.parametrize("as_file", [False, True])
def test_a_program_that_came_upon_a_branch_has_to_have_that_size_fixed(as_file: bool, tmp_path: Path) -> None:
    program = exported(torch.export.Dim.DYNAMIC)
    given = tmp_path / "p.pt2" if as_file else program
    if as_file:
        torch.export.save(program, given)
    with pytest.raises(CaptureError, match=r"other sizes than batch 4 only.*input_shapes"):
        ns.pack(given, tmp_path / "n.nsm")
    assert ns.pack(given, tmp_path / "n.nsm", input_shapes={"x": (2, 8)}).batch == 2


@pytest.mark.parametrize("as_file", [False, True])
def test_a_bound_that_a_program_was_given_is_told(as_file: bool, tmp_path: Path) -> None:
    program = exported(torch.export.Dim("rows", max=3))
    given = tmp_path / "p.pt2" if as_file else program
    if as_file:
        torch.export.save(program, given)
    assert "exported for batch up to 3" in str(ns.pack(given, tmp_path / "n.nsm"))


@pytest.mark.parametrize("as_file", [False, True])
def test_a_program_is_compared_at_sizes_that_it_was_exported_for(as_file: bool, tmp_path: Path) -> None:
    dims = {0: torch.export.Dim("rows", min=7, max=8), 1: torch.export.Dim("columns", min=30)}
    program = torch.export.export(nn.Hardswish().eval(), (torch.randn(7, 40),), dynamic_shapes=(dims,))
    given = tmp_path / "p.pt2" if as_file else program
    if as_file:
        torch.export.save(program, given)
    assert "its outputs are those of torch" in str(ns.pack(given, tmp_path / "n.nsm"))
    with pytest.raises(InputError, match=r"of shapes \[\(7, 20\)\]: .*30\. Give example_inputs of sizes that it was"):
        ns.pack(given, tmp_path / "n.nsm", example_inputs=torch.randn(7, 20))


@pytest.mark.parametrize("as_file", [False, True])
def test_a_program_that_takes_few_sizes_is_compared_where_it_was_written_down(as_file: bool, tmp_path: Path) -> None:
    model = nn.Sequential(*(nn.Conv1d(2, 2, 3, 2, 1) for _ in range(4))).eval()
    shapes = ({0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(model, (torch.randn(2, 2, 40),), dynamic_shapes=shapes)
    assert not any(one.least > 2 for one in ranges_of(program))
    given = tmp_path / "p.pt2" if as_file else program
    if as_file:
        torch.export.save(program, given)
    assert "its outputs are those of torch" in str(ns.pack(given, tmp_path / "n.nsm"))
