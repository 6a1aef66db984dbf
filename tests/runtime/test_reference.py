"""Each operator's kernel computes what torch computes, within bounds derived from how often each side rounds."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.samples.table import cases
from torch import Tensor
from torch.nn import functional as F

from netsurgery.graph.ir import Array, node
from netsurgery.graph.operators import OPERATORS
from netsurgery.runtime.reference import KERNELS, run_node

UNIT = 2.0**-24
"""Half the distance from 1 to the next float32: what one rounding may be off by, relatively."""

MAGNITUDES = np.array([0.0, 1e-40, 1e-3, 0.5, 1.0, 3.0, 6.0, 87.5, 110.0, 3e38, math.inf, math.nan], np.float32)
SPECIAL = np.concatenate([MAGNITUDES, -MAGNITUDES])
"""Both zeros, subnormal and huge numbers, both infinities and NaN."""


def evaluate(operator: str, operands: Sequence[Array | None], **attributes: Any) -> Array:
    return run_node(node(operator, ["x"] * len(operands), "y", **attributes), operands)


@dataclass(frozen=True)
class Case:
    """An operator at work on random operands of these shapes, and the same in torch."""

    operator: str
    shapes: tuple[tuple[int, ...], ...]
    torch: Callable[..., Tensor]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        settings = ",".join(f"{name}={value}" for name, value in self.attributes.items())
        return f"{self.operator}-{self.shapes}-{settings}".replace(" ", "")

    def operands(self) -> list[Array]:
        random = np.random.default_rng(zlib.crc32(str(self).encode()))
        return [random.standard_normal(shape).astype(np.float32) for shape in self.shapes]


def case(operator: str, *shapes: tuple[int, ...], torch: Callable[..., Tensor], **attributes: Any) -> Case:
    return Case(operator, shapes, torch, attributes)


def tensors(arrays: Sequence[Array], dtype: torch.dtype) -> list[Tensor]:
    return [torch.from_numpy(array).to(dtype) for array in arrays]


def named(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=str)


# Products, summed in float32.


def convolved(spatial: int, *, strides: Any = 1, pads: Any = (), dilations: Any = 1, groups: int = 1) -> Any:
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[spatial]

    def compute(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        sides = F.pad(x, torch_pads(pads or (0,) * 2 * spatial))
        return function(sides, weight, bias, stride=strides, dilation=dilations, groups=groups)

    return compute


def torch_pads(pads: Sequence[int]) -> list[int]:
    """All begins, then all ends -> begin and end of the last axis, of the one before it, and so on."""
    axes = len(pads) // 2
    return [pads[side] for axis in reversed(range(axes)) for side in (axis, axes + axis)]


def conv(x: tuple[int, ...], weight: tuple[int, ...], *bias: tuple[int, ...], **attributes: Any) -> Case:
    return case("Conv", x, weight, *bias, torch=convolved(len(x) - 2, **attributes), **attributes)


SUMMED = [
    conv((1, 1, 28, 28), (20, 1, 5, 5), (20,)),
    conv((3, 4, 7, 9), (6, 4, 3, 3), (6,), pads=(1, 1, 1, 1)),
    conv((3, 4, 8, 9), (6, 4, 3, 2), strides=(2, 3), pads=(1, 0, 2, 3)),
    conv((1, 6, 9, 8), (6, 1, 3, 3), (6,), groups=6, pads=(1, 1, 1, 1)),
    conv((2, 6, 9, 8), (12, 1, 3, 3), groups=6, strides=(2, 2)),
    conv((3, 6, 9, 11), (9, 2, 3, 3), (9,), groups=3, dilations=(2, 3), pads=(2, 3, 0, 4)),
    conv((1, 3, 1, 1), (4, 3, 1, 1), (4,)),
    conv((3, 5, 1, 7), (1, 5, 1, 7)),
    conv((3, 5, 6, 6), (4, 5, 1, 1), strides=(3, 2)),
    conv((3, 4, 11), (6, 2, 3), (6,), groups=2, strides=(2,), pads=(3, 0), dilations=(2,)),
    conv((1, 1, 1), (1, 1, 1)),
    conv((2, 4, 5, 6, 7), (4, 2, 3, 2, 3), (4,), groups=2, strides=(1, 2, 2), pads=(1, 0, 2, 0, 1, 1)),
    case("Linear", (3, 7), (5, 7), (5,), torch=F.linear),
    case("Linear", (7,), (5, 7), torch=F.linear),
    case("Linear", (1, 2, 3, 784), (1, 784), (1,), torch=F.linear),
    case("MatMul", (3, 4), (4, 5), torch=torch.matmul),
    case("MatMul", (4,), (4,), torch=torch.matmul),
    case("MatMul", (4,), (2, 4, 3), torch=torch.matmul),
    case("MatMul", (2, 1, 3, 4), (5, 4, 1), torch=torch.matmul),
    case("MatMul", (2, 3, 4), (4,), torch=torch.matmul),
]


@named(SUMMED)
def test_sums_of_products_are_as_near_to_the_exact_ones_as_their_length_allows(case: Case) -> None:
    """n roundings are off by at most n * UNIT / (1 - n * UNIT) times the sum of magnitudes (Higham 2002, section 3.1).

    A sum of n terms with a bias rounds at most n + 2 times on its way.
    """
    operands = case.operands()
    exact = case.torch(*tensors(operands, torch.float64)).numpy()
    magnitudes = case.torch(*tensors([np.abs(operand) for operand in operands], torch.float64)).numpy()
    terms = math.prod(case.shapes[1][1:]) if case.operator in ("Conv", "Linear") else case.shapes[0][-1]
    bound = (terms + 2) * UNIT / (1 - (terms + 2) * UNIT)

    got = evaluate(case.operator, operands, **case.attributes)

    assert got.shape == exact.shape
    assert (np.abs(got - exact) <= bound * magnitudes).all()


@named([one for one in SUMMED if one.operator == "Conv"])
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_an_odd_value_reaches_just_the_windows_that_see_it(case: Case, odd: float) -> None:
    operands = case.operands()
    operands[0].reshape(-1)[operands[0].size // 2] = odd
    expected = case.torch(*tensors(operands, torch.float32)).numpy()
    got = evaluate(case.operator, operands, **case.attributes)
    for is_such in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(is_such(got), is_such(expected))


# What only selects, moves or rounds once is exact, bit by bit but for the sign of zero.


def max_pooled(spatial: int, kernel: Any, strides: Any = 1, pads: Any = (), dilations: Any = 1, **ceil: bool) -> Any:
    function = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[spatial]

    def compute(x: Tensor) -> Tensor:
        if not pads or pads[:spatial] == pads[spatial:]:
            return function(x, kernel, strides, pads[:spatial] if pads else 0, dilations, **ceil)
        return function(F.pad(x, torch_pads(pads), value=-math.inf), kernel, strides, 0, dilations, **ceil)

    return compute


def max_pool(x: tuple[int, ...], **attributes: Any) -> Case:
    return case("MaxPool", x, torch=max_pooled(len(x) - 2, **attributes), **attributes)


MAX_POOLS = [
    max_pool((1, 2, 6, 6), kernel=(2, 2), strides=(2, 2)),
    max_pool((3, 2, 7, 9), kernel=(3, 2), strides=(2, 3), pads=(1, 1, 1, 1)),
    max_pool((3, 2, 7, 9), kernel=(3, 3), strides=(2, 2), pads=(1, 0, 2, 1)),
    max_pool((1, 2, 7, 9), kernel=(2, 3), strides=(2, 2), ceil_mode=True),
    max_pool((1, 2, 8, 10), kernel=(3, 3), strides=(3, 4), pads=(1, 1, 1, 1), ceil_mode=True),
    max_pool((2, 3, 9, 10), kernel=(3, 2), dilations=(2, 3), pads=(1, 1, 1, 1)),
    max_pool((2, 3, 10, 10), kernel=(3, 3), strides=(2, 3), dilations=(2, 2), ceil_mode=True),
    max_pool((2, 3, 1, 1), kernel=(1, 1)),
    max_pool((2, 3, 9), kernel=(4,), strides=(3,), pads=(2, 2), ceil_mode=True),
    max_pool((2, 3, 5, 6, 7), kernel=(2, 3, 3), strides=(2, 1, 3), pads=(1, 1, 0, 1, 1, 0), ceil_mode=True),
]


def resized(size: Sequence[int]) -> Callable[[Tensor], Tensor]:
    return lambda x: F.interpolate(x, tuple(size), mode="nearest")


def joined(axis: int) -> Callable[..., Tensor]:
    return lambda *parts: torch.cat(parts, axis)


EXACT = [
    *MAX_POOLS,
    case("AdaptiveMaxPool", (2, 3, 7, 9), torch=lambda x: F.adaptive_max_pool2d(x, (3, 4)), size=(3, 4)),
    case("AdaptiveMaxPool", (1, 3, 5), torch=lambda x: F.adaptive_max_pool1d(x, 8), size=(8,)),
    case("AdaptiveMaxPool", (1, 2, 5, 1, 3), torch=lambda x: F.adaptive_max_pool3d(x, (2, 1, 3)), size=(2, 1, 3)),
    case("Relu", (3, 7), torch=F.relu),
    case("Relu", (), torch=F.relu),
    case("Clip", (3, 7), torch=F.relu6, minimum=0.0, maximum=6.0),
    case("Clip", (3, 7), torch=lambda x: torch.clamp(x, max=0.5), maximum=0.5),
    case("Clip", (3, 7), torch=lambda x: torch.clamp(x, 1.0, -1.0), minimum=1.0, maximum=-1.0),
    case("LeakyRelu", (3, 7), torch=F.leaky_relu),
    case("LeakyRelu", (3, 7), torch=lambda x: F.leaky_relu(x, -2.5), alpha=-2.5),
    case("Add", (3, 4, 1), (5,), torch=torch.add),
    case("Sub", (5,), (3, 4, 1), torch=torch.sub),
    case("Mul", (1, 4, 5), (3, 1, 5), torch=torch.mul),
    case("Div", (2, 3), (), torch=torch.div),
    case("Concat", (2, 3, 4), (2, 1, 4), (2, 5, 4), torch=joined(1), axis=1),
    case("Concat", (2,), torch=joined(0), axis=0),
    case("Reshape", (2, 3, 4), torch=lambda x: x.reshape(4, 6), shape=(4, 6)),
    case("Reshape", (2, 3, 4), torch=lambda x: x.reshape(-1, 12), shape=(-1, 12)),
    case("Reshape", (1, 1), torch=lambda x: x.reshape(()), shape=()),
    case("Transpose", (2, 3, 4), torch=lambda x: x.permute(2, 0, 1), order=(2, 0, 1)),
    case("Transpose", (), torch=lambda x: x, order=()),
    case("Pad", (2, 3), torch=lambda x: F.pad(x, (2, 0, 1, 3), value=-7.5), pads=(1, 2, 3, 0), value=-7.5),
    case("Pad", (2, 5), torch=lambda x: F.pad(x, (-1, 2, 0, -1)), pads=(0, -1, -1, 2)),
    case("Pad", (2, 3), torch=lambda x: x, pads=()),
    case("Pad", (), torch=lambda x: x, pads=()),
    case("Pad", (), torch=lambda x: x, pads=(), mode="edge"),
    *(
        case("Pad", (2, 3, 4, 5), torch=lambda x, mode=mode: F.pad(x, (2, 1, 0, 3), mode=mode[1]),
             pads=(0, 0, 0, 2, 0, 0, 3, 1), mode=mode[0])
        for mode in (("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular"))
    ),
    case("Pad", (1, 3, 6), torch=lambda x: F.pad(x[..., 2:], (0, 3), mode="reflect"), pads=(0, 0, -2, 0, 0, 3),
         mode="reflect"),
    case("Slice", (2, 7), torch=lambda x: x[:, 1:6:2], axis=1, start=1, stop=6, step=2),
    case("Slice", (2, 7, 3), torch=lambda x: x[:1], axis=0, stop=1),
    case("Range", (2, 3), torch=lambda x: x[..., None] + torch.arange(5) * 0.5, count=5, scale=0.5),
    case("Range", (), torch=lambda x: x + torch.arange(7), count=7),
    case("Expand", (3, 1), torch=lambda x: x.expand(2, 3, 4), shape=(2, 1, 4)),
    case("Expand", (), torch=lambda x: x.expand(2, 3), shape=(2, 3)),
    case("Tile", (2, 3), torch=lambda x: x.repeat(2, 3), repeats=(2, 3)),
    case("Trilu", (2, 4, 5), torch=lambda x: x.tril(1), diagonal=1),
    case("Trilu", (5, 3), torch=lambda x: x.triu(-2), upper=True, diagonal=-2),
    case("Reverse", (2, 4, 5), torch=lambda x: x.flip(0, 2), axes=(0, 2)),
    case("Resize", (2, 3, 4, 5), torch=resized((8, 15)), size=(8, 15)),
    case("Resize", (2, 3, 8, 6), torch=resized((4, 2)), size=(4, 2)),
    case("Resize", (1, 3, 5), torch=resized((7,)), size=(7,)),
    case("Resize", (1, 1, 2, 3, 4), torch=resized((4, 3, 2)), size=(4, 3, 2)),
    case("DepthToSpace", (2, 12, 3, 5), torch=lambda x: F.pixel_shuffle(x, 2), blocks=(2, 2)),
    case("SpaceToDepth", (2, 3, 4, 6), torch=lambda x: F.pixel_unshuffle(x, 2), blocks=(2, 2)),
]  # fmt: skip


@named(EXACT)
def test_what_selects_moves_or_rounds_once_is_exactly_as_in_torch(case: Case) -> None:
    operands = case.operands()
    expected = case.torch(*tensors(operands, torch.float32)).numpy()
    got = evaluate(case.operator, operands, **case.attributes)
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


@named(MAX_POOLS)
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_maximum_over_an_odd_value_is_that_of_torch(case: Case, odd: float) -> None:
    (x,) = case.operands()
    x[:, 0] = odd
    x.reshape(-1)[-1] = odd
    expected = case.torch(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(evaluate("MaxPool", [x], **case.attributes), expected)


@pytest.mark.parametrize("operator", ["Relu", "Clip", "LeakyRelu", "Add", "Sub", "Mul", "Div"])
def test_special_values_go_through_exact_operators_as_in_torch(operator: str) -> None:
    functions: dict[str, Any] = {
        "Relu": F.relu,
        "Clip": lambda x: torch.clamp(x, -1.0, 6.0),
        "LeakyRelu": F.leaky_relu,
        **{name: getattr(torch, name.lower()) for name in ("Add", "Sub", "Mul", "Div")},
    }
    settings = {"minimum": -1.0, "maximum": 6.0} if operator == "Clip" else {}
    operands = [SPECIAL, SPECIAL[:, None]][: len(OPERATORS[operator].operands)]
    expected = functions[operator](*tensors(operands, torch.float32)).numpy()
    np.testing.assert_array_equal(evaluate(operator, operands, **settings), expected)


# What is computed in float64 and rounded once, at the end.


def average_pooled(
    spatial: int,
    kernel: Any,
    strides: Any = 1,
    pads: Any = (),
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Any:
    function = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[spatial]

    def compute(x: Tensor) -> Tensor:
        if not pads or pads[:spatial] == pads[spatial:]:
            return function(x, kernel, strides, pads[:spatial] if pads else 0, ceil_mode, count_include_pad)
        sums, shares = (function(F.pad(one, torch_pads(pads)), kernel, strides, 0, ceil_mode)
                        for one in (x, torch.ones_like(x)))  # fmt: skip
        return sums if count_include_pad else sums / shares

    return compute


def average_pool(x: tuple[int, ...], **attributes: Any) -> Case:
    return case("AveragePool", x, torch=average_pooled(len(x) - 2, **attributes), **attributes)


def lrn_by_definition(size: int, alpha: float, beta: float, bias: float) -> Callable[[Tensor], Tensor]:
    """The equation of ONNX's LRN, channel by channel."""

    def compute(x: Tensor) -> Tensor:
        result = torch.empty_like(x)
        for c in range(x.shape[1]):
            first = max(0, c - math.floor((size - 1) / 2))
            last = min(x.shape[1] - 1, c + math.ceil((size - 1) / 2))
            total = sum(x[:, i] ** 2 for i in range(first, last + 1))
            result[:, c] = x[:, c] / (bias + alpha / size * total) ** beta
        return result

    return compute


