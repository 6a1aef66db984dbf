"""Small models, each built as a well-known family is: what users bring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.zoo.lenet import LeNet5, LeNet300


def conv_bn(ins: int, outs: int, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(ins, outs, size, stride, padding=size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outs))


class BasicBlock(nn.Module):
    def __init__(self, ins: int, outs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs)
        self.conv2, self.bn2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False), nn.BatchNorm2d(outs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = conv_bn(ins, outs, 1, stride) if stride > 1 or ins != outs else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += shortcut
        return self.relu(x)


class Bottleneck(nn.Module):
    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_bn(channels, inner, 1), nn.ReLU(), conv_bn(inner, inner), nn.ReLU(), conv_bn(inner, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + x)


class PreActivation(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.relu(self.bn(x)))


class DenseLayer(nn.Module):
    def __init__(self, ins: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(ins), nn.Conv2d(ins, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = F.adaptive_avg_pool2d(x, 1)
        return x * F.hardsigmoid(self.fc2(F.relu(self.fc1(scale))))


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, activation: Callable[[], nn.Module], attention: bool) -> None:
        super().__init__()
        inner = 2 * channels
        self.body = nn.Sequential(
            *(conv_bn(channels, inner, 1), activation(), conv_bn(inner, inner, groups=inner), activation()),
            SqueezeExcite(inner) if attention else nn.Identity(),
            conv_bn(inner, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ShuffleUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(conv_bn(half, half, 1), nn.ReLU(), conv_bn(half, half, groups=half))

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = x.chunk(2, dim=1)
        x = torch.cat((kept, self.branch(worked)), dim=1)
        batch, channels, height, width = x.size()
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return x.view(batch, -1, height, width)


class Inception(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, 3, 1)
        self.tall, self.wide = nn.Conv2d(channels, 3, (3, 1), padding=(1, 0)), nn.Conv2d(3, 4, (1, 3), padding="same")
        self.pool = nn.Sequential(nn.AvgPool2d(3, 1, padding=1, count_include_pad=False), nn.Conv2d(channels, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        largest = F.max_pool2d(x, 3, stride=1, padding=1)
        return torch.cat([self.one(x), self.wide(self.tall(x)), self.pool(x), largest, F.avg_pool2d(x, 3, 1, 1)], 1)


class ConvNext(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.grow, self.shrink = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.layer_scale = nn.Parameter(torch.rand(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.layer_scale * self.shrink(F.gelu(self.grow(y)))
        return x + y.permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle, self.up = conv_bn(2, 4), conv_bn(4, 8), conv_bn(12, 4)
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        level = F.leaky_relu(self.down(x), 0.1)
        deep = F.leaky_relu(self.middle(F.max_pool2d(level, 2)), 0.1)
        up = F.interpolate(deep, scale_factor=2, mode="nearest")
        logits = self.out(F.relu6(self.up(torch.cat([level, up], 1))))
        return {"mask": torch.sigmoid(logits), "deep": deep}


class AutoEncoder(nn.Module):
    """Tied weights: the decoder is the encoder's matrix, transposed by hand; two layers are one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.again = nn.Linear(12, 12), nn.Linear(12, 12)
        self.again.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        code = torch.tanh(self.again(torch.tanh(self.encoder(x))))
        return code @ self.encoder.weight


class KeywordSpotter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn = nn.Conv1d(3, 8, 5, stride=2), nn.BatchNorm1d(8)
        self.conv2, self.bn2 = nn.Conv1d(8, 8, 3, padding="same", dilation=2, groups=2), nn.BatchNorm1d(6)
        self.fc = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool1d(F.relu(self.bn(self.conv1(x))), 2, ceil_mode=True)
        x = F.avg_pool1d(F.silu(self.conv2(x)), 3, stride=2)
        return F.log_softmax(self.bn2(self.fc(x.mean(-1))), dim=-1)


