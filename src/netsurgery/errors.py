"""One exception for each cause that a user can act on.

Every message says what was given, what is allowed and what to do.
"""

from __future__ import annotations


class NetsurgeryError(Exception):
    """Any error that this library raises on purpose."""


class SettingError(NetsurgeryError, ValueError):
    """A setting lies outside its allowed range, or settings contradict each other."""


class PlanError(NetsurgeryError, ValueError):
    """A plan can't be read, or its stages contradict each other."""


class LayerNotFoundError(NetsurgeryError, LookupError):
    """A pattern of the plan matches no layer that can be operated on."""


class OptimizerError(NetsurgeryError, ValueError):
    """The optimizer doesn't move the weights that the plan operates on."""


class NonFiniteWeightsError(NetsurgeryError, ValueError):
    """Weights hold NaN or infinity, so that magnitudes mean nothing."""


class AttachmentError(NetsurgeryError, RuntimeError):
    """An operation is attached twice, or used after it was detached."""


class StateError(NetsurgeryError, ValueError):
    """A saved state doesn't fit the operation or the model that is to load it."""


class DataError(NetsurgeryError, ValueError):
    """A data or weights file is missing, damaged, or of another kind than expected."""


class MissingExtraError(NetsurgeryError, ImportError):
    """A part of the library needs an optional dependency that isn't installed."""


class UnfinishedWarning(UserWarning):
    """An operation was finished before its schedule had ended."""
