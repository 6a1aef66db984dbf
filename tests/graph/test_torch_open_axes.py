"""What torch computes over axes whose sizes are open: resizing, norms, ranks, windows, and numbers made of sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.graph.torch_agreement import EachOf, Of, agrees, pictures
from torch import Tensor, nn

AXES = {0: "batch", 2: "height", 3: "width"}
SIZES = ((2, 4, 17, 24), (1, 4, 8, 9), (1, 4, 5, 30))


class Pyramid(nn.Module):
    """Two scales, the smaller one resized to the other's size, and that to the picture's."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings
        self.first, self.second = nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        joined = F.interpolate(self.second(first), size=first.shape[-2:], **self.settings) + first
        return F.interpolate(joined, size=x.shape[-2:], **self.settings)


def written(place: Any, value: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """x[place] = value."""

    def function(x: Tensor) -> Tensor:
        x = x.clone()
        x[place] = value(x)
        return x

    return function


RESIZES: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest"},
    "exact nearest": {"mode": "nearest-exact"},
    "linear": {"mode": "bilinear"},
    "linear, corners aligned": {"mode": "bilinear", "align_corners": True},
    "cubic": {"mode": "bicubic"},
    "cubic, corners aligned": {"mode": "bicubic", "align_corners": True},
    "linear, smoothed": {"mode": "bilinear", "antialias": True},
    "area": {"mode": "area"},
}


@pytest.mark.parametrize("name", RESIZES)
def test_a_pyramid_resizes_to_the_sizes_of_other_values(name: str) -> None:
    agrees(Pyramid(**RESIZES[name]), AXES, pictures(*SIZES), in_onnx=name != "area")


@pytest.mark.parametrize("name", ["nearest", "linear", "linear, corners aligned", "cubic"])
def test_a_few_means_of_a_picture_are_resized_to_its_size(name: str) -> None:
    def pooled(x: Tensor) -> Tensor:
        parts = [F.interpolate(F.adaptive_avg_pool2d(x, n), size=x.shape[-2:], **RESIZES[name]) for n in (1, 3)]
        return torch.cat([x, *parts], 1)

    odd = (1, 4, 123, 9)  # where torch rounds to another neighbour than a quotient has
    agrees(Of(pooled), AXES, pictures(*SIZES, odd), in_onnx=False)


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
def test_windows_of_any_picture_are_a_few_whether_it_has_more_or_fewer_entries(pool: Any) -> None:
    functions = {str(size): lambda x, size=size: pool(x, (size, 8 - size)) for size in range(1, 8)}
    given = pictures(*SIZES, (1, 4, 2, 3), (2, 4, 1, 1), (1, 4, 6, 35), (1, 4, 61, 7))
    agrees(EachOf(functions, given[0]), AXES, given, in_onnx=False)


def test_a_picture_is_resized_to_multiples_that_a_quotient_is_rounded_to() -> None:
    def resized(x: Tensor) -> Tensor:
        height, width = math.ceil(x.shape[2] / 7) * 7, math.floor(x.shape[3] / 3) * 3
        x = F.interpolate(x, size=(height, width), mode="bilinear")
        return x.reshape(x.shape[0], -1, 7, width // 3, 3).transpose(2, 3)

    agrees(Of(resized), AXES, pictures(*SIZES, (1, 4, 14, 3), (2, 4, 15, 5), (1, 4, 49, 147)))


@pytest.mark.parametrize("name", ["nearest", "exact nearest", "linear", "cubic"])
def test_a_picture_of_any_size_is_resized_to_a_fixed_one(name: str) -> None:
    agrees(Of(lambda x: F.interpolate(x, size=(7, 5), **RESIZES[name])), AXES, pictures(*SIZES, (1, 4, 62, 9)))


@pytest.mark.parametrize("times", [3.0, 1.5])
def test_a_sequence_of_any_length_grows_by_a_factor(times: float) -> None:
    def grown(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=times) + F.interpolate(x, scale_factor=times, mode="linear")

    agrees(Of(grown), {0: "batch", 2: "time"}, pictures((2, 3, 17), (1, 3, 40), (1, 3, 1)))


FUNCTIONS: dict[str, Callable[[Tensor], Any]] = {
    "group norm": nn.GroupNorm(2, 4),
    "instance norm": nn.InstanceNorm2d(4, affine=True),
    "instance norm by running statistics": nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
    "deviation": lambda x: x.std((2, 3)),
    "variance of all": lambda x: x.var((1, 2, 3), keepdim=True),
    "variance and mean": lambda x: torch.var_mean(x, (2, 3)),
    "deviation and mean": lambda x: torch.std_mean(x, (2,), correction=0),
    "rolled": lambda x: torch.roll(x, (2, -3), (2, 3)),
    "rolled by half": lambda x: torch.roll(x, (x.shape[2] // 2, x.shape[3] // 2), (2, 3)),
    "rolled in a row": lambda x: torch.roll(x, 5),
    "sorted": lambda x: torch.sort(x, dim=3, descending=True),
    "ranks": lambda x: x.argsort(-1).argsort(-1),
    "median": lambda x: x.median(-1)[0],
    "second": lambda x: x.kthvalue(2, -1),
    "quantile": lambda x: torch.quantile(x, 0.3, dim=-1),
    "half of the largest": lambda x: x.topk(x.shape[3] // 2, dim=-1),
    "windows": lambda x: x.unfold(2, 4, 2).unfold(3, 3, 3),
    "every other one": written((..., slice(None, None, 2)), lambda x: x[..., ::2] * 2),
    "every third one from the second to the last": written((..., slice(1, -1, 3)), lambda _: 3.0),
    "counted": lambda x: x.sum((2, 3)) / (x.shape[2] * x.shape[3]) + x.shape[0],
    "root of a size": lambda x: x / x.shape[3] ** 0.5 + x.shape[2] / x.shape[3],
    "places by size": lambda x: x + torch.arange(x.shape[3]) / (x.shape[3] - 1) + torch.arange(2, 2 + x.shape[3]),
    "beyond a place": lambda x: x.masked_fill(torch.arange(x.shape[3]) >= x.shape[3] - 2, float("-inf")).softmax(-1),
    "back to front": lambda x: x[:, :, torch.arange(x.shape[2] - 1, -1, -1)],
    "floats downwards": lambda x: x + torch.arange(x.shape[3] - 1, -x.shape[3], -1.0)[: x.shape[3]],
    "halves": lambda x: x + torch.arange(0, x.shape[3], 0.5)[x.shape[3] :],
    "the largest marked": lambda x: torch.zeros_like(x).scatter(1, x.argmax(1, keepdim=True), 1.0),
    "filled with a size": lambda x: torch.full_like(x, x.shape[2]) + x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_torch_runs_at_any_sizes(name: str) -> None:
    agrees(Of(FUNCTIONS[name]), AXES, pictures(*SIZES))
