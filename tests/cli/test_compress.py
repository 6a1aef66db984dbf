"""`netsurgery compress`: a task file in, the best network within the limit out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.compression.test_task import WHOLE

from netsurgery.cli.main import main


@pytest.fixture(autouse=True)
def restored() -> None:
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("task.py").write_text(WHOLE, encoding="utf-8")
    return "task.py"


def test_a_task_is_compressed_and_its_files_are_named(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compress", task, "--budget", "300", "--max-loss", "5", "--out", "found"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "fewer connections, metric" in printed.out
    assert "* the best within the limit" in printed.out
    for name in ("best.nsm", "best.pt", "report.html"):
        assert f"wrote found/{name}" in printed.out
        assert Path("found", name).exists()
    assert all(len(line) <= 100 for line in printed.out.splitlines())
    assert "best so far" in printed.err
    assert main(["info", "found/best.nsm"]) == 0
    capsys.readouterr()
    assert main(arguments) == 1
    assert "holds a search already" in capsys.readouterr().err
    assert main([*arguments, "--resume"]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.py"], "missing.py: there is no such file"),
        (["task.py", "--budget", "soon"], "budget='soon' is not allowed"),
        (["task.py", "--max-loss", "-1"], "max_loss=-1.0 is not allowed"),
        (["task.py", "--methods", "magic"], "methods=('magic',) is not allowed"),
        (["task.py", "--baseline", "much"], "--baseline='much' is not allowed"),
        (["task.py", "--resume"], "resume=True is not allowed"),
        (["task.py", "--data", "."], "--data, --reference, --shift='given' is not allowed"),
        (["lenet5", "--data", "."], "--reference=None is not allowed: --reference must be given for lenet5"),
        (["task.py", "--threads", "0"], "threads=0 is not allowed"),
        (["task.py", "--budget", "10 parsecs"], "budget='10 parsecs' is not allowed"),
        (["task.py", "--budget", "\N{SUPERSCRIPT TWO}"], "is not allowed: budget must be"),
        (["task.py", "--max-loss", "nan"], "max_loss=nan is not allowed"),
        (["task.py", "--certainty", "nan"], "certainty=nan is not allowed"),
        (["task.py", "--out", ""], "out='' is not allowed"),
        (["task.py", "--out", "task.py"], "is a file: give the path of a folder"),
    ],
)
def test_what_won_t_do_is_refused_in_one_line(
    task: str, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compress", *arguments]) == 1
    found = capsys.readouterr().err.strip().splitlines()[-1]
    assert found.startswith("netsurgery: ")
    assert sentence in found
