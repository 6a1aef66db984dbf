"""The command line as a whole: help without torch, one list of methods, progress on a terminal and in a pipe."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from netsurgery.cli import info, reproduce, terminal
from netsurgery.cli.main import _sentence, main
from netsurgery.experiments.catalogue import REPRODUCIBLE
from netsurgery.experiments.treatments import SURGERY_THEN_INQ
from netsurgery.files import replacing
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.keep_zeros import KeepZeros

ROOT = Path(__file__).resolve().parents[2]


def options_of_reproduce() -> dict[str, argparse.Action]:
    subparsers = argparse.ArgumentParser().add_subparsers()
    reproduce.add_parser(subparsers)
    return {action.dest: action for action in subparsers.choices["reproduce"]._actions}


def test_the_command_line_offers_every_network_and_every_method() -> None:
    options = options_of_reproduce()
    assert set(options["network"].choices or ()) == set(REPRODUCIBLE)
    untrained = {"sketching-refined", "sketching-direct"}
    offered = {*ALL_METHODS, SURGERY_THEN_INQ, *untrained} - {KeepZeros.name}  # which makes nothing smaller
    assert set(options["method"].choices or ()) == offered
    assert {method for experiment in REPRODUCIBLE.values() for method in experiment.treatments} == offered


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from netsurgery.cli.main import main\n"
        "try: main(['reproduce', '--help'])\n"
        "except SystemExit as stop: sys.exit(stop.code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--density" in done.stdout


def test_without_torch_a_command_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom netsurgery.cli.main import main\nsys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("netsurgery: this command needs torch: pip install")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("length", [10, 1_000_000], ids=["in the buffer", "beyond it"])
def test_a_reader_that_goes_early_ends_it_quietly(length: int) -> None:
    code = (
        "import sys\nfrom netsurgery.cli import info, main\n"
        f"info.run = lambda options: print('x' * {length})\n"
        "sys.exit(main.main(['info', 'model.nsm']))"
    )
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=buffered, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "netsurgery: out of memory.\n"),
        (MemoryError("Unable to allocate 9 TiB"), "netsurgery: out of memory: Unable to allocate 9 TiB.\n"),
    ],
)
def test_a_lack_of_memory_is_one_line(
    error: MemoryError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(info, "run", fail)
    assert main(["info", "model.nsm"]) == 1
    assert capsys.readouterr().err == line


@pytest.mark.parametrize("arguments", [[], ["operate"], ["reproduce"], ["reproduce", "lenet7", "--data", "."]])
def test_wrong_usage_ends_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: netsurgery" in capsys.readouterr().err


def test_a_terminal_gets_a_bar_and_a_pipe_gets_four_lines() -> None:
    written = {}
    for is_terminal in (True, False):
        stream = io.StringIO()
        with terminal._progress(Console(file=stream, force_terminal=is_terminal, width=80), "surgery", 400) as advance:
            for step in range(401):
                advance(step)
        written[is_terminal] = stream.getvalue()
    assert "\x1b[" in written[True]
    assert "━" in written[True]
    assert written[False].splitlines() == [f"surgery: {step} of 400 steps" for step in (100, 200, 300, 400)]


def test_an_error_of_the_system_is_a_sentence_that_begins_with_the_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.npy").write_bytes(b"")
    for given, said in (
        (tmp_path, f"{tmp_path} is a folder: give the path of a file in it."),
        (tmp_path / ("a" * 300), f"{tmp_path / ('a' * 300)}: File name too long."),
    ):
        with pytest.raises(OSError) as caught, replacing(given):  # noqa: PT011
            pass
        assert _sentence(caught.value) == said
    assert _sentence(OSError(28, "No space left on device")) == "No space left on device."
    assert main(["compress", str(_task(tmp_path)), "--out", str(tmp_path / "x.npy")]) == 1
    assert capsys.readouterr().err == f"netsurgery: {tmp_path / 'x.npy'} is a file: give the path of a folder.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
def test_an_output_that_was_closed_before_is_no_error() -> None:
    command = 'exec "$0" -m netsurgery plan resnet18 >&-'
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _task(folder: Path) -> Path:
    """A task that reads, and is never trained."""
    path = folder / "task.py"
    path.write_text(
        "import torch\n"
        "batches = [(torch.randn(4, 3), torch.randint(2, (4,)))]\n"
        "def model(): return torch.nn.Linear(3, 2)\n"
        "def train_loader(): return batches\n"
        "val_loader = train_loader\n",
        encoding="utf-8",
    )
    return path
