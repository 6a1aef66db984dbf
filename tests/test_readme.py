"""What the README says is executed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery
from netsurgery.cli.main import main
from netsurgery.graph.ir import GraphBuilder
from netsurgery.graph.to_onnx import write_onnx

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


SHORTER = 25
"""So many times fewer steps than the pages say are run."""


def code_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def shorter(code: str) -> str:
    """The same with fewer steps, of which there are thousands."""
    return re.sub(r"\b(\d+)_000\b", lambda thousands: str(int(thousands[1]) * 1000 // SHORTER), code)


def test_the_readme_is_read_in_a_few_minutes() -> None:
    words = re.sub(r"```.*?```|<!-- table.*?<!-- end", "", README, flags=re.DOTALL).split()
    assert len(words) < 700


def test_the_readme_reads_well_where_its_links_lead_nowhere() -> None:
    """On a package index links within the sources are dead: words say what is linked to, and the page where that is."""
    links = re.findall(r"(!?)\[([^\]]*)\]\((?!http)([^)]*)\)", README)
    assert links
    for image, words, target in links:
        assert not image, f"{target} isn't shown there"
        assert words.strip("`").lower() not in ("", "here", "this", "this page", "link"), target
        folder, _, name = target.rpartition("/")
        assert words == name or f"`{folder.partition('/')[0]}/`" in README, f"nothing says where {target} is"


def test_links_are_made_absolute_once_there_is_an_address_to_make_them_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "urls" not in project or "readme" in project.get("dynamic", ())


def test_the_readmes_python_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 20), nn.ReLU(), nn.Linear(20, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = [(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])) for _ in range(7_000 // SHORTER)]
    names = {"model": model, "optimizer": optimizer, "loader": loader, "loss_of": nn.CrossEntropyLoss()}
    code, one_call = code_blocks("README.md")
    exec(shorter(code), names)  # noqa: S102
    assert "total" in capsys.readouterr().out
    expected = model.eval()(names["images"]).detach().numpy()
    np.testing.assert_allclose(names["scores"], expected, rtol=1e-5, atol=1e-5)
    names |= {"train_loader": loader[:20], "evaluate": lambda _: 1.0}
    names["loss"] = lambda model, batch: names["loss_of"](model(batch[0]), batch[1])
    exec(one_call.replace('"30m"', '"100 steps"'), names)  # noqa: S102
    assert names["result"].model is model


def test_the_python_of_the_one_call_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    x = torch.randn(64, 6)
    labels = (x.sum(1) > 0).long()
    names: dict[str, Any] = {"held_out_images": x, "held_out_labels": labels, "train_loader": [(x, labels)]}
    names["model"] = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 2))
    code, functions = code_blocks("docs/compress.md")
    exec(code.replace('"30m"', '"200 steps"'), names)  # noqa: S102
    assert "fewer connections" in capsys.readouterr().out
    assert (tmp_path / "runs" / "mine" / "report.html").exists()
    exec(functions, {})  # noqa: S102


def test_the_guides_python_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 20), nn.ReLU())
    model.add_module("head", nn.Linear(20, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = [(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])) for _ in range(7_000 // SHORTER)]
    names = {"model": model, "optimizer": optimizer, "loader": loader, "loss_of": nn.CrossEntropyLoss()}
    loop, powers, sketch, plan, packing, *_ = map(shorter, code_blocks("docs/guide.md"))
    exec(loop, names)  # noqa: S102
    assert "total" in capsys.readouterr().out
    exec(packing, names)  # noqa: S102
    assert "smaller than" in capsys.readouterr().out
    expected = model.eval()(names["images"]).detach().numpy()
    np.testing.assert_allclose(names["scores"], expected, rtol=1e-5, atol=1e-5)
    for stages in (powers, plan):
        names["operation"].detach()
        exec(stages, names)  # noqa: S102
        assert len(names["plan"].stages) == 2
        assert names["operation"].plan == names["plan"]
    names["operation"].detach()
    names["model"], names["loader"] = model.train(), loader[: 1_000 // SHORTER]
    exec(sketch, names)  # noqa: S102
    assert all(len(row.unique()) <= 4 for row in model.head.weight)


def test_the_python_of_other_loops_runs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 3))
    names: dict[str, Any] = {
        "ns": netsurgery,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01),
        "loader": [(torch.randn(4, 8), torch.tensor([0, 1, 2, 0])) for _ in range(60)],
        "loss_of": nn.CrossEntropyLoss(),
    }
    steps, plan, copies, trainers = code_blocks("docs/loops.md")
    exec(steps, names)  # noqa: S102
    assert names["operation"].plan.stages[0].method.steps == names["steps"] == 180
    names["operation"].detach()
    names["loader"] *= 3
    exec(plan, names)  # noqa: S102
    assert names["operation"].step == 180 == names["operation"].plan.active_steps
    exec(copies, names)  # noqa: S102
    assert names["its_operation"].step == 180
    assert names["its_operation"].is_on(names["twin"])
    pytest.importorskip("lightning", reason="the callback is for it")
    exec(trainers, names)  # noqa: S102
    assert names["OperationCallback"].__doc__


def test_the_guides_python_with_open_axes_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"ns": netsurgery, "torch": torch}
    exec(code_blocks("docs/guide.md")[-3], names)  # noqa: S102
    assert capsys.readouterr().out == "input (batch, time) int64\n"
    given = names["ids"][:1].repeat(1, 3)[:, :12]
    np.testing.assert_allclose(names["scores"], names["words"](given).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_the_guides_stream_runs_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict[str, Any] = {"ns": netsurgery, "torch": torch, "np": np}
    exec(code_blocks("docs/guide.md")[-2], names)  # noqa: S102
    assert len(names["network"].axes) == 1
    assert names["shown"].shape == (1, 1, 32)
    np.testing.assert_array_equal(names["shown"], names["state"])


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of how transformers calls its own functions
def test_the_guides_decoder_goes_on_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two words give one after another, it gives at once."""
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    decoder = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, pad_token_id=0,
        )
    ).eval()  # fmt: skip
    names: dict[str, Any] = {"ns": netsurgery, "torch": torch, "np": np, "decoder": decoder, "heads": 2, "width": 8}
    exec(code_blocks("docs/guide.md")[-1], names)  # noqa: S102
    assert [part.shape for part in names["past"]] == 4 * [(1, 2, 7, 8)]
    words = torch.randint(0, 50, (3, 9))
    with torch.no_grad():
        begun = decoder(words[:, :7], use_cache=True)
        past = [part.numpy() for layer in begun.past_key_values.layers for part in (layer.keys, layer.values)]
        wanted = decoder(words).logits.numpy()
    for place in (7, 8):
        scores, *past = names["network"](words[:, place : place + 1].numpy(), *past)
        np.testing.assert_allclose(scores[:, 0], wanted[:, place], rtol=1e-4, atol=1e-5)


