"""Augmented images are what they are said to be, image by image, and nothing but the seed decides on them."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from netsurgery.schedules import Constant
from netsurgery.train.augmentation import cropped, mirrored
from netsurgery.train.batches import Batches
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Normalization, Split


def images_of(count: int, height: int = 5, width: int = 6) -> Tensor:
    """No pixel is like another, and none is 0."""
    return torch.arange(1.0, count * 2 * height * width + 1).reshape(count, 2, height, width)


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parts_of(image: Tensor, padding: int) -> dict[tuple[int, int], Tensor]:
    """(down, right) -> the part of the framed image (c, h, w) that begins there."""
    _, height, width = image.shape
    framed = torch.zeros(len(image), height + 2 * padding, width + 2 * padding)
    framed[:, padding : padding + height, padding : padding + width] = image
    places = [(down, right) for down in range(2 * padding + 1) for right in range(2 * padding + 1)]
    return {(down, right): framed[:, down : down + height, right : right + width] for down, right in places}


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_each_image_is_a_part_of_its_own_framed_image(seed: int, padding: int) -> None:
    images = images_of(3)
    for image, part in zip(images, cropped(images, padding, generator_of(seed)), strict=True):
        assert any(torch.equal(part, other) for other in parts_of(image, padding).values())


def test_every_place_is_as_likely_as_any_other() -> None:
    image = images_of(1)[0]
    counts = dict.fromkeys(parts_of(image, 1), 0)
    for part in cropped(image.expand(9_000, -1, -1, -1), 1, generator_of(0)):
        (place,) = (place for place, other in parts_of(image, 1).items() if torch.equal(part, other))
        counts[place] += 1
    assert all(abs(count - 1_000) < 150 for count in counts.values())  # 5 standard deviations


@given(st.integers(0, 2**31))
def test_each_image_is_itself_or_its_mirror_image(seed: int) -> None:
    images = images_of(4)
    for image, other in zip(images, mirrored(images, generator_of(seed)), strict=True):
        assert torch.equal(other, image) or torch.equal(other, image.flip(2))


def test_half_of_the_images_are_mirrored() -> None:
    images = images_of(4_000, height=1, width=2)
    changed = (mirrored(images, generator_of(0)) != images).any(dim=(1, 2, 3))
    assert abs(int(changed.sum()) - 2_000) < 160  # 5 standard deviations


def batches_of(seed: int, steps: int = 3) -> list[Tensor]:
    pixels = torch.randint(0, 256, (40, 3, 8, 8), generator=generator_of(7), dtype=torch.uint8)
    split = Split(pixels, torch.arange(40), Normalization.of((0.5, 0.4, 0.3), (0.2, 0.3, 0.2)))
    recipe = Recipe(steps=steps, learning_rate=Constant(0.1), batch_size=16, crop_padding=2, mirrored=True)
    batches = Batches(split, recipe, seed)
    return [images for images, _ in (batches.next() for _ in range(steps))]


def test_the_same_seed_shows_the_same_images() -> None:
    first = batches_of(seed=1)
    torch.rand(3)  # the global generator has no say
    assert all(torch.equal(one, other) for one, other in zip(first, batches_of(seed=1), strict=True))
    assert not torch.equal(first[0], batches_of(seed=2)[0])


def test_frames_are_zeros_of_the_normalised_image() -> None:
    white = Split(
        torch.full((8, 1, 4, 4), 255, dtype=torch.uint8),
        torch.zeros(8, dtype=torch.int64),
        Normalization.of([0.5], [0.1]),
    )
    recipe = Recipe(steps=1, learning_rate=Constant(0.1), batch_size=8, crop_padding=2)
    images, _ = Batches(white, recipe, seed=0).next()
    inside = float(white.batch(slice(0, 1))[0, 0, 0, 0])
    assert {round(value, 4) for value in images.unique().tolist()} == {0.0, round(inside, 4)}
