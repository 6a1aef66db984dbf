"""A transposed convolution is a convolution, its channels side by side, and what is cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from netsurgery.errors import GraphError
from netsurgery.graph.from_torch import read_torch
from netsurgery.graph.transposed_convolution import as_convolution
from netsurgery.runtime.reference import run

TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
CONVOLVED = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@settings(max_examples=150, deadline=None)
@given(data=st.data(), spatial=st.integers(1, 3), groups=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_it_gives_what_torch_gives_for_all_attributes(
    data: st.DataObject, spatial: int, groups: int, seed: int
) -> None:
    def drawn(low: int, high: int) -> list[int]:
        return [data.draw(st.integers(low, high)) for _ in range(spatial)]

    kernel, strides, dilations, pads, sizes = drawn(1, 4), drawn(1, 3), drawn(1, 3), drawn(0, 3), drawn(1, 5)
    padding = [data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True)]
    lengths = zip(sizes, kernel, strides, dilations, pads, padding, strict=True)
    if any((size - 1) * s + d * (k - 1) + 1 - 2 * p + more < 1 for size, k, s, d, p, more in lengths):
        return
    torch.manual_seed(seed)
    x = torch.randn(2, 2 * groups, *sizes, dtype=torch.float64)
    weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ((2 * groups, 3, *kernel), (3 * groups,)))
    wanted = TRANSPOSED[spatial](x, weight, bias, strides, pads, padding, groups, dilations)
    way = as_convolution(kernel, strides, dilations, 2 * pads, padding, groups)
    got = computed(x, torch.from_numpy(way.weight(weight.numpy())), torch.from_numpy(way.bias(bias.numpy())), way)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def computed(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, way: Any) -> torch.Tensor:
    spatial = x.ndim - 2
    padded = F.pad(x, [way.pads[axis + side] for axis in reversed(range(spatial)) for side in (0, spatial)])
    result = CONVOLVED[spatial](padded, weight, bias, 1, 0, way.dilations, way.groups)
    if way.blocks:
        sizes = result.shape[2:]
        apart = result.reshape(len(x), -1, *way.blocks, *sizes)
        order = [axis for place in range(spatial) for axis in (2 + spatial + place, 2 + place)]
        whole = [size * block for size, block in zip(sizes, way.blocks, strict=True)]
        result = apart.permute(0, 1, *order).reshape(len(x), -1, *whole)
    for axis in range(spatial if way.crops else 0):
        begin, end = way.crops[axis], way.crops[spatial + axis]
        result = result.narrow(2 + axis, begin, result.shape[2 + axis] - begin - end)
    return result


def test_every_weight_is_there_once_and_all_else_is_zero() -> None:
    weight = np.arange(1.0, 1 + 4 * 3 * 5 * 3).reshape(4, 3, 5, 3)
    made = as_convolution((5, 3), (2, 2), (1, 1), (2, 1, 2, 1), (1, 1), 2).weight(weight)
    assert sorted(made[made != 0]) == weight.ravel().tolist()


def test_a_kernel_as_wide_as_its_strides_times_a_whole_number_has_no_zeros_in_it() -> None:
    """As decoders have them: 2 by 2, and 4 by 2 with a pad of 1."""
    for kernel, pad in ((2, 0), (4, 1)):
        ones = np.ones((3, 2, kernel, kernel))
        made = as_convolution((kernel,) * 2, (2, 2), (1, 1), (pad,) * 4, (0, 0), 1).weight(ones)
        assert made.all()


@pytest.mark.parametrize("numbers", [(0, 1, 1), (2, 0, 1), (2, 1, 0)])
def test_a_number_below_one_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(GraphError, match="at least 1"):
        as_convolution(*((number,) for number in numbers), (0, 0), (0,), 1)


def test_a_decoder_is_read_with_open_sizes() -> None:
    torch.manual_seed(0)
    decoder = nn.Sequential(
        nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 2, 4, 2, 1)
    ).eval()
    x = torch.randn(2, 3, 5, 6)
    graph = read_torch(decoder, (x,), open_axes={"input": {0: "batch", 2: "height", 3: "width"}})
    other = torch.randn(1, 3, 8, 4)
    with torch.no_grad():
        wanted = decoder(other).numpy()
    np.testing.assert_allclose(run(graph, {graph.inputs[0].name: other.numpy()})[0], wanted, atol=1e-5)
