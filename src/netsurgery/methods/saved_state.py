"""What a saved state has to hold before anything of it is loaded: the errors say what was found instead."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from netsurgery.errors import StateError

_ADVICE = "Load the state of an operation on the same model with the same plan."


def check_keys(saved: object, expected: set[str], what: str, whose: str = "Operation", advice: str = _ADVICE) -> None:
    """Raise StateError unless `saved` is a mapping with exactly the expected keys. whose: the class that it is of."""
    if not isinstance(saved, Mapping):
        raise StateError(f"{what} is a {type(saved).__name__}. Load what {whose}.state_dict() returned.")
    missing, foreign = sorted(expected - set(saved)), sorted(map(str, set(saved) - expected))
    if missing or foreign:
        parts = [f"lacks {missing[:4]}"] * bool(missing) + [f"holds {foreign[:4]} that don't belong"] * bool(foreign)
        raise StateError(f"{what} {' and '.join(parts)}. {advice}")


def check_tensor(found: object, field: str, name: str | None, like: Tensor) -> None:
    """Raise StateError unless a field holds finite numbers of the shape and type of `like` for the parameter `name`."""
    if not isinstance(found, Tensor) or found.shape != like.shape or found.dtype != like.dtype:
        what = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else repr(found)
        raise misfit(what, field, f"{like.dtype} {tuple(like.shape)}", name)
    if found.is_floating_point() and not bool(found.isfinite().all()):
        raise misfit("NaN or infinity", field, "finite numbers", name)


def misfit(found: str, field: str, expected: str, name: str | None = None) -> StateError:
    """The error for a field that holds something else than it may. name: of the parameter or layer that it is of."""
    whose = f" for {name}" if name is not None else ""
    return StateError(f"The saved state holds {found} in {field!r}{whose}, expected {expected}. {_ADVICE}")
