"""What has to hold for any bytes given to the readers, under a limit of time and of memory."""

from __future__ import annotations

import resource
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from netsurgery.errors import PackedFileError
from netsurgery.graph.ir import Graph
from netsurgery.packed.format import Limits
from netsurgery.packed.reader import CoderName, Packed, decode
from netsurgery.packed.writer import encode

SMALL = Limits(elements=2**10, value_elements=2**20)
"""What both readers can go through quickly."""
SECONDS = {"native": 10.0, "reference": 300.0}
"""For one file of less than a kilobyte, on a slow machine."""
MEMORY_BYTES = 256 * 2**20
"""Beyond what the process held before: nodes as Python objects, tables of the models; and for each entry allowed: """
BYTES_PER_ENTRY = 64


class Finding(Exception):  # noqa: N818 (what fuzzing is for)
    """A reader broke its promise."""


class _TookTooLong(BaseException):
    """Not an Exception, so that nothing on the way takes it for one of its own."""


def check(content: bytes, coders: Sequence[CoderName], limits: Limits) -> bool:
    """True if the file is accepted. Raises Finding unless all refuse it with the same typed error, or read the same.

    What is accepted has to survive writing and reading again.
    """
    outcomes = [_outcome(content, coder, limits) for coder in coders]
    for other in outcomes[1:]:
        _require_same(outcomes[0], other)
    first = outcomes[0]
    if isinstance(first, PackedFileError):
        return False
    if limits == SMALL:  # beyond, a shorter file may be granted less
        again = decode(encode(first.graph, names=True)).graph
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


def _outcome(content: bytes, coder: CoderName, limits: Limits) -> Packed | PackedFileError:
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS[coder])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return decode(content, limits=limits, coder=coder)
    except PackedFileError as error:
        return error
    except _TookTooLong:
        raise Finding(f"{coder}: more than {SECONDS[coder]:g} seconds") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise Finding(f"{coder}: {type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up(signal_number: int, frame: FrameType | None) -> None:
    raise _TookTooLong


def _require_same(one: Packed | PackedFileError, other: Packed | PackedFileError) -> None:
    if isinstance(one, PackedFileError) or isinstance(other, PackedFileError):
        if (type(one), str(one)) != (type(other), str(other)):
            raise Finding(f"the readers differ: {_told(one)}; {_told(other)}")
    elif _described(one.graph) != _described(other.graph) or one.stored != other.stored:
        raise Finding("the readers read different graphs")


def _told(outcome: Packed | PackedFileError) -> str:
    return "read" if isinstance(outcome, Packed) else f"{type(outcome).__name__}: {outcome}"


def _described(graph: Graph) -> tuple[object, ...]:
    """Everything in the graph, bit for bit, as something that can be compared."""
    constants = [(name, values.shape, values.tobytes()) for name, values in graph.constants.items()]
    return graph.inputs, graph.nodes, graph.outputs, constants
