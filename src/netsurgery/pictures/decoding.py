"""A stored picture as pixels: whatever its kind, colours and orientation.

Plain JPEG is what matters for speed: libjpeg-turbo decodes it straight into an array. Everything else, and what that
refuses, is Pillow's.
"""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netsurgery.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
"""(height, width, 3): red, green, blue."""

MOST_PIXELS = 1 << 27
"""Of a picture: more are refused before memory is asked for."""
_PLAIN = ("YCbCr", "RGB", "Gray")  # CMYK is converted by Pillow, which knows Adobe's inverted one
_IMAGE_BEGINS = (0xDA, 0xD9)  # start of scan, end of image
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # grey of 16 bits
_DEEPEST = 65_535


def check_decoders() -> None:
    """Raise MissingExtraError unless the libraries that decode pictures are there."""
    missing = [name for name in ("PIL", "simplejpeg") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"Reading pictures needs {' and '.join(missing)}, which isn't installed: pip install 'netsurgery[pictures]'"
        )


def decoded(content: bytes, name: str, *, least: int = 0, quick: bool = False) -> Pixels:
    """The picture upright, in red, green and blue; grey, palettes, CMYK and 16 bits are converted.

    name: for messages. least: a JPEG whose shorter side has at least twice as many pixels may come at a half, a quarter
        or an eighth of its size, as long as it has so many; 0: always whole. quick: take the decoder's quick ways,
        which are good enough to train on.
    Raises DataError for what is damaged, no picture, too large, or made of floats.
    """
    import simplejpeg
    from PIL import Image, UnidentifiedImageError

    if content[:2] == b"\xff\xd8" and not _has_exif(content):
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
            if colours in _PLAIN and height * width <= MOST_PIXELS:
                smallest = {"min_height": least, "min_width": least, "min_factor": 2} if least else {}
                return simplejpeg.decode_jpeg(  # type: ignore[no-any-return]
                    content, "RGB", fastdct=quick, fastupsample=quick, **smallest
                )
        except ValueError:  # damaged, or merely odd: let Pillow say
            pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data, and of sizes that are checked here
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise DataError(
                        f"{name} has {image.width} x {image.height} pixels; at most {MOST_PIXELS:,} are read. Make it "
                        "smaller."
                    )
                if image.mode == "F":
                    raise DataError(f"{name} holds floats, whose range is unknown. Convert it to 8 or 16 bits.")
                return np.array(_upright(image))
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} is too large: {error} At most {MOST_PIXELS:,} pixels are read. Make it smaller."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        what = "no picture that Pillow knows" if isinstance(error, UnidentifiedImageError) else f"damaged: {error}"
        raise DataError(
            f"{name} is {what}. Fetch it again, and a run goes on from its checkpoint. Without it the pictures are "
            "others, and a run begins anew."
        ) from error


def _has_exif(jpeg: bytes) -> bool:
    """Whether a segment before the image holds EXIF data, which may say that it lies on its side."""
    place = 2
    while place + 4 <= len(jpeg) and jpeg[place] == 0xFF and jpeg[place + 1] not in _IMAGE_BEGINS:
        if jpeg[place + 4 : place + 8] == b"Exif":
            return True
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return False


def _upright(image: Image.Image) -> Image.Image:
    """As RGB, turned as its EXIF data say."""
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode in _DEEP:
        grey = np.asarray(turned).astype(np.int64).clip(0, _DEEPEST) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if "transparency" in turned.info:
        turned = turned.convert("RGBA")
    return turned.convert("RGB")
