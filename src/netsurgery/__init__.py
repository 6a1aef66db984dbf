"""netsurgery makes a trained PyTorch network small without losing accuracy, and proves it.

torch is imported only when a name that needs it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from netsurgery import errors
from netsurgery.errors import MissingExtraError, NetsurgeryError

if TYPE_CHECKING:
    from netsurgery import zoo as zoo
    from netsurgery.attachment.operation import Operation as Operation
    from netsurgery.attachment.operation import attach as attach
    from netsurgery.compression.compress import compress as compress
    from netsurgery.compression.result import Compression as Compression
    from netsurgery.deployment.packing import PackReport as PackReport
    from netsurgery.deployment.packing import pack as pack
    from netsurgery.methods.keep_zeros import KeepZeros as KeepZeros
    from netsurgery.methods.magnitude import HanPruning as HanPruning
    from netsurgery.methods.magnitude import NaiveCut as NaiveCut
    from netsurgery.methods.quantization import INQ as INQ
    from netsurgery.methods.sketching import Sketching as Sketching
    from netsurgery.methods.surgery import Surgery as Surgery
    from netsurgery.methods.surgery import ThresholdSurgery as ThresholdSurgery
    from netsurgery.packed.format import Limits as Limits
    from netsurgery.plan import Plan as Plan
    from netsurgery.runtime.session import Session as Session
    from netsurgery.runtime.session import load as load
    from netsurgery.stage import Stage as Stage
    from netsurgery.train.fixed_activations import FixedActivations as FixedActivations
    from netsurgery.train.normalisation import recalibrate as recalibrate
    from netsurgery.train.restarts import Restarts as Restarts
    from netsurgery.train.steps import steps_of as steps_of
    from netsurgery.transforms.conversion import with_fastfood as with_fastfood
    from netsurgery.transforms.fastfood import Fastfood as Fastfood

__version__ = "0.1.0"

_HOME = {
    "attach": "netsurgery.attachment.operation",
    "Operation": "netsurgery.attachment.operation",
    "Plan": "netsurgery.plan",
    "Stage": "netsurgery.stage",
    "Surgery": "netsurgery.methods.surgery",
    "ThresholdSurgery": "netsurgery.methods.surgery",
    "NaiveCut": "netsurgery.methods.magnitude",
    "HanPruning": "netsurgery.methods.magnitude",
    "KeepZeros": "netsurgery.methods.keep_zeros",
    "INQ": "netsurgery.methods.quantization",
    "Restarts": "netsurgery.train.restarts",
    "FixedActivations": "netsurgery.train.fixed_activations",
    "recalibrate": "netsurgery.train.normalisation",
    "steps_of": "netsurgery.train.steps",
    "Sketching": "netsurgery.methods.sketching",
    "compress": "netsurgery.compression.compress",
    "Compression": "netsurgery.compression.result",
    "pack": "netsurgery.deployment.packing",
    "PackReport": "netsurgery.deployment.packing",
    "load": "netsurgery.runtime.session",
    "Session": "netsurgery.runtime.session",
    "Limits": "netsurgery.packed.format",
    "Fastfood": "netsurgery.transforms.fastfood",
    "with_fastfood": "netsurgery.transforms.conversion",
    "zoo": "netsurgery.zoo",
}
"""Public names and the module each lives in, or is; that module is imported when the name is first used."""

__all__ = ["MissingExtraError", "NetsurgeryError", "errors", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(_HOME[name])
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("netsurgery"):
            raise
        missing = error.name if importlib.util.find_spec("torch") else "torch"  # which is asked for after others
        raise MissingExtraError(
            f"netsurgery.{name} needs {missing}, which isn't installed: pip install 'netsurgery[torch]'"
        ) from error
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
