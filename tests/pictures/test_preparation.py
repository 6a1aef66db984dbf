"""What is shown of a picture: which part, how large, and the same for the same seed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.pictures.made import encoded, picture

from netsurgery.pictures.decoding import decoded
from netsurgery.pictures.preparation import Preparation, modern, paper

PREPARATIONS = (paper(side=20, scaled=24), modern(side=20, scaled=24))


def smooth(width: int, height: int) -> bytes:
    """Red rises to the right, green downwards: a pixel tells where it was."""
    across = np.broadcast_to(np.linspace(0, 255, width)[None, :], (height, width))
    down = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    pixels = np.stack([across, down, np.zeros_like(across)], axis=2).round().astype(np.uint8)
    return encoded(Image.fromarray(pixels), "PNG")


@pytest.mark.parametrize("preparation", PREPARATIONS)
@pytest.mark.parametrize("size", [(40, 30), (30, 40), (20, 20), (9, 7), (1, 1), (200, 21)])
def test_every_way_gives_squares_of_one_size_from_any_picture(preparation: Preparation, size: tuple[int, int]) -> None:
    content = smooth(*size)
    assert preparation.varied(content, "a", "seed").shape == (20, 20, 3)
    assert preparation.judged(content, "a").shape == (20, 20, 3)
    assert preparation.ten_crops(content, "a").shape == (10, 20, 20, 3)


@pytest.mark.parametrize("preparation", PREPARATIONS)
def test_the_seed_alone_decides_what_is_shown(preparation: Preparation) -> None:
    content = encoded(picture(0, 0, 60, 50))
    first = preparation.varied(content, "a", "1")
    np.testing.assert_array_equal(first, preparation.varied(content, "another name", "1"))
    shown = {preparation.varied(content, "a", str(seed)).tobytes() for seed in range(20)}
    assert len(shown) >= 19


def test_the_middle_is_judged_as_pillow_scales_it() -> None:
    image = picture(1, 0, 80, 60)
    ours = paper(side=20, scaled=24).judged(encoded(image, "PNG"), "a")
    theirs = np.asarray(image.resize((32, 24), Image.Resampling.BILINEAR))[2:22, 6:26]
    assert np.abs(ours.astype(int) - theirs).max() <= 1  # both round, not at the same places


def test_ten_crops_are_corners_middle_and_their_mirror_images() -> None:
    preparation = paper(side=20, scaled=24)
    content = encoded(picture(1, 0, 80, 60), "PNG")
    crops = preparation.ten_crops(content, "a")
    np.testing.assert_array_equal(crops[4], preparation.judged(content, "a"))
    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])
    whole = np.asarray(Image.open(io.BytesIO(content)).resize((32, 24), Image.Resampling.BILINEAR)).astype(int)
    for crop, (top, left) in zip(crops, [(0, 0), (0, 12), (4, 0), (4, 12)], strict=False):
        assert np.abs(crop - whole[top : top + 20, left : left + 20]).max() <= 1


def parts(preparation: Preparation, width: int, height: int) -> np.ndarray:
    """(200, 4): left, top, right and bottom of what is shown, as shares of the picture; mirrored ones turned back."""
    content, found = smooth(width, height), []
    for seed in range(200):
        shown = preparation.varied(content, "a", str(seed)).astype(float) / 255
        columns = np.sort([shown[:, 0, 0].mean(), shown[:, -1, 0].mean()])
        found.append([columns[0], shown[0, :, 1].mean(), columns[1], shown[-1, :, 1].mean()])
    return np.array(found)


def test_the_papers_crop_has_one_size_at_all_places() -> None:
    left, top, right, bottom = parts(paper(side=20, scaled=24), 320, 240).T
    assert np.abs((right - left) * 320 - 200).max() < 14  # of 240 * 20 / 24 pixels, the middles of whose ends are read
    assert np.abs((bottom - top) * 240 - 200).max() < 14
    assert left.min() < 0.04
    assert right.max() > 0.96
    assert top.min() < 0.04
    assert bottom.max() > 0.96


def test_todays_crop_has_8_to_100_percent_of_the_area_in_sides_of_3_to_4() -> None:
    left, top, right, bottom = parts(modern(side=40), 320, 240).T
    width, height = (right - left) * 320 * 40 / 39, (bottom - top) * 240 * 40 / 39
    area = width * height / (320 * 240)
    assert 0.06 < area.min() < 0.15
    assert 0.85 < area.max() <= 1.06
    assert 0.68 < (width / height).min() < 0.85
    assert 1.18 < (width / height).max() < 1.47


def test_half_are_mirrored() -> None:
    content = smooth(40, 30)
    for preparation in PREPARATIONS:
        shown = [preparation.varied(content, "a", str(seed)) for seed in range(200)]
        mirrored = sum(int(pixels[0, 0, 0]) > int(pixels[0, -1, 0]) for pixels in shown)
        assert 70 < mirrored < 130


def test_large_jpegs_are_shown_alike_whether_or_not_they_are_decoded_smaller() -> None:
    image = Image.open(io.BytesIO(smooth(400, 300))).convert("RGB")
    content = encoded(image)
    preparation = paper(side=40, scaled=48)
    assert min(decoded(content, "a", least=48).shape[:2]) == 75
    small = preparation.varied(content, "a", "1").astype(int)
    large = preparation.varied(encoded(image, "PNG"), "a", "1").astype(int)
    assert np.abs(small - large).mean() < 6  # the same part, to some pixels of the original: draws are of whole pixels
