"""Types, comparisons and choices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.graph.value_types import ValueType
from netsurgery.runtime.kernels.kernel import Attributes, Kernel, Operands, cast


def _type(attributes: Attributes) -> np.dtype[Any]:
    return ValueType[attributes["type"].upper()].dtype


def _integers(_: Operands, attributes: Attributes) -> npt.NDArray[Any]:
    values = np.asarray(attributes["values"], np.int64).astype(_type(attributes))
    return np.broadcast_to(values.reshape(attributes["shape"] if values.size > 1 else ()), attributes["shape"])


def _is_infinite(operands: Operands, attributes: Attributes) -> npt.NDArray[Any]:
    x = operands[0]
    return np.asarray((np.isposinf(x) & attributes["positive"]) | (np.isneginf(x) & attributes["negative"]))


KERNELS: dict[str, Kernel] = {
    "Integers": _integers,
    "Cast": lambda operands, a: cast(operands[0], _type(a)),
    "Equal": lambda operands, _: np.equal(*operands),
    "NotEqual": lambda operands, _: np.not_equal(*operands),
    "Less": lambda operands, _: np.less(*operands),
    "LessOrEqual": lambda operands, _: np.less_equal(*operands),
    "Greater": lambda operands, _: np.greater(*operands),
    "GreaterOrEqual": lambda operands, _: np.greater_equal(*operands),
    "And": lambda operands, _: np.logical_and(*operands),
    "Or": lambda operands, _: np.logical_or(*operands),
    "Xor": lambda operands, _: np.logical_xor(*operands),
    "Not": lambda operands, _: np.logical_not(operands[0]),
    "IsNaN": lambda operands, _: np.isnan(operands[0]),
    "IsInf": _is_infinite,
    "Where": lambda operands, _: np.where(*operands),
}
