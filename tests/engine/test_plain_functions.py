"""The functions of one float are as near to the exact ones as they say, over all that a float32 can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.samples.case import Case

from netsurgery.graph.ir import node
from netsurgery.runtime.reference import KERNELS

BOUNDS: list[tuple[str, dict[str, Any], float]] = [
    ("Sigmoid", {}, 3),
    ("Silu", {}, 3.5),
    ("Tanh", {}, 6),
    ("Gelu", {"approximate": "none"}, 6),
    ("Gelu", {"approximate": "tanh"}, 3),
    ("HardSwish", {}, 3),
    ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}, 0.51),
    *((name, {}, 0.51) for name in ("Exp", "Log", "Erf", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh")),
    *((name, {}, 0.51) for name in ("Asinh", "Acosh", "Atanh", "Expm1", "Log1p", "Softplus", "Softsign", "Mish")),
    ("Elu", {"alpha": 1.5, "scale": 0.75, "input_scale": 0.5}, 0.51),
]
"""Operator, attributes, and by how many ulps at most a result is off; isa/functions.hpp says the same."""

NEGLIGIBLE = 1.1e-36
"""Results nearer to 0 may be off by as much."""

STEP = 4099
"""One in so many floats is looked at; a prime, so that mantissas of every kind are."""

named = pytest.mark.parametrize(("operator", "attributes", "ulps"), BOUNDS)


def exact(operator: str, attributes: dict[str, Any], x: Any) -> Any:
    """In float64, not rounded."""
    with np.errstate(all="ignore"):
        return KERNELS[operator]([x], node(operator, ["x"], "y", **attributes).attributes)


@named
def test_no_result_is_further_off_than_the_bound(operator: str, attributes: dict[str, Any], ulps: float) -> None:
    x = np.arange(0, 2**32, STEP, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([x, np.linspace(-20, 20, 100_001, dtype=np.float32)])
    got = Case(operator, (x.shape,), attributes).run([x])
    wanted = exact(operator, attributes, x)
    with np.errstate(all="ignore"):
        rounded = wanted.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(got[~finite], rounded[~finite])
    tiny = np.abs(rounded) < NEGLIGIBLE
    assert (np.abs(got[tiny] - wanted[tiny]) <= NEGLIGIBLE).all()
    finite &= ~tiny
    off = np.abs(got[finite] - wanted[finite]) / np.spacing(np.abs(rounded[finite]))
    assert off.max() <= ulps
    assert off.max() > ulps / 4, "the bound is far from what is reached: say a better one"


@named
def test_limits_are_those_of_the_function(operator: str, attributes: dict[str, Any], ulps: float) -> None:
    x = np.array([math.nan, math.inf, -math.inf, 0.0, -0.0, 3.4e38, -3.4e38, 1e-45, -1e-45], np.float32)
    with np.errstate(all="ignore"):
        wanted = exact(operator, attributes, x).astype(np.float32)
    np.testing.assert_array_equal(Case(operator, (x.shape,), attributes).run([x]), wanted)