def test_the_python_of_what_is_operated_on_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "what-is-operated-on.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    block = nn.Sequential(nn.Linear(4, 4))
    block.w1 = nn.Parameter(torch.ones(4, 4))
    model = nn.ModuleDict({"tokens": nn.Embedding(7, 4), "blocks": nn.ModuleList([block])})
    exec(code, {"ns": netsurgery, "model": model})  # noqa: S102
    assert capsys.readouterr().out == ("stage 0: 64 connections in 4 parameters of tokens, blocks.0.w1, blocks.0.0\n")


def test_the_readmes_commands_for_files_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [
        shlex.split(line, comments=True)[1:]
        for line in README.splitlines()
        if re.match(r" +netsurgery (pack|info|run|bench|export) ", line)
    ]
    assert [command[0] for command in commands] == ["pack", "info", "run", "bench", "export"]
    monkeypatch.chdir(tmp_path)
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3))
    write_onnx(builder.graph([builder.node("Linear", [x, builder.constant(np.eye(2, 3))])]), "model.onnx")
    np.save("x.npy", np.array([[1, 2, 3]], np.float32))
    for command in commands:
        assert main(command) == 0
    np.testing.assert_array_equal(np.load("y.npy"), [[1, 2]])


def test_the_example_runs_and_reaches_its_density() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "own_loop.py"], capture_output=True, text=True, check=True, timeout=300
    )
    total = next(line for line in done.stdout.splitlines() if line.startswith("total"))
    assert total.split()[-1] == "3.00%"
    accuracy = float(done.stdout.rpartition(":")[2].strip().rstrip("%"))
    assert accuracy > 85


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as they are made of Markdown where it is shown."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line).lower().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", ["README.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))])
def test_everything_that_a_page_links_to_exists(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", (ROOT / page).read_text(encoding="utf-8")):
        linked = (ROOT / page).parent / target if target else ROOT / page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), f"{target}#{anchor}"
