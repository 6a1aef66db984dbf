"""A packed network, loaded and ready to run. Needs numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from netsurgery.errors import InputError, PackedFileError
from netsurgery.graph.ir import Array, Graph, Input
from netsurgery.packed.format import Limits
from netsurgery.packed.reader import Packed, decode
from netsurgery.runtime import reference


class Session:
    """A network that runs: call it with NumPy arrays, get NumPy arrays.

    `inputs` says what it takes: names, and shapes with None for a batch that the caller chooses. `output_names` says
    what it gives. `packed` tells how the file stored it. A session keeps nothing between calls.
    """

    def __init__(self, packed: Packed) -> None:
        self.packed = packed

    @property
    def graph(self) -> Graph:
        """The network itself."""
        return self.packed.graph

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Names and shapes of what the network takes."""
        return self.graph.inputs

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what the network gives, in order."""
        return self.graph.outputs

    def __call__(self, *arrays: npt.ArrayLike) -> Array | tuple[Array, ...]:
        """Run the network on one array for each input, in order; float16, float64 and integers are made float32.

        Returns the output, or a tuple if there are several. Raises InputError for another count, shape or type.
        """
        if len(arrays) != len(self.inputs):
            names = ", ".join(given.name for given in self.inputs)
            raise InputError(f"{len(arrays)} arrays given; the network takes {len(self.inputs)}: {names}.")
        outputs = self._outputs({given.name: array for given, array in zip(self.inputs, arrays, strict=True)})
        return outputs[0] if len(outputs) == 1 else outputs

    def run(self, feeds: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """The same with names: arrays by input name in, arrays by output name out."""
        return dict(zip(self.output_names, self._outputs(feeds), strict=True))

    def _outputs(self, feeds: Mapping[str, npt.ArrayLike]) -> tuple[Array, ...]:
        return reference.run(self.graph, {name: _single(name, value) for name, value in feeds.items()})

    def __repr__(self) -> str:
        takes = ", ".join(f"{given.name} {_shown(given.shape)}" for given in self.inputs)
        return f"<netsurgery session: {takes} -> {', '.join(self.output_names)}, {self.packed.size_bytes:,} bytes>"


def load(path: str | Path, *, limits: Limits | None = None) -> Session:
    """Load an .nsm file.

    limits: how much memory to grant a file that declares much; by default what ordinary networks stay far below.
    Raises PackedFileError if the file can't be read or is damaged, FileVersionError if it is of another version of the
    format, FileLimitError if it asks for more than the limits.
    """
    return Session(read_packed(path, limits=limits))


def read_packed(path: str | Path, *, limits: Limits | None = None) -> Packed:
    """What an .nsm file holds; errors are those of `load`, and name the file."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PackedFileError(f"{path} can't be read: {error.strerror or error}.") from error
    try:
        return decode(content, limits=limits)
    except PackedFileError as error:
        raise type(error)(f"{path}: {error}") from error


def _single(name: str, value: npt.ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"input {name!r} is an array of {array.dtype}; numbers are needed.")
    return np.ascontiguousarray(array, np.float32).reshape(array.shape)


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("N" if size is None else str(size) for size in shape) + ")"
