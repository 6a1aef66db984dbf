"""What runs here and what runs in public are the same make targets."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def targets(path: str) -> set[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return set(re.findall(r"^(?: *- run: )?make ([\w-]+)", text, flags=re.MULTILINE))


def test_both_continuous_integrations_make_the_same_targets() -> None:
    assert targets(".ci/run") == targets(".github/workflows/ci.yml")


def test_every_target_of_theirs_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in targets(".ci/run"):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_public_workflow_covers_the_supported_pythons() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (oldest,) = re.findall(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (listed,) = re.findall(r"python: \[(.*?)\]", workflow)
    assert [version.strip(' "') for version in listed.split(",")] == [f"3.{minor}" for minor in range(int(oldest), 15)]