class Reshaper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(18, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        b, c, h, w = x.shape
        flat = x.view(x.size(0), -1)
        rows = x.reshape(b * c, h, w).mean((1, 2)).view(b, c)
        return self.fc(flat), [rows, x.reshape(b, h * w, c).softmax(1)]


class Scaled(nn.Module):
    """A layer of one's own: buffers, numbers and plain arithmetic."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), persistent=False)
        self.gain = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / 0.25 * self.gain
        return torch.sub(1 - x, x * x, alpha=0.5) + torch.tensor(2.0) / (3.0 + x**2)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images, self.numbers = nn.Conv2d(1, 4, 3), nn.Linear(5, 4)

    def forward(self, image: Tensor, numbers: Tensor) -> tuple[Tensor, None, Tensor]:
        seen = self.images(image).mean((2, 3))
        return seen + self.numbers(numbers), None, numbers


class Volume(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(F.relu(self.bn(self.conv(x))), 2)
        return F.adaptive_avg_pool3d(F.avg_pool3d(x, (1, 2, 2)), 1).flatten(1)


def alexnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(inplace=True), nn.LocalResponseNorm(5, alpha=0.1, k=2.0)),
        *(nn.MaxPool2d(3, 2), nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(200, 10)),
    )


def vgg() -> nn.Module:
    features = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(True), nn.AdaptiveAvgPool2d((3, None)), nn.AdaptiveMaxPool2d(2)),
    )
    return nn.Sequential(features, nn.Flatten(), nn.Linear(16, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 3))


def headed(*body: nn.Module, channels: int, out: int = 5) -> nn.Module:
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, out))


@dataclass(frozen=True)
class Example:
    """How to build a model, and the shapes of its inputs without the batch."""

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]

    def model(self) -> nn.Module:
        """The model with statistics and biases as training leaves them: nothing is 0 or 1 by habit."""
        torch.manual_seed(11)
        model = self.build()
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr]
                    module.running_var.uniform_(0.3, 2.0)  # type: ignore[union-attr]
                if isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm):
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.uniform_(-0.5, 0.5)
        return model

    def inputs(self, batch: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(batch)
        return tuple(torch.randn(batch, *shape, generator=generator) for shape in self.shapes)


RGB = ((3, 16, 16),)

EXAMPLES: dict[str, Example] = {
    "lenet5": Example(LeNet5, ((1, 28, 28),)),
    "lenet300": Example(LeNet300, ((1, 28, 28),)),
    "sequential": Example(lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3, bias=False)), ((6,),)),
    "resnet": Example(
        lambda: headed(conv_bn(3, 4), nn.ReLU(True), BasicBlock(4, 4), BasicBlock(4, 8, 2), channels=8), RGB
    ),
    "bottleneck": Example(lambda: headed(conv_bn(3, 8), Bottleneck(8, 4), channels=8), RGB),
    "preactivation": Example(lambda: headed(nn.Conv2d(3, 4, 3), PreActivation(4), channels=4), RGB),
    "densenet": Example(
        lambda: headed(DenseLayer(3, 4), DenseLayer(7, 4), nn.Conv2d(11, 5, 1), nn.AvgPool2d(2), channels=5), RGB
    ),
    "mobilenet_v2": Example(lambda: headed(conv_bn(3, 4), InvertedResidual(4, nn.ReLU6, False), channels=4), RGB),
    "mobilenet_v3": Example(lambda: headed(conv_bn(3, 4), InvertedResidual(4, nn.Hardswish, True), channels=4), RGB),
    "efficientnet": Example(lambda: headed(conv_bn(3, 4), InvertedResidual(4, nn.SiLU, True), channels=4), RGB),
    "shufflenet": Example(lambda: headed(conv_bn(3, 8), ShuffleUnit(8), channels=8), RGB),
    "alexnet": Example(alexnet, ((3, 25, 25),)),
    "vgg": Example(vgg, RGB),
    "inception": Example(lambda: headed(Inception(3), channels=15), RGB),
    "convnext": Example(lambda: headed(nn.Conv2d(3, 4, 4, 4), ConvNext(4), channels=4), RGB),
    "unet": Example(UNet, ((2, 8, 8),)),
    "autoencoder": Example(AutoEncoder, ((12,),)),
    "keyword_spotter": Example(KeywordSpotter, ((3, 41),)),
    "reshaper": Example(Reshaper, ((2, 3, 3),)),
    "own_layer": Example(lambda: nn.Sequential(Scaled(), nn.Conv2d(3, 2, 3)), ((3, 6, 6),)),
    "two_inputs": Example(TwoInputs, ((1, 6, 6), (5,))),
    "volume": Example(Volume, ((1, 6, 8, 8),)),
    "group_norm": Example(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), RGB),
    "transformer": Example(
        lambda: nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True), ((5, 8),)
    ),
}
