"""YOLOv8n (Ultralytics 2023) and YOLOX-tiny (Ge et al. 2021) for 80 classes, as they are exported: boxes and scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from networks.blocks import ConvNorm

CLASSES = 80


def _convolution(channels: int, width: int, size: int = 1, stride: int = 1) -> ConvNorm:
    return ConvNorm(channels, width, size, stride, activation=nn.SiLU, epsilon=1e-3)


def _places(sizes: Sequence[tuple[int, int]], offset: float) -> Tensor:
    """(2, places): x and y of each place of maps of these heights and widths."""
    grids = []
    for height, width in sizes:
        y, x = torch.meshgrid(torch.arange(height) + offset, torch.arange(width) + offset, indexing="ij")
        grids.append(torch.stack([x, y]).flatten(1))
    return torch.cat(grids, 1)


class Bottleneck(nn.Module):
    """Two convolutions, and the input added if that is wanted."""

    def __init__(self, channels: int, first: int, added: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(_convolution(channels, channels, first), _convolution(channels, channels, 3))
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.added else self.layers(x)


class C2f(nn.Module):
    """Half of the channels go through bottlenecks, all of whose outputs are joined."""

    def __init__(self, channels: int, width: int, count: int, added: bool) -> None:
        super().__init__()
        self.first = _convolution(channels, width)
        self.blocks = nn.ModuleList([Bottleneck(width // 2, 3, added) for _ in range(count)])
        self.last = _convolution((2 + count) * width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(x).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pyramid(nn.Module):
    """Max-pools of growing windows beside the input, joined. in_turn: each pool reads the one before it."""

    def __init__(self, channels: int, windows: Sequence[int], in_turn: bool) -> None:
        super().__init__()
        self.first = _convolution(channels, channels // 2)
        self.pools = nn.ModuleList([nn.MaxPool2d(window, 1, window // 2) for window in windows])
        self.last = _convolution(channels // 2 * (len(windows) + 1), channels)
        self.in_turn = in_turn

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.first(x)]
        for pool in self.pools:
            parts.append(pool(parts[-1 if self.in_turn else 0]))
        return self.last(torch.cat(parts, 1))


class YOLOv8n(nn.Module):
    """(n, 3, size, size) -> (n, 84, places): boxes as centre and size in pixels, and the score of each class."""

    def __init__(self, size: int = 640) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 16, 3, 2), _convolution(16, 32, 3, 2), C2f(32, 32, 1, True))
        self.down3 = nn.Sequential(_convolution(32, 64, 3, 2), C2f(64, 64, 2, True))
        self.down4 = nn.Sequential(_convolution(64, 128, 3, 2), C2f(128, 128, 2, True))
        self.down5 = nn.Sequential(
            _convolution(128, 256, 3, 2), C2f(256, 256, 1, True), Pyramid(256, (5, 5, 5), in_turn=True)
        )
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.up4, self.up3 = C2f(384, 128, 1, False), C2f(192, 64, 1, False)
        self.again4, self.joined4 = _convolution(64, 64, 3, 2), C2f(192, 128, 1, False)
        self.again5, self.joined5 = _convolution(128, 128, 3, 2), C2f(384, 256, 1, False)
        self.boxes, self.scores = (
            nn.ModuleList(
                [
                    nn.Sequential(
                        _convolution(c, hidden, 3), _convolution(hidden, hidden, 3), nn.Conv2d(hidden, out, 1)
                    )
                    for c in (64, 128, 256)
                ]
            )
            for hidden, out in ((64, 64), (80, CLASSES))
        )
        self.expectation = nn.Conv2d(16, 1, 1, bias=False).requires_grad_(False)
        self.expectation.weight.copy_(torch.arange(16.0).view(1, 16, 1, 1))
        sizes = [(size // stride, size // stride) for stride in (8, 16, 32)]
        strides = torch.cat([torch.full((1, h * w), float(size // h)) for h, w in sizes], 1)
        self.register_buffer("places", _places(sizes, 0.5), persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        three = self.down3(self.stem(x))
        four = self.down4(three)
        five = self.down5(four)
        up4 = self.up4(torch.cat([self.up(five), four], 1))
        maps = [self.up3(torch.cat([self.up(up4), three], 1))]
        maps.append(self.joined4(torch.cat([self.again4(maps[0]), up4], 1)))
        maps.append(self.joined5(torch.cat([self.again5(maps[1]), five], 1)))
        found = [
            torch.cat([box(one), score(one)], 1).flatten(2)
            for one, box, score in zip(maps, self.boxes, self.scores, strict=True)
        ]
        boxes, scores = torch.cat(found, 2).split((64, CLASSES), 1)
        n, _, count = boxes.shape
        distances = self.expectation(boxes.view(n, 4, 16, count).transpose(1, 2).softmax(1)).view(n, 4, count)
        near, far = distances.chunk(2, 1)
        low, high = self.places - near, self.places + far
        return torch.cat([torch.cat([(low + high) / 2, high - low], 1) * self.strides, scores.sigmoid()], 1)


class CSP(nn.Module):
    """Bottlenecks on half of the channels; the other half goes past them."""

    def __init__(self, channels: int, width: int, count: int, added: bool) -> None:
        super().__init__()
        half = width // 2
        self.main, self.past = _convolution(channels, half), _convolution(channels, half)
        self.blocks = nn.Sequential(*[Bottleneck(half, 1, added) for _ in range(count)])
        self.last = _convolution(2 * half, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.blocks(self.main(x)), self.past(x)], 1))


class YOLOX(nn.Module):
    """YOLOX-tiny: (n, 3, size, size) -> (n, places, 85): box, score of there being an object, scores of classes."""

    def __init__(self) -> None:
        super().__init__()
        self.focus = _convolution(12, 24, 3)
        self.down2 = nn.Sequential(_convolution(24, 48, 3, 2), CSP(48, 48, 1, True))
        self.down3 = nn.Sequential(_convolution(48, 96, 3, 2), CSP(96, 96, 3, True))
        self.down4 = nn.Sequential(_convolution(96, 192, 3, 2), CSP(192, 192, 3, True))
        self.down5 = nn.Sequential(
            _convolution(192, 384, 3, 2), Pyramid(384, (5, 9, 13), in_turn=False), CSP(384, 384, 1, False)
        )
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.lateral5, self.up4 = _convolution(384, 192), CSP(384, 192, 1, False)
        self.lateral4, self.up3 = _convolution(192, 96), CSP(192, 96, 1, False)
        self.again4, self.joined4 = _convolution(96, 96, 3, 2), CSP(192, 192, 1, False)
        self.again5, self.joined5 = _convolution(192, 192, 3, 2), CSP(384, 384, 1, False)
        widths = (96, 192, 384)
        self.stems = nn.ModuleList([_convolution(width, 96) for width in widths])
        self.of_classes, self.of_boxes = (
            nn.ModuleList([nn.Sequential(_convolution(96, 96, 3), _convolution(96, 96, 3)) for _ in widths])
            for _ in range(2)
        )
        self.classes, self.boxes, self.objects = (
            nn.ModuleList([nn.Conv2d(96, out, 1) for _ in widths]) for out in (CLASSES, 4, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        three = self.down3(self.down2(self.focus(torch.cat(corners, 1))))
        four = self.down4(three)
        lateral5 = self.lateral5(self.down5(four))
        lateral4 = self.lateral4(self.up4(torch.cat([self.up(lateral5), four], 1)))
        maps = [self.up3(torch.cat([self.up(lateral4), three], 1))]
        maps.append(self.joined4(torch.cat([self.again4(maps[0]), lateral4], 1)))
        maps.append(self.joined5(torch.cat([self.again5(maps[1]), lateral5], 1)))
        found = []
        for level, one in enumerate(maps):
            stem = self.stems[level](one)
            box = self.of_boxes[level](stem)
            classes = self.classes[level](self.of_classes[level](stem)).sigmoid()
            found.append(torch.cat([self.boxes[level](box), self.objects[level](box).sigmoid(), classes], 1).flatten(2))
        return torch.cat(found, 2).permute(0, 2, 1)
