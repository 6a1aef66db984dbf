"""Images changed at random while a network trains: a whole batch at once, on the device where it lies.

All draws come from a generator on the processor: the seed alone decides what is shown, whatever the device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def shifted(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """With probability `share`, the batch (b, c, h, w) moved by -1, 0 or 1 pixel in each direction; zeros move in."""
    if float(torch.rand((), generator=generator)) >= share:
        return images
    down, right = torch.randint(0, 3, (2,), generator=generator).tolist()
    height, width = images.shape[-2:]
    return F.pad(images, (1, 1, 1, 1))[..., down : down + height, right : right + width].contiguous()


def with_dropped_pixels(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """The batch with that share of its values set to 0, in [0, 1), and the others scaled up."""
    kept = torch.rand(images.shape, generator=generator) < 1 - share
    numbers = kept.view(torch.int8).to(images.device, non_blocking=True)  # int8, not bool: several times faster
    return (images * numbers).div_(1 - share)


def cropped(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Of each image (b, c, h, w), framed by `padding` zeros, a part of the same size at a random place.

    He et al. 2015, section 4.2, with a padding of 4 pixels.
    """
    batch, _, height, width = images.shape
    places = torch.randint(0, 2 * padding + 1, (2, batch), generator=generator)
    down, right = places.to(images.device, non_blocking=True)
    # A view of all parts there are, (b, c, down, right, h, w); picking from it copies whole rows of pixels.
    parts = F.pad(images, (padding, padding, padding, padding)).unfold(2, height, 1).unfold(3, width, 1)
    return parts[torch.arange(batch, device=images.device), :, down, right]


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the images (b, c, h, w), drawn one by one, with left and right exchanged."""
    drawn = (torch.rand(len(images), generator=generator) < 0.5).to(images.device, non_blocking=True)
    return torch.where(drawn[:, None, None, None], images.flip(3), images)