AVERAGE_POOLS = [
    average_pool(x, pads=pads, ceil_mode=ceil_mode, count_include_pad=count_include_pad, **windows)
    for x, windows, pads in [
        ((1, 2, 6, 6), {"kernel": (2, 2), "strides": (2, 2)}, ()),
        ((3, 2, 8, 10), {"kernel": (3, 3), "strides": (3, 4)}, (1, 1, 1, 1)),
        ((1, 1, 8, 9), {"kernel": (4, 2), "strides": (3, 3)}, (2, 1, 2, 1)),
        ((3, 2, 8, 10), {"kernel": (3, 3), "strides": (2, 2)}, (0, 1, 1, 2)),
        ((1, 2, 1, 1), {"kernel": (1, 1)}, ()),
        ((2, 3, 10), {"kernel": (4,), "strides": (3,)}, (1, 1)),
        ((1, 2, 5, 6, 7), {"kernel": (2, 3, 2), "strides": (2, 2, 3)}, (1, 1, 0, 1, 1, 0)),
    ]
    for ceil_mode in (False, True)
    for count_include_pad in (False, True)
]

ALPHA, BETA = float(np.float32(2e-1)), float(np.float32(0.75))

ROUNDED = [
    *AVERAGE_POOLS,
    case("AdaptiveAveragePool", (2, 3, 7, 9), torch=lambda x: F.adaptive_avg_pool2d(x, (3, 4)), size=(3, 4)),
    case("AdaptiveAveragePool", (2, 3, 7, 7), torch=lambda x: F.adaptive_avg_pool2d(x, 1), size=(1, 1)),
    case("AdaptiveAveragePool", (1, 3, 5), torch=lambda x: F.adaptive_avg_pool1d(x, 8), size=(8,)),
    case("AdaptiveAveragePool", (1, 2, 5, 1, 3), torch=lambda x: F.adaptive_avg_pool3d(x, (2, 1, 3)), size=(2, 1, 3)),
    case("Sigmoid", (3, 7), torch=torch.sigmoid),
    case("HardSigmoid", (3, 7), torch=lambda x: torch.clamp(0.25 * x + 0.75, 0, 1), alpha=0.25, beta=0.75),
    case("HardSwish", (3, 7), torch=F.hardswish),
    case("Silu", (3, 7), torch=F.silu),
    case("Gelu", (3, 7), torch=F.gelu),
    case("Gelu", (3, 7), torch=lambda x: F.gelu(x, approximate="tanh"), approximate="tanh"),
    case("Tanh", (), torch=torch.tanh),
    case("Softmax", (3, 7), torch=lambda x: F.softmax(x, 1), axis=1),
    case("Softmax", (2, 3, 1, 5), torch=lambda x: F.softmax(x, 2), axis=2),
    case("LogSoftmax", (3, 7, 2), torch=lambda x: F.log_softmax(x, 0), axis=0),
    case("LogSoftmax", (3, 7), torch=lambda x: F.log_softmax(x, 1), axis=1),
    case("Mean", (2, 3, 4), torch=lambda x: x.mean((2, 0)), axes=(2, 0), keepdims=False),
    case("Mean", (2, 3, 4), torch=lambda x: x.mean((1,), keepdim=True), axes=(1,)),
    case("Mean", (7,), torch=lambda x: x.mean(), axes=(0,), keepdims=False),
    *(
        case("Lrn", x, torch=lambda x, size=size: F.local_response_norm(x, size, ALPHA, BETA, 2.0),
             size=size, alpha=ALPHA, beta=BETA, bias=2.0)
        for x in ((1, 7, 3, 5), (3, 2, 4))
        for size in (1, 3, 5, 19)
    ),
    *(
        case("Lrn", x, torch=lrn_by_definition(size, ALPHA, BETA, 2.0), size=size, alpha=ALPHA, beta=BETA, bias=2.0)
        for x in ((1, 7, 3, 5), (3, 2))
        for size in (2, 4, 5, 18)
    ),
    case("LayerNorm", (2, 3, 8), (8,), (8,), axis=2, epsilon=2.0**-10,
         torch=lambda x, scale, bias: F.layer_norm(x, (8,), scale, bias, 2.0**-10)),
    case("LayerNorm", (2, 3, 8), torch=lambda x: F.layer_norm(x, (3, 8), eps=2.0**-10), axis=1, epsilon=2.0**-10),
    case("LayerNorm", (2, 8), (8,), axis=1, epsilon=2.0**-10,
         torch=lambda x, scale: F.layer_norm(x, (8,), scale, eps=2.0**-10)),
]  # fmt: skip


