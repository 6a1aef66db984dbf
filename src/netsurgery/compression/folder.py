"""What a search leaves in a folder: its state, the networks that hold the limit, and at the end the best one.

Each file is written under a temporary name and renamed, so that whatever ends the process leaves complete ones.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from netsurgery.attachment.digests import digest
from netsurgery.errors import DataError
from netsurgery.files import made_folder, remove_left_behind, write_verified
from netsurgery.train.checkpoint import Checkpoint

Weights = Mapping[str, Tensor]
STATE, CHECKPOINT = "state.json", "trial.checkpoint"
_RESULTS = ("best.pt", "best.nsm", "report.html")
_OWN = (*_RESULTS, "network-[0-9][0-9][0-9]*.pt", "network-[0-9][0-9][0-9]*.nsm")
"""What a search writes beside its state and checkpoint, and deletes of it what it doesn't need any more."""


@final
class SearchFolder:
    """A search's folder. path: it is made where it doesn't exist. identity: what search it is, as plain data.

    Raises DataError if the folder holds another search, or `resume` is False and it holds any, or files that are called
    like those of a search and aren't; OSError where nothing can be written.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        made_folder(path)
        self._identity = json.loads(json.dumps(identity))
        self.state: dict[str, Any] = {"identity": self._identity, "candidates": [], "probes": [], "elapsed_s": 0.0}
        if (path / STATE).exists():
            found = self._read()
            if not resume:
                raise DataError(
                    f"{path} holds a search already. Give resume=True (--resume) to go on with it, or another folder."
                )
            before = dict(found.get("identity", {}))
            if self._identity.get("pack_options") == {}:
                before.setdefault("pack_options", {})  # which an earlier version didn't write
            changed = sorted(key for key in {*self._identity, *before} if self._identity.get(key) != before.get(key))
            if changed:
                verb = "differs" if len(changed) == 1 else "differ"
                raise DataError(
                    f"{path} holds another search: its {', '.join(changed)} {verb}. Give another folder, or the "
                    "settings that it was begun with."
                )
            self.state = found
        begun = (path / STATE).exists()
        known = len(self.state["candidates"])
        own = {self.weights_path(number) for number in range(known + begun)}
        own |= {self.packed_path(number) for number in range(known + begun)}
        own |= {self.fixed_path(number) for number in range(known + begun)}
        _require_free(path, own | ({path / name for name in _RESULTS} if known else set()))
        remove_left_behind(path)
        self.save()
        self.checkpoint = Checkpoint(path / CHECKPOINT, json.dumps(self._identity, sort_keys=True))

    def save(self) -> None:
        """Write the state."""
        self._write(STATE, (json.dumps(self.state, indent=1) + "\n").encode())

    def weights_path(self, number: int) -> Path:
        """Where the weights of a candidate are."""
        return self.path / f"network-{number:03}.pt"

    def packed_path(self, number: int) -> Path:
        """Where the packed file of a candidate is."""
        return self.path / f"network-{number:03}.nsm"

    def fixed_path(self, number: int) -> Path:
        """Where the same with activations in fixed point is, as long as the two are compared."""
        return self.packed_path(number).with_suffix(".fixed.nsm")

    def write_weights(self, number: int, weights: Weights) -> None:
        """Write a candidate's state_dict, but for what in it is of kinds that torch.load(weights_only=True) refuses."""
        buffer = io.BytesIO()
        kept = {name: value for name, value in weights.items() if isinstance(value, Tensor) or _is_plain(value)}
        torch.save({name: _on_processor(value) for name, value in kept.items()}, buffer)
        self._write(self.weights_path(number).name, buffer.getvalue())

    def read_weights(self, number: int) -> dict[str, Tensor]:
        """The inverse of `write_weights`. Raises DataError."""
        path = self.weights_path(number)
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
            raise DataError(f"{path} can't be read: {error}. Give another folder to begin from the start.") from error
        return dict(found)

    def note_weights(self, weights: Weights) -> None:
        """Keep in mind, for the state, what weights a model may have that the search goes on with."""
        known = self.state.setdefault("weights", [])
        if (found := digest(sorted(weights.items()))) not in known:
            known.append(found)

    def require_known(self, weights: Weights) -> None:
        """Note the weights that a search begins with. Raises DataError for others than it has seen, when it goes on."""
        known = self.state.get("weights")  # None where an earlier version began the search
        if self.state["candidates"] and known is not None and digest(sorted(weights.items())) not in known:
            raise DataError(
                f"{self.path} holds a search for a model with other weights. Give the model that it was begun with, "
                "or, if it ended early, the one that it gave back; or another folder."
            )
        self.note_weights(weights)

    def keep_only(self, numbers: Iterable[int]) -> None:
        """Delete the networks of all other candidates."""
        kept = set(numbers)
        for number in range(len(self.state["candidates"])):
            self.fixed_path(number).unlink(missing_ok=True)  # of a process that was killed
            for path in (self.weights_path(number), self.packed_path(number)) if number not in kept else ():
                path.unlink(missing_ok=True)

    def remove_unless_begun(self) -> None:
        """Remove what a search wrote that ended before its reference was judged: there is nothing to go on with."""
        if not self.state["candidates"]:
            for path in (self.weights_path(0), self.packed_path(0), self.path / CHECKPOINT, self.path / STATE):
                path.unlink(missing_ok=True)

    def copy(self, source: Path, name: str) -> Path:
        """The file under another name, in this folder."""
        self._write(name, source.read_bytes())
        return self.path / name

    def _write(self, name: str, content: bytes) -> None:
        write_verified(self.path / name, content, lambda written: written.read_bytes() == content)

    def _read(self) -> dict[str, Any]:
        path = self.path / STATE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not isinstance(found.get("candidates"), list):
                raise ValueError("it is no search's state")
        except (OSError, ValueError) as error:
            raise DataError(f"{path} can't be read: {error}. Give another folder to begin from the start.") from error
        return found


def _on_processor(value: Any) -> Any:
    """A tensor, copied; anything else that a state_dict holds (`get_extra_state`), as it is."""
    return value.detach().cpu().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def _is_plain(value: Any) -> bool:
    """Whether torch.load(weights_only=True) reads it."""
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception:  # of whatever there is in a user's state
        return False
    return True


def _require_free(path: Path, own: Set[Path]) -> None:
    """Raise DataError where a search would overwrite files that no search has written. own: those that one has."""
    there = sorted(found.name for pattern in _OWN for found in path.glob(pattern) if found not in own)
    if there:
        raise DataError(
            f"{path} holds {', '.join(there[:3])}{' and more' * (len(there) > 3)}, which no search wrote there: it "
            "would overwrite them. Give another folder."
        )
