"""The best instruction set runs, or the one that NETSURGERY_ISA names; what it names in vain is a typed error."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from netsurgery import _native
from netsurgery.errors import SettingError

PROCESSORS = Path("/proc/cpuinfo")
KNOWN = ("avx512", "avx2", "neon", "portable")  # best first
AVAILABLE = _native.available_instructions()
# A compiler uses what every machine of its kind has: on 64-bit ARM that is NEON, in portable code, too.
BASELINE = "neon" if platform.machine() in {"aarch64", "arm64"} else "portable"


def chosen_with(value: str | None) -> list[str]:
    """What a fresh process chooses, and what its compiler was told; or the name of its error and the sentence."""
    code = """
from netsurgery import _native
try:
    print(_native.instructions(), _native.compiled_as(), sep="\\n")
except Exception as error:
    print(type(error).__name__, error, sep="\\n")
"""
    environment = {name: text for name, text in os.environ.items() if name != "NETSURGERY_ISA"}
    if value is not None:
        environment["NETSURGERY_ISA"] = value
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.strip().split("\n")


def test_sets_are_listed_best_first_and_portable_is_among_them() -> None:
    assert [name for name in KNOWN if name in AVAILABLE] == AVAILABLE
    assert AVAILABLE[-1] == "portable"


@pytest.mark.skipif(not PROCESSORS.exists(), reason="needs Linux to ask for a second opinion")
def test_the_operating_system_agrees_about_what_the_machine_has() -> None:
    words = set(PROCESSORS.read_text(encoding="ascii", errors="replace").split())
    assert ("avx512" in AVAILABLE) == ({"avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"} <= words)
    assert ("avx2" in AVAILABLE) == ({"avx2", "fma"} <= words)
    assert ("neon" in AVAILABLE) == (BASELINE == "neon")


@pytest.mark.parametrize("value", [None, ""])
def test_the_best_runs_unless_one_is_named(value: str | None) -> None:
    assert chosen_with(value)[0] == AVAILABLE[0]


@pytest.mark.parametrize("name", AVAILABLE)
def test_the_set_that_is_named_runs_and_was_compiled_as_such(name: str) -> None:
    assert chosen_with(name) == [name, BASELINE if name == "portable" else name]


@pytest.mark.parametrize("value", ["sse9", "AVX2", " portable", "avx2,portable"])
def test_an_unknown_set_is_refused_with_those_that_there_are(value: str) -> None:
    error, sentence = chosen_with(value)
    assert error == SettingError.__name__
    assert f"NETSURGERY_ISA is '{value}', which is not an instruction set known here" in sentence
    assert f"this machine runs {', '.join(AVAILABLE)}" in sentence


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in AVAILABLE])
def test_a_set_that_this_machine_lacks_is_refused(name: str) -> None:
    error, sentence = chosen_with(name)
    assert error == SettingError.__name__
    assert f"NETSURGERY_ISA is '{name}', which this machine lacks" in sentence
    assert f"this machine runs {', '.join(AVAILABLE)}" in sentence
