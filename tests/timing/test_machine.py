"""A record says on what machine something was timed, and whether others used it meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import netsurgery
from netsurgery.timing import machine as module
from netsurgery.timing.machine import OtherProcesses, machine, other_processes, peak_resident_bytes, versions


def test_versions_and_machine_name_what_figures_depend_on() -> None:
    assert versions().keys() == {"python", "netsurgery", "torch", "numpy"}
    assert all(versions().values())
    assert versions(["numpy"]).keys() == {"python", "numpy"}
    described = machine(threads=3)
    assert described["threads"] == "3"
    assert described["processor"]
    assert described["system"]


def test_versions_are_what_packages_say_whatever_is_installed_under_which_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "on_the_path.py").write_text("__version__ = '1.2+local'", encoding="ascii")
    monkeypatch.syspath_prepend(tmp_path)
    assert versions(["on_the_path"])["on_the_path"] == "1.2+local"
    assert versions(["netsurgery"])["netsurgery"] == netsurgery.__version__


class System:
    """Counts seconds of all cores, of this process and of the clock, as a test sets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.busy_s: float | None = 1_000.0
        self.own_s = 10.0
        self.now_s = 0.0
        monkeypatch.setattr(module, "_busy_s", lambda: self.busy_s)
        monkeypatch.setattr(module, "_own_s", lambda: self.own_s)
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now_s)
        monkeypatch.setattr(module.os, "cpu_count", lambda: 4)

    def passes(self, seconds: float, own_s: float, others_s: float) -> None:
        self.now_s += seconds
        self.own_s += own_s
        if self.busy_s is not None:
            self.busy_s += own_s + others_s


def test_what_others_take_is_counted_without_what_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch)
    with other_processes() as others:
        system.passes(10.0, own_s=20.0, others_s=15.0)
    assert (others.busy_cores, others.cores) == (1.5, 4)
    assert others.warning is not None
    assert "took 1.5 of its 4 cores" in others.warning


@pytest.mark.parametrize(
    ("seconds", "own_s", "others_s", "busy_cores"),
    [
        (10.0, 10.0, 3.0, 0.3),  # a little is always going on
        (10.0, 10.0, -0.5, 0.0),  # the system's counts are hundredths of a second behind
        (0.4, 0.0, 1.6, None),  # too short to be told
    ],
)
def test_a_quiet_machine_gets_no_warning(
    seconds: float, own_s: float, others_s: float, busy_cores: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System(monkeypatch)
    with other_processes() as others:
        system.passes(seconds, own_s, others_s)
    assert others.busy_cores == busy_cores
    assert others.warning is None


def test_where_the_system_does_not_say_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch)
    system.busy_s = None
    with other_processes() as others:
        system.passes(10.0, 1.0, 1.0)
    assert others == OtherProcesses(4, None)
    assert others.warning is None


def test_the_systems_count_grows_by_what_this_process_works() -> None:
    """Whatever else runs: all cores together work at least as much as one process among them."""
    busy_s, own_s = module._busy_s(), module._own_s()
    if busy_s is None:
        pytest.skip("the system doesn't count what its cores work")
    while module._own_s() - own_s < 0.3:
        sum(range(1_000))
    worked_s = module._busy_s()
    assert worked_s is not None
    assert worked_s - busy_s >= 0.25


@pytest.mark.skipif(sys.platform == "win32", reason="resident sets of other systems")
def test_the_peak_of_memory_grows_with_what_is_touched() -> None:
    before = peak_resident_bytes()
    held = np.ones(before + 2**26, np.uint8)  # larger than all before
    assert peak_resident_bytes() >= held.nbytes


@pytest.mark.skipif(sys.platform != "linux", reason="Linux hands the peak of a process on to those that it starts")
def test_the_peak_of_a_process_is_its_own_and_not_that_of_the_one_that_started_it() -> None:
    held = np.ones(2**29, np.uint8)
    code = "from netsurgery.timing.machine import peak_resident_bytes; print(peak_resident_bytes())"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(told.stdout) < held.nbytes
