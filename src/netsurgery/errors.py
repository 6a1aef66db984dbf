"""One exception for each cause that a user can act on.

Every message says what was given, what is allowed and what to do.

>>> try:
...     network = ns.load("missing.nsm")
... except ns.errors.PackedFileError as error:
...     print(error)
missing.nsm can't be read: No such file or directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NetsurgeryError(Exception):
    """Any error that this library raises on purpose.

    >>> try:
    ...     method = ns.Surgery(density=5)
    ... except ns.NetsurgeryError as error:
    ...     print(error)
    density=5 is not allowed: density must be a number in (0, 1]; ...
    """


class SettingError(NetsurgeryError, ValueError):
    """A setting lies outside its allowed range, or settings contradict each other."""


class PlanError(NetsurgeryError, ValueError):
    """A plan can't be read, or its stages contradict each other."""


class LayerNotFoundError(NetsurgeryError, LookupError):
    """A pattern of the plan matches no layer that can be operated on."""


class AdapterError(NetsurgeryError, ValueError):
    """A plan would operate on low-rank adapters (LoRA), which makes nothing small, without naming them."""


class OptimizerError(NetsurgeryError, ValueError):
    """The optimizer doesn't move the weights that the plan operates on, or moves them in a way that no method bears."""


class NonFiniteWeightsError(NetsurgeryError, ValueError):
    """Weights hold NaN or infinity, so that magnitudes mean nothing."""


class AttachmentError(NetsurgeryError, RuntimeError):
    """An operation is attached twice, or used after it was detached."""


class StateError(NetsurgeryError, ValueError):
    """A saved state doesn't fit the operation or the model that is to load it."""


class DataError(NetsurgeryError, ValueError):
    """A data or weights file is missing, damaged, or of another kind than expected."""


class MissingFolderError(NetsurgeryError, FileNotFoundError):
    """A file is to be written into a folder that doesn't exist. None is made: a typing error would leave one behind.

    >>> try:
    ...     report = ns.pack(model, "no such folder/network.nsm", example_inputs=images)
    ... except ns.errors.MissingFolderError as error:
    ...     print(error)
    no such folder/network.nsm can't be written: there is no folder ... Make it, or give another path.
    """


class MissingExtraError(NetsurgeryError, ImportError):
    """A part of the library needs an optional dependency that isn't installed.

    >>> try:
    ...     report = ns.pack(model, "network.nsm", example_inputs=images)
    ... except ns.MissingExtraError as error:  # where torch isn't installed
    ...     print(error)  # what to install: pip install 'netsurgery[torch]'
    """


class UnfinishedWarning(UserWarning):
    """An operation was finished before its schedule had ended."""


class StalledWarning(UserWarning):
    """One of several optimizers that are attached steps, and another doesn't: the operation waits for both."""


class EarlyCheckpointWarning(UserWarning):
    """What a trainer calls its best checkpoint was written before an operation had ended, and is denser."""


class TrainingModeWarning(UserWarning):
    """An operation was finished on weights that an optimizer trains with, not on the averages that it is to give."""


class DensityWarning(UserWarning):
    """A density is so low that a layer would lose its last paths; more connections than that are kept."""


class UnnamedLayerWarning(UserWarning):
    """A setting goes by the names of layers, and some layers that it is for aren't named in it."""


class StarvedLayerWarning(UserWarning):
    """A layer has ended with no connection, or with so few that it passes hardly anything on."""


class UnreachedLayerWarning(UserWarning):
    """A layer keeps connections of which the loss has felt none in all steps of an operation."""


class UnpackedWarning(UserWarning):
    """A search has begun with a network that can't be packed, and goes by connections alone."""


class LooseLimitWarning(UserWarning):
    """A search may lose a tenth of all examples, or more: perhaps its limit was meant in percent."""


class LabelWarning(UserWarning):
    """No training picture has the label 0: labels perhaps begin at 1."""


class CalibrationWarning(UserWarning):
    """A network in fixed point is far from the one in float32, or its calibration isn't like the inputs that it gets.

    >>> import warnings
    >>> with torch.no_grad():
    ...     for layer in (model.hidden, model.head):  # powers of two, as INQ leaves them
    ...         weight = layer.weight.copy_(torch.randint(2, layer.weight.shape) - 0.5)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", ns.errors.CalibrationWarning)
    ...     wrong = [images * 0]
    ...     report = ns.pack(model, "a.nsm", example_inputs=images, activations="fixed", calibration=wrong)
    >>> print(caught[0].message)
    Input 'input' is 0 throughout the calibration batches: no grid can be chosen by that. Give batches of the inputs ...
    """


class RanksDifferWarning(UserWarning):
    """Processes that train one model together have declared different sets of connections."""


class RevivedWarning(UserWarning):
    """Connections that were pruned for good hold values again, or may come back: nothing holds them any more."""


class CaptureError(NetsurgeryError, ValueError):
    """A model can't be captured as a graph: it doesn't export, or its shapes aren't fixed."""


@dataclass(frozen=True)
class Problem:
    """A node of a model that can't be read.

    operator: as the model calls it. reason: what is wrong, a phrase that goes on behind the operator's name. where: the
    node or the module. absent: netsurgery doesn't have the operator at all; else it is this use that it doesn't have.
    """

    operator: str
    reason: str
    where: str
    absent: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.operator} {self.reason}"


class UnsupportedOperatorError(CaptureError):
    """A model holds operators, or uses of them, that netsurgery doesn't have.

    The message is short. missing: every node that can't be read, in the model's order; empty where an error is about
    one thing alone. `netsurgery pack --explain` prints them.
    """

    def __init__(self, message: str, missing: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)

    @property
    def explanation(self) -> str:
        """The message, and a line for each node that can't be read."""
        return "\n".join([str(self), *(f"  {problem}" for problem in self.missing)])


class GraphError(NetsurgeryError, ValueError):
    """A graph contradicts itself: an unknown value, a wrong shape, an attribute out of its range."""


class TooSmallError(GraphError):
    """A value has fewer entries along an axis than an operator takes: more of them would do."""


class VerificationError(NetsurgeryError, RuntimeError):
    """What was written doesn't compute what the source model computes."""


class InputError(NetsurgeryError, ValueError):
    """An array given to a session has another shape, type or count than the network takes."""


class PackedFileError(NetsurgeryError, ValueError):
    """An .nsm file is damaged, truncated, or not an .nsm file at all."""


class FileVersionError(PackedFileError):
    """An .nsm file has a version that this release can't read."""


class FileLimitError(PackedFileError):
    """An .nsm file asks for more memory or time than its reader grants."""
