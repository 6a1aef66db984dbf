"""Arrays of the command line: .npy files, read without pickle and written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import DataError
from netsurgery.files import replacing


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array in an .npy file. Raises DataError if it is missing or damaged, or holds Python objects.

    Such objects are pickles, which run code as they are read.
    """
    try:
        opened = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}.") from error
    with opened as file:
        try:
            whole = file if file.seekable() else io.BytesIO(file.read())  # numpy asks a pipe where in it it is
            return np.lib.format.read_array(whole, allow_pickle=False)
        except Exception as error:  # numpy parses the header as Python, and lets through whatever that raises
            reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
            raise DataError(
                f"{path} can't be read as an .npy file of numbers: {reason}. Write it with numpy.save."
            ) from error


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write one array as an .npy file."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
