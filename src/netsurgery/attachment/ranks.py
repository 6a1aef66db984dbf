"""Whether processes that train one model together declare the same set of connections, each by itself.

They do if they begin with the same weights and share their gradients, as under DistributedDataParallel. If not, their
masks differ for good, and nothing else tells. Nobody waits here for anybody: each process leaves a digest in the store
by which the processes have met, and looks for others, and once more whenever it leaves the next one. Whoever comes last
finds all of them at once; the others find them then.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, distributed

from netsurgery.attachment.digests import digest
from netsurgery.errors import RanksDifferWarning

_FIRST = 16  # the step of the first comparison; the next ones are at twice as many steps
_ALL = 16  # as many processes look at all others; of more each looks at the first one and at its neighbours

_counts: dict[str, int] = {}


class _Left(NamedTuple):
    """What this process has left in the store, and at which step."""

    key: str
    word: str
    step: int


class Ranks:
    """The other processes that train the model of one operation.

    plan: what has to be the same for processes to be compared: their plan, in words.
    """

    def __init__(self, plan: str) -> None:
        self._plan = plan
        self._unseen: dict[int, list[_Left]] = {}
        self._told = False

    def is_due(self, step: int) -> bool:
        """True after 1, 16, 32, 64, ... steps, if there are other processes."""
        return (step == 1 or (step >= _FIRST and step & (step - 1) == 0)) and _store() is not None

    def compare(self, moment: str, step: int, declared: Iterable[tuple[str, Tensor]], stacklevel: int) -> None:
        """Warn (RanksDifferWarning), once, if another process has declared something else at the same step.

        moment: a word for when it is; each process comes there equally often. declared: names and tensors, which are
        compared bit for bit; of which this process holds other parts than another one has other names.
        """
        store = _store()
        if store is None or self._told:
            return
        number = _counts[moment] = _counts.get(moment, 0) + 1
        left = _Left(f"netsurgery/{moment}/{number}", _word((self._plan, step), declared), step)
        rank = distributed.get_rank()
        store.set(f"{left.key}/{rank}", left.word)
        for other in _others(rank, distributed.get_world_size()):
            waiting = [*self._unseen.get(other, []), left]
            self._unseen[other] = [one for one in waiting if not store.check([f"{one.key}/{other}"])]
            for one in waiting:
                if one not in self._unseen[other] and _differ(store.get(f"{one.key}/{other}").decode(), one.word):
                    self._told = True
                    warnings.warn(_warning(other, one.step), RanksDifferWarning, stacklevel=stacklevel)
                    return


def _warning(other: int, step: int) -> str:
    return (
        f"This process and process {other} have the same plan, and have declared different connections, or different "
        f"values of them, at step {step}: their models differ, and stay so. Begin with the same weights everywhere "
        "(wrap the model in DistributedDataParallel before attach, or broadcast them), and average gradients. "
        "Processes that train different models need plans that differ, as in their seed."
    )


def _word(subject: object, declared: Iterable[tuple[str, Tensor]]) -> str:
    """Two digests: of what is spoken of, and of what is said of it."""
    names = []

    def each() -> Iterator[tuple[str, Tensor]]:  # one after another: they are copies
        for name, tensor in declared:
            names.append(name)
            yield name, tensor

    said = digest(each())
    return f"{hashlib.sha256(repr((subject, names)).encode()).hexdigest()} {said}"


def _differ(theirs: str, own: str) -> bool:
    """True if both speak of the same, and say different things."""
    return theirs != own and theirs.split()[0] == own.split()[0]


def _others(rank: int, size: int) -> list[int]:
    """The processes that one of `size` looks at: a difference between any two is seen by somebody."""
    looked_at = range(size) if size <= _ALL else {0, (rank - 1) % size, (rank + 1) % size}
    return sorted(other for other in looked_at if other != rank)


def _store() -> Any:
    """Where processes leave words for each other; None if there is only this one."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return None
    return distributed.distributed_c10d._get_default_store()
