"""The types that values have: one table, from which files, engine, NumPy and ONNX know them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import InputError


class ValueType(Enum):
    """The type of a value's entries: `code` is its number in the file and in C, `dtype` NumPy's, `c_type` C's.

    A network computes in float32. Whole numbers are places and counts, and bools say which entries something is to
    happen to.
    """

    FLOAT32 = (0, np.float32, "float")
    INT32 = (1, np.int32, "int32_t")
    INT64 = (2, np.int64, "int64_t")
    BOOL = (3, np.bool_, "uint8_t")

    def __init__(self, code: int, scalar: type[np.generic], c_type: str) -> None:
        self.code = code
        self.dtype: np.dtype[Any] = np.dtype(scalar)
        self.c_type = c_type

    def __str__(self) -> str:
        return self.name.lower()

    def __repr__(self) -> str:
        return f"<ValueType.{self.name}>"

    @property
    def whole(self) -> bool:
        """True for whole numbers; a bool is none."""
        return self.dtype.kind == "i"


TYPE_OF_CODE = {one.code: one for one in ValueType}
ALL_TYPES = tuple(ValueType)
WHOLE = tuple(one for one in ValueType if one.whole)
NUMBERS = (ValueType.FLOAT32, *WHOLE)


def type_of(dtype: Any) -> ValueType | None:
    """The value type with entries of this NumPy type, if there is one."""
    return next((one for one in ValueType if one.dtype == dtype), None)


def without_torch(value: Any) -> Any:
    """A torch tensor without its gradient, on the processor, in a type that NumPy has; all else as it is."""
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return value
    value = value.detach().cpu()
    return value.float() if str(value.dtype) == "torch.bfloat16" else value


def beyond_float32(numbers: npt.NDArray[Any], rounded: npt.NDArray[Any]) -> Any:
    """The first finite number that became infinite as float32; None if there is none."""
    beyond = np.isinf(rounded) & np.isfinite(numbers)
    return numbers[beyond].flat[0] if beyond.any() else None


def refuse_masked(given: object, what: str) -> None:
    """Raise InputError for a masked array: what is masked are numbers to whoever looks at the data alone.

    what: whose it is, with a verb.
    """
    if type(given) is not np.ndarray and isinstance(given, np.ma.MaskedArray):
        raise InputError(
            f"{what} a masked array, and a network has no mask: give plain numbers, x.filled(0) with what is to stand "
            "for those that are masked, or x.data."
        )
