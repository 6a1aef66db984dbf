"""One paper, one file. ALL_METHODS is the one list of them; plan files name methods by its keys."""

from __future__ import annotations

from typing import Any

from netsurgery.methods.base import Method
from netsurgery.methods.keep_zeros import KeepZeros
from netsurgery.methods.magnitude import HanPruning, NaiveCut
from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.methods.surgery import Surgery, ThresholdSurgery

ALL_METHODS: dict[str, type[Method[Any]]] = {
    method.name: method for method in (Surgery, ThresholdSurgery, NaiveCut, HanPruning, KeepZeros, INQ, Sketching)
}
