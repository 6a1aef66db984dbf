"""What has to hold for any bytes given to the readers, under a limit of time and of memory."""

from __future__ import annotations

import re
import resource
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal, TypeAlias

from fuzz import engine
from netsurgery.errors import PackedFileError
from netsurgery.graph.ir import Graph
from netsurgery.packed import reader as library
from netsurgery.packed.format import Limits
from netsurgery.packed.reader import Packed
from netsurgery.packed.writer import encode
from specification import reader as specification
from specification.reader import CoderName

ReaderName: TypeAlias = Literal["library", "engine"] | CoderName
"""What the library reads, what a session keeps of it, and the specification's reader on either coder."""
SMALL = Limits(elements=2**10, value_elements=2**20)
"""What both readers can go through quickly."""
SECONDS: dict[ReaderName, float] = {"library": 10.0, "native": 10.0, "reference": 300.0, "engine": 10.0}
"""For one file of less than a kilobyte, on a slow machine."""
MEMORY_BYTES = 256 * 2**20
"""Beyond what the process held before: nodes as Python objects, tables of the models; and for each entry allowed: """
BYTES_PER_ENTRY = 64


SAID_DIFFERENTLY = re.compile(
    r".*contradicts itself: (.*: )?"  # a node has no name in the engine
    r"|(scales|roi|alphas|betas)=\(.*?\)|(alpha|value)=\S+"  # digits of floats
    r"|has [\d,]+ entries"  # where the engine stops counting
    r"| If you trust .*"
)
"""What the engine doesn't say in the words of the Python reader, which names Python's arguments."""


class Finding(Exception):  # noqa: N818 (what fuzzing is for)
    """A reader broke its promise."""


class _TookTooLong(BaseException):
    """Not an Exception, so that nothing on the way takes it for one of its own."""


def check(content: bytes, readers: Sequence[ReaderName], limits: Limits) -> bool:
    """True if the file is accepted. Raises Finding unless all refuse it with the same typed error, or read the same.

    What is accepted has to survive writing and reading again.
    """
    outcomes = [_outcome(content, reader, limits) for reader in readers]
    for other in outcomes[1:]:
        _require_same(outcomes[0], other)
    first = outcomes[0]
    if isinstance(first, PackedFileError):
        return False
    if isinstance(first, Packed) and limits == SMALL:  # beyond, a shorter file may be granted less
        again = library.decode(encode(first.graph, names=True)).graph
        if _described(again) != _described(first.graph):
            raise Finding("what was read is written as something else")
    return True


@contextmanager
def bounded_memory(limits: Limits, size_bytes: int) -> Iterator[None]:
    """Let the process take no more than a file of this size is worth."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    worth = MEMORY_BYTES + BYTES_PER_ENTRY * limits.elements_for(size_bytes)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + worth, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


EngineGraph: TypeAlias = tuple[object, ...]


def _outcome(content: bytes, reader: ReaderName, limits: Limits) -> Packed | EngineGraph | PackedFileError:
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS[reader])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if reader == "engine":
                return engine.read(content, limits)
            if reader == "library":
                return library.decode(content, limits=limits)
            return specification.decode(content, limits=limits, coder=reader)
    except PackedFileError as error:
        return error
    except _TookTooLong:
        raise Finding(f"{reader}: more than {SECONDS[reader]:g} seconds") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise Finding(f"{reader}: {type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up(signal_number: int, frame: FrameType | None) -> None:
    raise _TookTooLong


def _require_same(one: Packed | EngineGraph | PackedFileError, other: Packed | EngineGraph | PackedFileError) -> None:
    if isinstance(one, PackedFileError) or isinstance(other, PackedFileError):
        if type(one) is not type(other) or _reason(one) != _reason(other):
            raise Finding(f"the readers differ: {_told(one)}; {_told(other)}")
    elif isinstance(one, Packed) and isinstance(other, Packed):
        if _all_of(one) != _all_of(other):
            raise Finding("the readers read different graphs")
    else:
        first, second = (engine.numbered(read.graph) if isinstance(read, Packed) else read for read in (one, other))
        if first != second:
            raise Finding("the engine reads a different graph")


def _all_of(read: Packed) -> tuple[object, ...]:
    """Everything that was read, types and parts of weights too; nodes as text, which tells -0.0 from 0.0."""
    graph = read.graph
    told = (read.stored, list(read.stored), read.structure_bits, read.size_bytes, read.version)
    return graph, list(graph.constants), dict(graph.known_least), repr(graph.nodes), told


def _reason(outcome: object) -> str:
    """Why a file was refused, without what the engine says in other words."""
    return SAID_DIFFERENTLY.sub("", str(outcome))


def _told(outcome: object) -> str:
    return f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, PackedFileError) else "read"


def _described(graph: Graph) -> tuple[object, ...]:
    """Everything in the graph, bit for bit, as something that can be compared."""
    constants = [(name, known.shape, known.values.tobytes()) for name, known in graph.constants.items()]
    return graph.inputs, graph.nodes, graph.outputs, constants
