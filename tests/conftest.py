"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tests are many small things: a second thread only makes them wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture
def mnist_folder() -> Path:
    """The real MNIST files, where a checkout has them beside it."""
    folder = SHARED / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("the MNIST files are not beside this checkout")
    return folder


@pytest.fixture
def reference_folder() -> Path:
    """The dense reference networks of the paper's authors, where a checkout has them beside it."""
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip("the reference networks are not beside this checkout")
    return folder
