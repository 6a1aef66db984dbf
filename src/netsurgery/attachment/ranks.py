"""Whether processes that train one model together declare the same set of connections, each by itself.

They do if they begin with the same weights and share their gradients, as under DistributedDataParallel. If not, their
masks differ for good, and nothing else tells. Nobody waits here for anybody: each process leaves a digest in the store
by which the processes have met, and looks for others. Whoever comes last finds all of them.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed

from netsurgery.errors import RanksDifferWarning

_counts: dict[str, int] = {}


def warn_if_ranks_differ(moment: str, plan: str, step: int, declared: Iterable[tuple[str, Tensor]]) -> None:
    """Warn (RanksDifferWarning) if another process has declared something else by the same plan at the same step.

    moment: a word for when it is; each process comes there equally often. declared: names and tensors, which are
    compared bit for bit.
    """
    others = _differing(moment, (plan, step), declared)
    if others:
        warnings.warn(
            f"This process and process {others[0]} have the same plan, and have declared different connections, or "
            f"different values of them, at step {step}: their models differ, and stay so. Begin with the same weights "
            "everywhere (wrap the model in DistributedDataParallel before attach, or broadcast them), and average "
            "gradients. Processes that train different models need plans that differ, as in their seed.",
            RanksDifferWarning,
            stacklevel=6 if moment == "attach" else 5,
        )


def _differing(moment: str, subject: object, declared: Iterable[tuple[str, Tensor]]) -> list[int]:
    """The processes that have left another digest for the same moment and subject, and the same names."""
    store = _store()
    if store is None:
        return []
    number = _counts[moment] = _counts.get(moment, 0) + 1
    digest, names = hashlib.blake2b(digest_size=16), []
    for name, tensor in declared:
        names.append(name)
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).cpu().numpy().tobytes())
    own = f"{hashlib.blake2b(repr((subject, names)).encode(), digest_size=16).hexdigest()} {digest.hexdigest()}"
    rank, key = distributed.get_rank(), f"netsurgery/{moment}/{number}"
    store.set(f"{key}/{rank}", own)
    others = [other for other in range(distributed.get_world_size()) if store.check([f"{key}/{other}"])]
    found = {other: store.get(f"{key}/{other}").decode() for other in others}
    return [other for other, theirs in found.items() if theirs != own and theirs.split()[0] == own.split()[0]]


def _store() -> Any:
    """Where processes leave words for each other; None if there is only this one."""
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return None
    return distributed.distributed_c10d._get_default_store()
