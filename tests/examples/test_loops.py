"""Every page of examples/ runs as it stands, and comes to the density that it asks for."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from netsurgery.cli.main import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LIBRARIES = {
    "own_loop": "sklearn",
    "lightning_trainer": "lightning",
    "huggingface_trainer": "transformers",
    "accelerate_loop": "accelerate",
    "schedule_free": "schedulefree",
    "muon_and_adamw": "torch",
    "moving_average": "torch",
    "lora": "peft",
    "compress_task": "sklearn",
}
"""Page -> the library that it is about."""
PAGES = sorted(LIBRARIES.keys() - {"own_loop", "compress_task"})  # the one is run with the README, the other below


def test_every_page_is_run_by_a_test() -> None:
    elsewhere = {"many_machines"}  # test_many_machines.py, with torchrun
    assert {path.stem for path in EXAMPLES.glob("*.py")} == LIBRARIES.keys() | elsewhere


@pytest.mark.slow  # libraries of others, in a process each
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_and_ends_at_its_density(page: str) -> None:
    if find_spec(LIBRARIES[page]) is None:
        pytest.skip(f"{LIBRARIES[page]} isn't installed")
    if page == "muon_and_adamw" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    run = [sys.executable, EXAMPLES / f"{page}.py"]
    said = subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)
    assert said.returncode == 0, said.stderr
    if page == "moving_average":  # the average before and after it was made effective
        _, total, kept = re.findall(r"([\d,]+) connections", said.stdout)
    else:
        ((kept, total),) = re.findall(r"^total +([\d,]+) +([\d,]+) ", said.stdout, flags=re.MULTILINE)
    if page == "lora":  # it is told to merge its adapters first
        assert re.search(r"refused: .*lora_A.*merge_and_unload", said.stdout)
    share = int(kept.replace(",", "")) / int(total.replace(",", ""))
    assert share <= (0.201 if page == "huggingface_trainer" else 0.101)
    assert float(re.findall(r"accuracy.* ([\d.]+)%", said.stdout)[-1]) > 85


def test_the_task_is_compressed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="it brings the digits")
    task = str(EXAMPLES / "compress_task.py")
    assert main(["compress", task, "--max-loss", "2", "--budget", "6s", "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "best.nsm").is_file()
