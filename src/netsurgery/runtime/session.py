"""A packed network, loaded and ready to run. Needs numpy only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery import _native
from netsurgery.checks import require, require_choice, require_count
from netsurgery.errors import InputError, PackedFileError
from netsurgery.graph.ir import Array, Graph, Input, rule
from netsurgery.graph.value_types import TYPE_OF_CODE
from netsurgery.packed.format import HEADER_BYTES, MAGIC, Limits
from netsurgery.packed.reader import Packed, counted, decode, in_words_of_python
from netsurgery.runtime import reference
from netsurgery.runtime.inputs import checked_sizes, converted, shown

Engine: TypeAlias = Literal["native", "reference"]
Outputs: TypeAlias = "Array | tuple[Array, ...]"

MOST_THREADS = 256
_LARGEST_SIZE = 2**31 - 1


class Session:
    """A network that runs: call it with NumPy arrays, get NumPy arrays. `load` makes one.

    `inputs` says what it takes: names, types, and shapes with the name of an axis, such as "batch", for a size that the
    caller chooses. `axes` are those names. `output_names` and `output_types` say what it gives; behind a detector, an
    output has as many entries as the run finds, none perhaps. `packed` tells how the file stored it.
    `engine` and `threads` are what it runs with; the reference leaves threads to NumPy, and `threads` is None then.

    Nothing that a call gives is shared with another. Python's threads may share a session, which runs for one of them
    at a time; sessions of their own run side by side. A session can be copied and pickled: the bytes of the file go
    along, and are loaded again. A process that forks while another thread runs the session gets one that raises
    RuntimeError; a copy of it works.

    >>> network = ns.load("model.nsm")
    >>> network.inputs  # any batch
    (Input(name='input', shape=('batch', 20), type=<ValueType.FLOAT32>),)
    >>> scores = network(np.zeros((5, 20), np.float32))
    >>> by_name = network.run({"input": np.zeros((5, 20), np.float32)})
    >>> np.array_equal(by_name[network.output_names[0]], scores)
    True
    """

    def __init__(
        self, content: bytes, threads: int | None = None, engine: Engine = "native", limits: Limits | None = None
    ) -> None:
        what = "bytes, those of an .nsm file; netsurgery.load takes its path"
        require(isinstance(content, bytes), "content", type(content).__name__, what)
        require_choice("engine", engine, "native", "reference")
        threads = _plain(threads)
        if threads is not None:
            require_count("threads", threads)
            require(threads <= MOST_THREADS, "threads", threads, f"a whole number <= {MOST_THREADS}")
        self._made_with = (content, threads, engine, limits)
        self.engine = engine
        self._runner = _native_runner(content, threads, limits) if engine == "native" else _Reference(self.graph)
        self._found = {output: (axis, count) for output, axis, count in self._runner.first_entries}
        self._run = self._run_and_count if self._found else self._runner.run
        self.inputs = tuple(Input(name, shape, TYPE_OF_CODE[code]) for name, shape, code in self._runner.inputs)
        self.axes = tuple(name for name, _, _ in self._runner.axes)
        self.output_names = self._shown(self._runner.output_names)
        self.output_types = tuple(TYPE_OF_CODE[code] for code in self._shown(self._runner.output_types))
        self.threads = self._runner.threads

    @cached_property
    def packed(self) -> Packed:
        """What the file holds and how it is stored, read again when it is first asked for."""
        content, _, _, limits = self._made_with
        return decode(content, limits=limits)

    @property
    def graph(self) -> Graph:
        """The network itself."""
        return self.packed.graph

    def __call__(self, *arrays: npt.ArrayLike, **named: Any) -> Outputs:
        """Run the network on one array for each input, in order; float16, float64 and whole numbers are made float32.

        An input of whole numbers takes those only. Returns the output, or a tuple if there are several. Raises
        InputError for another count, shape or type, for sizes that the network can't run at, for a whole number so
        large that float32 may round it, for one that is no row of the table which it is looked up in, for numbers
        beyond float32, and for masked arrays.
        """
        if named:
            raise InputError(
                f"{', '.join(f'{name}=...' for name in named)} is given by name; a network is called with arrays in "
                f"order. By name: run({{{', '.join(f'{given.name!r}: ...' for given in self.inputs)}}})."
            )
        outputs = self._run(arrays)
        return self._of_converted(arrays) if outputs is None else outputs

    def run(self, feeds: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """The same with names: arrays by input name in, arrays by output name out. Raises InputError."""
        if not isinstance(feeds, Mapping):
            names = ", ".join(f"{given.name!r}: ..." for given in self.inputs)
            raise InputError(f"run() takes arrays by name, {{{names}}}; without names call the network itself.")
        outputs = self._of_feeds(self._converted(feeds))
        return dict(zip(self.output_names, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))

    def prepare(self, **sizes: int) -> None:
        """Plan memory for sizes of the open axes, so that the first call with them takes no longer than others.

        Optional. Raises SettingError unless each of `axes` has a size, at least 1, as in `prepare(batch=4, time=100)`;
        names that are no words of Python go in as `prepare(**{"a name": 4})`. InputError where the network can't run.
        """
        names = ", ".join(self.axes) or "none"
        require(set(sizes) == set(self.axes), "sizes", ", ".join(sizes) or "none", f"one for each open axis: {names}")
        counts = [_plain(sizes[name]) for name in self.axes]
        for name, count in zip(self.axes, counts, strict=True):
            require_count(name, count, maximum=_LARGEST_SIZE)
        self._runner.prepare(counts)

    def profile(self, *arrays: npt.ArrayLike) -> list[tuple[str, str, float, int]]:
        """Run the network once on the calling thread and say where the time went; for the native engine.

        Returns (the value that a step makes, the kind of kernel, microseconds, multiply-adds with weights that aren't
        zero) of each step, in order. Raises InputError for other arrays than the network takes.
        """
        if not isinstance(self._runner, _native.Session):
            raise InputError("the reference engine keeps no times: load the network with engine='native'.")
        given = tuple(converted(one, array) for one, array in zip(self.inputs, arrays, strict=False))
        steps = self._runner.profile(given)
        if steps is None:
            self._of_converted(arrays)  # says what is wrong
            raise InputError("the network doesn't take these arrays.")
        nodes = self.graph.nodes
        return [(nodes[node].output if node >= 0 else "", kind, us, count) for node, kind, us, count in steps]

    def _shown(self, outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Those of the engine's outputs that don't only say how many entries others have."""
        counts = {count for _, count in self._found.values()}
        return tuple(one for place, one in enumerate(outputs) if place not in counts)

    def _run_and_count(self, arrays: tuple[Any, ...]) -> Outputs | None:
        """The outputs with as many entries as there are."""
        outputs = self._runner.run(arrays)
        if outputs is None:
            return None
        whole = [*outputs]
        for output, (axis, count) in self._found.items():
            whole[output] = reference.first_entries(outputs[output], axis, outputs[count])
        shown = self._shown(tuple(whole))
        return shown[0] if len(shown) == 1 else shown

    def _of_converted(self, arrays: tuple[npt.ArrayLike, ...]) -> Outputs:
        if len(arrays) != len(self.inputs):
            names = ", ".join(given.name for given in self.inputs)
            raise InputError(f"{len(arrays)} arrays given; the network takes {len(self.inputs)}: {names}.")
        return self._of_feeds(
            {given.name: converted(given, array) for given, array in zip(self.inputs, arrays, strict=True)}
        )

    def _converted(self, feeds: Mapping[str, npt.ArrayLike]) -> dict[str, Any]:
        """Arrays by name, those that the network knows as it takes them."""
        known = {given.name: given for given in self.inputs}
        return {name: converted(known[name], value) if name in known else value for name, value in feeds.items()}

    def _rules(self) -> dict[str, str]:
        return {name: rule(least, step) for name, least, step in self._runner.axes}

    def _of_feeds(self, feeds: Mapping[str, Array]) -> Outputs:
        checked_sizes(self.inputs, feeds, self._rules)
        outputs = self._run(tuple(feeds[given.name] for given in self.inputs))
        if outputs is None:
            raise InputError("the engine doesn't take arrays that fit the network; please report this.")
        return outputs

    def __reduce__(self) -> tuple[Any, ...]:
        return Session, self._made_with

    def __repr__(self) -> str:
        takes = ", ".join(f"{given.name} {shown(given.shape)}" for given in self.inputs)
        return f"<netsurgery session: {takes} -> {', '.join(self.output_names)}, {len(self._made_with[0]):,} bytes>"


