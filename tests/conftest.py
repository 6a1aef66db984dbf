"""What all tests share."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from tests.quicker_torch import remember

settings.register_profile("patient", deadline=None)  # a busy machine is no fault: nothing here is timed
settings.load_profile("patient")
remember()

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The library for C is compiled before it is tested."""
    for item in items:
        if "library_folder" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What has been imported and collected stays: looking for garbage in it took a fifth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests are many small things: a second thread only makes them wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _subnormal_numbers() -> Iterator[None]:
    """Commands and benchmarks have the processor flush them to 0; other tests need them."""
    yield
    torch.set_flush_denormal(False)


def _shared(folder: str, what: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        pytest.skip(f"{what} are not beside this checkout")
    return path


@pytest.fixture
def mnist_folder() -> Path:
    """The real MNIST files, where a checkout has them beside it."""
    return _shared("data/mnist", "the MNIST files")


@pytest.fixture
def cifar10_folder() -> Path:
    """The real CIFAR-10 files, where a checkout has them beside it."""
    return _shared("data/cifar10", "the CIFAR-10 files")


@pytest.fixture
def reference_folder() -> Path:
    """The dense reference networks, LeNets and residual ones, where a checkout has them beside it."""
    return _shared("models", "the reference networks")


_DEPLOYED = """
import sys

class Blocked:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "numpy", "netsurgery"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked)
"""


@pytest.fixture
def deployed() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python code (with arguments) where only numpy is installed: any other import fails, torch's among them."""

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _DEPLOYED + code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def library_folder() -> Path:
    """Where libnetsurgery lies, in the folder of `make engine`; what has changed since the last time is built again."""
    if not shutil.which("cmake") or not shutil.which("cc"):
        pytest.skip("needs cmake and a C compiler")
    import fcntl

    folder = ROOT / "build" / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    configure = ["-S", ROOT, "-B", folder, "-DNETSURGERY_TESTS=ON"]
    build = ["--build", folder, "--target", "netsurgery", "--parallel", "2"]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        for arguments in (configure, build):
            done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def compiled(library_folder: Path) -> Callable[[Path, Path], Path]:
    """Compiles a C source to a program that uses libnetsurgery; warnings are errors."""

    def compile_program(source: Path, program: Path) -> Path:
        found = [f"-I{ROOT / 'engine' / 'include'}", f"-L{library_folder}", f"-Wl,-rpath,{library_folder}"]
        command = ["cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", source, *found, "-lnetsurgery"]
        done = subprocess.run([*command, "-o", program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return program

    return compile_program
