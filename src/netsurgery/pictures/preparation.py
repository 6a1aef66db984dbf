"""What is shown of a picture: scaled, cut out, mirrored. The papers' way and today's."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from netsurgery.pictures.decoding import Pixels, decoded

TEN = 10
"""Cuts of a picture where its corners and its middle, and these mirrored, are all judged: Krizhevsky et al. 2012."""
_TRIES = 10


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an input.

    training: "crop": its shorter side scaled to `scaled` pixels, and a square of `side` cut out at a random place
        (Krizhevsky et al. 2012, section 4.1); "resized-crop": a random part of 8 to 100 % of it, with sides 3:4 to 4:3,
        scaled to a square of `side` (Szegedy et al. 2014, section 6). Half of them are mirrored.
    scaled: pixels of the shorter side before the square of `side` is cut out of the middle, for judging.
    mean, deviation: of each channel, of pixels in [0, 1]; what is shown is (pixels - mean) / deviation.
    """

    training: Literal["crop", "resized-crop"]
    side: int
    scaled: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @property
    def facts(self) -> dict[str, Any]:
        """As a record has them."""
        return {
            "training": self.training,
            "side": self.side,
            "scaled": self.scaled,
            "mean": [round(mean, 6) for mean in self.mean],
            "deviation": [round(deviation, 6) for deviation in self.deviation],
        }

    def varied(self, content: bytes, name: str, seed: str) -> Pixels:
        """(side, side, 3): the picture as it is shown for training. The seed alone decides how."""
        draws = random.Random(seed)  # noqa: S311
        resized = self.training == "resized-crop"
        pixels = decoded(content, name, least=0 if resized else self.scaled, quick=True)
        height, width = pixels.shape[:2]
        top, left, rows, columns = self._part(height, width, draws) if resized else self._square(height, width, draws)
        cut = _scaled(pixels[top : top + rows, left : left + columns], self.side, self.side)
        return _mirrored(cut) if draws.random() < 0.5 else cut

    def judged(self, content: bytes, name: str) -> Pixels:
        """(side, side, 3): the middle of the picture."""
        whole = self._whole(content, name)
        top, left = ((size - self.side) // 2 for size in whole.shape[:2])
        return whole[top : top + self.side, left : left + self.side]

    def ten_crops(self, content: bytes, name: str) -> Pixels:
        """(10, side, side, 3): corners and middle, and all of them mirrored."""
        whole, side = self._whole(content, name), self.side
        down, right = (size - side for size in whole.shape[:2])
        corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
        cuts = np.stack([whole[top : top + side, left : left + side] for top, left in corners])
        return np.concatenate([cuts, _mirrored(cuts)])

    def _whole(self, content: bytes, name: str) -> Pixels:
        pixels = decoded(content, name)
        height, width = pixels.shape[:2]
        factor = self.scaled / min(height, width)
        return _scaled(pixels, max(self.scaled, round(height * factor)), max(self.scaled, round(width * factor)))

    def _square(self, height: int, width: int, draws: random.Random) -> tuple[int, int, int, int]:
        """Top, left, height and width of a square that is `side` wide where the shorter side is `scaled`.

        Cut out first and scaled then: the same to a pixel of the original, and less to scale.
        """
        side = max(1, round(min(height, width) * self.side / self.scaled))
        return draws.randint(0, height - side), draws.randint(0, width - side), side, side

    def _part(self, height: int, width: int, draws: random.Random) -> tuple[int, int, int, int]:
        """The same of a part of random size and shape; the largest in the middle if none fits."""
        for _ in range(_TRIES):
            area = height * width * draws.uniform(0.08, 1.0)
            ratio = math.exp(draws.uniform(math.log(3 / 4), math.log(4 / 3)))
            rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < rows <= height and 0 < columns <= width:
                return draws.randint(0, height - rows), draws.randint(0, width - columns), rows, columns
        rows, columns = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
        return (height - rows) // 2, (width - columns) // 2, rows, columns


Channels = tuple[float, float, float]
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PAPER_MEAN = (123 / 255, 117 / 255, 104 / 255)


def paper(side: int, scaled: int = 256) -> Preparation:
    """The papers' way: pixels keep their range of 0 to 255, the mean of each channel is taken away."""
    return Preparation("crop", side, scaled, _PAPER_MEAN, (1 / 255, 1 / 255, 1 / 255))


def modern(
    side: int = 224, scaled: int = 256, mean_and_deviation: tuple[Channels, Channels] | None = None
) -> Preparation:
    """What public weights (torchvision, timm) were trained with.

    mean_and_deviation: of each channel, where a network's public weights take others than those of ImageNet's pictures.
    """
    return Preparation("resized-crop", side, scaled, *(mean_and_deviation or _IMAGENET))


def _mirrored(pixels: Pixels) -> Pixels:
    """(..., width, 3) with left and right exchanged: by torch, as NumPy copies a reversed array byte by byte."""
    mirrored: Pixels = torch.from_numpy(np.ascontiguousarray(pixels)).flip(-2).numpy()
    return mirrored


def _scaled(pixels: Pixels, height: int, width: int) -> Pixels:
    """Bilinear, with what is left out averaged. torch's kernel for bytes, which wants them in one piece."""
    if pixels.shape[:2] == (height, width):
        return pixels
    # The new axis first: with its stride the kernel sees that channels are last, and neither reads nor writes planes.
    whole = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
    found = F.interpolate(whole, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
    return found[0].permute(1, 2, 0).numpy()