def assert_rounded_once(got: Array, exact: Any, slack: float, relative_slack: float = 0.0) -> None:
    """One rounding is off by half a unit in the last place: UNIT relatively, 2^-150 where numbers are subnormal."""
    assert got.shape == exact.shape
    normal = np.isfinite(exact) & (np.abs(exact) <= np.finfo(np.float32).max)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got[~normal], exact[~normal].astype(np.float32))
    off = np.abs(got[normal].astype(np.float64) - exact[normal])
    assert (off <= (UNIT + relative_slack) * np.abs(exact[normal]) + 2.0**-150 + slack).all()


@named(ROUNDED)
def test_what_rounds_once_is_off_by_half_a_unit_in_the_last_place(case: Case) -> None:
    """The slack is what both sides may lose in float64: 64 roundings of numbers of the operands' size."""
    operands = case.operands()
    exact = case.torch(*tensors(operands, torch.float64)).numpy()
    largest = max(1.0, *(float(np.abs(operand).max()) for operand in operands))
    assert_rounded_once(evaluate(case.operator, operands, **case.attributes), exact, 64 * 2.0**-53 * largest)


FUNCTIONS: list[tuple[str, dict[str, Any], Callable[[Tensor], Tensor]]] = [
    ("Sigmoid", {}, torch.sigmoid),
    ("HardSigmoid", {"alpha": 0.25, "beta": 0.75}, lambda x: torch.clamp(0.25 * x + 0.75, 0, 1)),
    ("HardSwish", {}, F.hardswish),
    ("Silu", {}, F.silu),
    ("Gelu", {}, lambda x: x * torch.special.log_ndtr(x).exp()),
    ("Gelu", {"approximate": "tanh"}, lambda x: x * torch.sigmoid(x * (1 + 0.044715 * x**2) * math.sqrt(8 / math.pi))),
    ("Tanh", {}, torch.tanh),
]


