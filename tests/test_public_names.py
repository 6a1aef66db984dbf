"""The public names: all of them there, and torch neither needed nor imported before one of them is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
from tests.each_case import each_case

import netsurgery
from netsurgery import errors

TORCH_NAMES = [
    "attach",
    "compress",
    "Compression",
    "Operation",
    "Plan",
    "Stage",
    "Surgery",
    "ThresholdSurgery",
    "NaiveCut",
    "KeepZeros",
    "HanPruning",
    "INQ",
    "Restarts",
    "FixedActivations",
    "recalibrate",
    "Sketching",
    "Fastfood",
    "with_fastfood",
    "zoo",
]
NUMPY_NAMES = ["steps_of", "pack", "PackReport", "load", "Session", "Limits"]
EXCEPTIONS = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]


def in_a_new_process(code: str) -> str:
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_importing_the_package_imports_neither_torch_nor_numpy() -> None:
    loaded = in_a_new_process("import sys, netsurgery; dir(netsurgery); print(*sys.modules)").split()
    assert "netsurgery" in loaded
    assert not {"torch", "numpy", "onnx", "netsurgery._native"} & set(loaded)


@pytest.mark.parametrize("name", NUMPY_NAMES)
def test_what_packs_and_runs_networks_is_there_with_numpy_only(
    name: str, deployed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = deployed("import netsurgery\nprint(getattr(netsurgery, sys.argv[1]).__name__)", name)
    assert done.stdout.strip() == name, done.stderr


def test_without_torch_the_package_is_imported_and_what_needs_torch_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import netsurgery\n"
        "assert netsurgery.__version__ and netsurgery.errors.PlanError\n"
        f"for name in {TORCH_NAMES}:\n"
        "    try:\n"
        "        getattr(netsurgery, name)\n"
        "    except netsurgery.MissingExtraError as error:\n"
        "        print(error)\n"
    )
    expected = [
        f"netsurgery.{name} needs torch, which isn't installed: pip install 'netsurgery[torch]'" for name in TORCH_NAMES
    ]
    assert in_a_new_process(code).splitlines() == expected


def test_an_extra_that_is_partly_installed_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomli_w", None)
    monkeypatch.delitem(sys.modules, "netsurgery.plan", raising=False)
    with pytest.raises(errors.MissingExtraError, match=r"netsurgery\.Plan needs tomli_w.*netsurgery\[torch\]"):
        netsurgery.Plan  # noqa: B018


def test_where_torch_is_missing_too_it_is_what_is_named() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['tomli_w'] = None\n"
        "import netsurgery\n"
        "from netsurgery.cli.main import main\n"
        "try:\n"
        "    netsurgery.Plan\n"
        "except netsurgery.MissingExtraError as error:\n"
        "    print(error)\n"
        "sys.stderr = sys.stdout\n"
        "main(['compress', 'task.py'])\n"
        "main(['plan', 'plan.toml'])\n"
    )
    python, *commands = in_a_new_process(code).splitlines()
    assert python == "netsurgery.Plan needs torch, which isn't installed: pip install 'netsurgery[torch]'"
    assert commands == ["netsurgery: this command needs torch: pip install 'netsurgery[torch]'"] * 2


def test_a_module_of_the_package_that_is_missing_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "netsurgery.plan", None)
    with pytest.raises(ModuleNotFoundError, match=r"netsurgery\.plan") as caught:
        netsurgery.Plan  # noqa: B018
    assert not isinstance(caught.value, errors.MissingExtraError)


@each_case("name", netsurgery.__all__)
def test_every_public_name_is_there_and_is_listed(name: str) -> None:
    thing = getattr(netsurgery, name)
    assert isinstance(thing, ModuleType) or thing.__name__ == name
    assert inspect.getdoc(thing)
    assert name in dir(netsurgery)


def test_public_names_are_listed_once() -> None:
    assert len(set(netsurgery.__all__)) == len(netsurgery.__all__)
    assert {*TORCH_NAMES, *NUMPY_NAMES, "errors", "NetsurgeryError", "MissingExtraError"} == set(netsurgery.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'netsurgery' has no attribute 'atach'"):
        netsurgery.atach  # noqa: B018
    assert not hasattr(netsurgery, "atach")


def test_there_are_exceptions_to_test() -> None:
    assert {errors.NetsurgeryError, errors.PlanError, errors.UnfinishedWarning} < set(EXCEPTIONS)


@each_case("exception", EXCEPTIONS)
def test_every_exception_is_caught_as_an_error_of_this_library(exception: type[Exception]) -> None:
    if exception.__name__.endswith("Warning"):
        assert issubclass(exception, UserWarning)
        assert not issubclass(exception, errors.NetsurgeryError)
    else:
        assert issubclass(exception, errors.NetsurgeryError)
        assert exception.__name__.endswith("Error")
    assert exception.__doc__


@pytest.mark.parametrize(
    ("exception", "builtin"),
    [
        (errors.SettingError, ValueError),
        (errors.PlanError, ValueError),
        (errors.LayerNotFoundError, LookupError),
        (errors.AdapterError, ValueError),
        (errors.OptimizerError, ValueError),
        (errors.NonFiniteWeightsError, ValueError),
        (errors.AttachmentError, RuntimeError),
        (errors.StateError, ValueError),
        (errors.DataError, ValueError),
        (errors.MissingFolderError, FileNotFoundError),
        (errors.MissingExtraError, ImportError),
        (errors.CaptureError, ValueError),
        (errors.UnsupportedOperatorError, errors.CaptureError),
        (errors.GraphError, ValueError),
        (errors.VerificationError, RuntimeError),
        (errors.InputError, ValueError),
        (errors.PackedFileError, ValueError),
        (errors.FileVersionError, errors.PackedFileError),
        (errors.FileLimitError, errors.PackedFileError),
    ],
)
def test_exceptions_are_also_the_builtin_ones_that_users_expect(
    exception: type[Exception], builtin: type[Exception]
) -> None:
    assert issubclass(exception, builtin)