def load(
    path: str | Path, threads: int | None = None, *, engine: Engine = "native", limits: Limits | None = None
) -> Session:
    """Load an .nsm file.

    threads: how many threads a run may use, 1 to 256; by default one for each core that this process may use. Outputs
        don't depend on it.
    engine: "native", or "reference" for the slow NumPy version that says what is right.
    limits: how much memory to grant a file that declares much; by default what ordinary networks stay far below.
    Raises PackedFileError if the file can't be read or is damaged, FileVersionError if it is of another version of the
    format, FileLimitError if it asks for more than the limits, SettingError for threads or an engine that there can't
    be, and if NETSURGERY_ISA in the environment names instructions that this machine doesn't run.

    >>> network = ns.load("model.nsm", threads=1)
    >>> network(np.zeros((5, 20), np.float32)).shape
    (5, 3)
    """
    content = _content(path)
    with _naming(path):
        return Session(content, threads, engine, limits)


def read_packed(path: str | Path, *, limits: Limits | None = None) -> Packed:
    """What an .nsm file holds; errors are those of `load`, and name the file."""
    content = _content(path)
    with _naming(path):
        return decode(content, limits=limits)


class _Reference:
    """The reference with the face of `_native.Session`, but that its outputs have as many entries as there are."""

    threads = None
    first_entries: tuple[tuple[int, int, int], ...] = ()

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.inputs = tuple((given.name, given.shape, given.type.code) for given in graph.inputs)
        self.axes = tuple((name, graph.least[name], graph.steps.get(name, 1)) for name in graph.axes)
        self.output_names = graph.shown_outputs
        self.output_types = tuple(graph.types[name].code for name in graph.shown_outputs)

    def prepare(self, sizes: list[int]) -> None:
        pass

    def run(self, arrays: tuple[Any, ...]) -> Outputs | None:
        types = [given.type.dtype for given in self._graph.inputs]
        masked = any(isinstance(given, np.ma.MaskedArray) for given in arrays)
        if masked or [getattr(given, "dtype", None) for given in arrays] != types:
            return None
        feeds = {name: np.asarray(given) for (name, _, _), given in zip(self.inputs, arrays, strict=True)}
        outputs = reference.run(self._graph, feeds)
        return outputs[0] if len(outputs) == 1 else outputs


def _native_runner(content: bytes, threads: int | None, limits: Limits | None) -> _native.Session:
    with in_words_of_python():
        return _native.Session(content, threads or 0, *counted(limits))


def _plain(count: Any) -> Any:
    """NumPy's whole numbers are as good as Python's."""
    return int(count) if isinstance(count, np.integer) else count


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    try:
        yield
    except PackedFileError as error:
        raise type(error)(f"{path}: {error}") from error


def _content(path: str | Path) -> bytes:
    what = "a path; netsurgery.Session takes the bytes of a file"
    require(isinstance(path, str | os.PathLike), "path", type(path).__name__, what)
    try:
        with Path(path).open("rb") as file:
            begin = file.read(HEADER_BYTES)
            return begin + file.read() if begin.startswith(MAGIC) else begin  # which is refused, however long it is
    except (OSError, ValueError) as error:  # the latter of paths that can't be any
        raise PackedFileError(
            f"{str(path) or chr(39) * 2} can't be read: {getattr(error, 'strerror', None) or error}."
        ) from error