@pytest.mark.parametrize(("operator", "attributes", "function"), FUNCTIONS)
def test_functions_are_right_from_tail_to_tail(
    operator: str, attributes: dict[str, Any], function: Callable[[Tensor], Tensor]
) -> None:
    """Only relative slack here: the argument of exp reaches 150, so that its rounding is magnified as much."""
    x = np.concatenate([np.linspace(-14, 14, 1401, dtype=np.float32), SPECIAL, 2.0 ** np.arange(-126, 5, dtype="f")])
    exact = function(torch.from_numpy(x).double()).numpy()
    assert_rounded_once(evaluate(operator, [x], **attributes), exact, 0.0, relative_slack=1024 * 2.0**-53)


@pytest.mark.parametrize(("operator", "function"), [("Softmax", F.softmax), ("LogSoftmax", F.log_softmax)])
def test_softmax_of_huge_infinite_and_missing_values_is_that_of_torch(operator: str, function: Any) -> None:
    x = np.array([[3e38, -3e38, 0], [-1e3, -1e3, -1e3], [math.inf, 1, 2], [-math.inf, 1, 2], [math.nan, 1, 2]], "f")
    x = np.concatenate([x, np.full((1, 3), -math.inf, "f"), np.array([[0, -90.0, -104.0]], "f")])
    exact = function(torch.from_numpy(x).double(), 1).numpy()
    assert_rounded_once(evaluate(operator, [x], axis=1), exact, 2.0**-44)


