"""Pictures of every kind come out upright, in red, green and blue; damaged ones are refused by name."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from tests.pictures.made import encoded, picture

from netsurgery.errors import DataError
from netsurgery.pictures import decoding
from netsurgery.pictures.decoding import decoded

IMAGE = picture(0, 0, width=50, height=40)


def test_jpeg_is_what_pillow_makes_of_it() -> None:
    content = encoded(IMAGE, quality=95)
    ours, theirs = decoded(content, "a.jpg"), np.asarray(Image.open(io.BytesIO(content)))
    assert ours.shape == (40, 50, 3)
    # Two versions of one library, whose inverse transforms may round differently.
    assert np.abs(ours.astype(int) - theirs).max() <= 2
    quick = decoded(content, "a.jpg", quick=True)
    assert np.abs(ours.astype(int) - quick).mean() < 8


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF"])
def test_kinds_without_loss_give_every_byte(kind: str) -> None:
    np.testing.assert_array_equal(decoded(encoded(IMAGE, kind), "a"), np.asarray(IMAGE))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_is_the_same_in_all_channels(kind: str) -> None:
    pixels = decoded(encoded(IMAGE.convert("L"), kind), "a")
    assert pixels.shape == (40, 50, 3)
    assert (pixels[..., :1] == pixels).all()
    assert np.abs(pixels[..., 0].astype(int) - np.asarray(IMAGE.convert("L"))).mean() < 4


def test_palettes_transparency_and_cmyk_are_converted() -> None:
    palette = IMAGE.convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(decoded(encoded(palette, "PNG"), "a"), np.asarray(palette.convert("RGB")))
    transparent = decoded(encoded(palette, "PNG", transparency=bytes(range(256))), "a")
    np.testing.assert_array_equal(transparent, np.asarray(palette.convert("RGB")))
    clear = IMAGE.convert("RGBA")
    np.testing.assert_array_equal(decoded(encoded(clear, "PNG"), "a"), np.asarray(IMAGE))
    cmyk = decoded(encoded(IMAGE.convert("CMYK"), quality=95), "a")
    assert np.abs(cmyk.astype(int) - np.asarray(IMAGE)).mean() < 12
    assert np.abs(255 - cmyk.astype(int) - np.asarray(IMAGE)).mean() > 40  # not inverted


def test_sixteen_bits_keep_their_range() -> None:
    grey = np.linspace(0, 65_535, 600).astype(np.uint16).reshape(20, 30)
    pixels = decoded(encoded(Image.fromarray(grey), "PNG"), "a")
    np.testing.assert_array_equal(pixels[..., 1], grey // 257)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_data_say(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decoded(encoded(IMAGE, quality=95, exif=exif), "a")
    plain = decoded(encoded(IMAGE, quality=95), "a")
    turned = {1: plain, 2: plain[:, ::-1], 3: plain[::-1, ::-1], 4: plain[::-1]}
    rotated = plain.transpose(1, 0, 2)
    turned |= {5: rotated, 6: rotated[:, ::-1], 7: rotated[::-1, ::-1], 8: rotated[::-1]}
    assert np.abs(pixels.astype(int) - turned[orientation]).max() <= 2


def test_large_jpegs_may_come_smaller_but_not_below_what_is_asked_for() -> None:
    content = encoded(picture(1, 0, width=500, height=400), quality=90)
    assert decoded(content, "a", least=200).shape == (200, 250, 3)
    assert decoded(content, "a", least=201).shape == (400, 500, 3)
    assert decoded(content, "a", least=90).shape == (100, 125, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.jpg is no picture"),
        (b"hello", "a.jpg is no picture"),
        (b"\xff\xd8hello", "a.jpg is no picture"),
        (encoded(IMAGE)[:700], "a.jpg is damaged"),
        (encoded(IMAGE, "PNG")[:700], "a.jpg is damaged"),
        (encoded(IMAGE, "PNG").replace(b"IDAT", b"JDAT"), "a.jpg is no picture"),
        (encoded(Image.fromarray(np.ones((3, 3), np.float32)), "TIFF"), "a.jpg holds floats, whose range is unknown"),
    ],
)
def test_what_is_damaged_or_no_picture_is_refused_by_name(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        decoded(content, "a.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_huge_pictures_are_refused_before_they_are_decoded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 1_999)
    with pytest.raises(DataError, match="has 50 x 40 pixels; at most 1,999"):
        decoded(encoded(IMAGE, kind), "a.jpg")


def test_pictures_that_pillow_itself_refuses_for_their_size_are_called_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    with pytest.raises(
        DataError, match=r"a\.png is too large: .*At most 134,217,728 pixels are read\. Make it smaller"
    ):
        decoded(encoded(IMAGE, "PNG"), "a.png")


def test_any_bytes_give_a_picture_or_the_error_that_names_it() -> None:
    generator = np.random.default_rng(0)
    contents = [encoded(IMAGE), encoded(IMAGE, "PNG"), encoded(IMAGE, "GIF"), encoded(IMAGE, "TIFF")]
    refused = 0
    for content in contents * 40:
        damaged = bytearray(content)
        for place in generator.integers(0, min(600, len(damaged)), 3):
            damaged[place] = generator.integers(256)
        try:
            channels = decoded(bytes(damaged), "name").shape[2]
        except DataError as error:
            refused += str(error).startswith("name ")
        else:
            assert channels == 3
    assert refused > 10
