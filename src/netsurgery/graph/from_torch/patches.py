"""Translations of aten.im2col and col2im (unfold and fold of torch.nn.functional): convolutions by ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number
from netsurgery.graph.from_torch.call import FIX, Activation, Call, Constant, Sizes
from netsurgery.graph.from_torch.layers import convolution, transposed_convolution


def unfold(call: Call) -> str:
    """(N, C, *S) to (N, C * product of kernel, blocks): a convolution of each channel that picks entries."""
    batch, channels, *sizes = _four(call.sizes("self"))
    (channels,) = call.known((channels,))
    way = _Way(call, channels)
    settings = {"input": call.arguments["self"], "stride": way.stride, **way.settings()}
    shape = (batch, way.weight.shape[0], *sizes)
    maps = convolution(replace(call, arguments=settings, shape=shape, name=f"{call.name}.maps"))
    return call.node("Reshape", [maps], shape=(0, int(way.weight.tensor.shape[0]), -1))


def fold(call: Call) -> str:
    """(N, C * product of kernel, blocks) to (N, C, *output_size): sums of blocks where they overlap."""
    batch, _, height, width = _four(call.shape)
    (channels,) = call.known((call.shape[1],))
    sizes = tuple(map(call.extent, (height, width)))
    way = _Way(call, channels)
    blocks = way.blocks(sizes)
    shape = (batch, way.weight.shape[0], height, width)
    target = (0, int(way.weight.tensor.shape[0]), *blocks)
    x = call.node("Reshape", [call.promoted("self")], "blocks", shape=target)
    over = [
        size - ((count - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1)
        for size, count, stride, pad, dilation, kernel in zip(
            sizes, blocks, way.stride, way.padding, way.dilation, way.kernel, strict=True
        )
    ]
    if not all(isinstance(rest, int) for rest in over):
        raise UnsupportedOperatorError(f"folds blocks to an open size in strides that leave a rest; {FIX}")
    settings = {"input": Activation(x, shape), "stride": way.stride, "output_padding": over, **way.settings()}
    return transposed_convolution(replace(call, arguments=settings))


def _four(shape: Sizes) -> Sizes:
    if len(shape) != 4:
        raise UnsupportedOperatorError("images without a batch; give one of 1")
    return shape


class _Way:
    """The kernels, one for each entry of a patch, and how they go over the maps."""

    def __init__(self, call: Call, channels: int) -> None:
        self.kernel, self.dilation, self.padding, self.stride = (
            call.whole(name, 2) for name in ("kernel_size", "dilation", "padding", "stride")
        )
        self.channels = channels
        entries = self.kernel[0] * self.kernel[1]
        ones = torch.eye(entries).reshape(entries, 1, *self.kernel).repeat(channels, 1, 1, 1)
        self.weight = Constant(ones, f"{call.name}.patches")

    def settings(self) -> dict[str, Any]:
        return {
            "weight": self.weight, "bias": None, "padding": self.padding, "dilation": self.dilation,
            "groups": self.channels,
        }  # fmt: skip

    def blocks(self, sizes: tuple[Number, ...]) -> tuple[Number, ...]:
        ways = zip(sizes, self.padding, self.dilation, self.kernel, self.stride, strict=True)
        return tuple(
            (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for size, pad, dilation, kernel, stride in ways
        )