@named(AVERAGE_POOLS)
@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_mean_over_an_odd_value_is_odd(case: Case, odd: float) -> None:
    (x,) = case.operands()
    x.reshape(-1)[-1] = odd
    exact = case.torch(torch.from_numpy(x).double()).numpy()
    assert_rounded_once(evaluate("AveragePool", [x], **case.attributes), exact, 64 * 2.0**-53 * 4)


def test_a_dilated_mean_skips_what_lies_between() -> None:
    x = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 7)
    means = evaluate("AveragePool", [x], kernel=(3,), dilations=(2,), pads=(2, 0))
    np.testing.assert_array_equal(means, [[[2, 3, 3, 4, 5]]])  # of 1, 3; 2, 4; 1, 3, 5; 2, 4, 6; 3, 5, 7


def test_a_mean_of_many_numbers_loses_nothing() -> None:
    """In float32, 2^24 + 1 is 2^24: a sum from left to right would stand still."""
    x = np.array([2.0**24, *[1.0] * 1023], np.float32)
    assert evaluate("Mean", [x], axes=(0,), keepdims=False) == np.float32((2**24 + 1023) / 1024)


# The table, the shape rules and the kernels agree.


def test_every_operator_has_a_kernel_and_every_kernel_an_operator() -> None:
    assert set(KERNELS) == set(OPERATORS)


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_kernel_gives_the_shape_and_the_type_of_the_tables_rules(operator: str, data: st.DataObject) -> None:
    drawn = data.draw(cases(operator))
    made = node(operator, [None if shape is None else "x" for shape in drawn.shapes], "y", **drawn.attributes)
    result = run_node(made, drawn.operands(np.random.default_rng(0)))
    types = [drawn.kind(place) for place in range(len(drawn.shapes))]
    table = OPERATORS[operator]
    shape = table.shape(drawn.shapes, made.attributes)
    assert (result.shape, result.dtype) == (shape, table.type(types, made.attributes).dtype)
    assert result.flags.c_contiguous
