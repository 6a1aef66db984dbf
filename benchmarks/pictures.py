"""How many pictures a second are decoded, and how many go through the whole preparation, in one run by turns.

python benchmarks/pictures.py [--processes 2] [--rounds 7]

Made pictures of 500 x 375 pixels, about as many bytes as ImageNet's have (110 kB), from a folder that the system has in
memory. Each contender uses as many processes as the others:

decoded         the bytes of a file to red, green and blue, whole and exactly
Pillow          the same by Pillow, as most programs do it
paper, modern   batches as a training gets them: read, decoded, cut out, scaled, mirrored, put together, handed over
judged          the same without chance, as an evaluation gets them
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from netsurgery.pictures import loading
from netsurgery.pictures.decoding import decoded
from netsurgery.pictures.finding import training_pictures
from netsurgery.pictures.loading import Loader, Wanted
from netsurgery.pictures.picture_set import PictureSet
from netsurgery.pictures.preparation import modern, paper
from netsurgery.timing.machine import machine, versions

HEIGHT, WIDTH, QUALITY = 375, 500, 98
FILES, BATCH, BATCHES = 64, 32, 10  # of a turn
RESULT = Path(__file__).parent / "results" / "pictures.json"


def made(seed: int) -> bytes:
    """Noise at all scales, as photographs have it."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.full((1, 3, HEIGHT, WIDTH), 128.0)
    for scale in (1, 2, 4, 8, 16, 32, 64, 128):
        size = (max(2, HEIGHT // scale), max(2, WIDTH // scale))
        grey, colours = torch.randn(1, 1, *size, generator=generator), torch.randn(1, 3, *size, generator=generator)
        pixels += F.interpolate(grey + 0.3 * colours, size=(HEIGHT, WIDTH), mode="bilinear") * 3.0 * scale**0.7
    image = Image.fromarray(pixels.clamp(0, 255).byte()[0].permute(1, 2, 0).numpy())
    written = io.BytesIO()
    image.save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


class Bare:
    """In the place of a preparation: decodes and hands nothing over but a number."""

    def __init__(self, decode: Callable[[bytes], np.ndarray]) -> None:
        self._decode = decode

    def judged(self, content: bytes, _: str) -> np.ndarray:
        return self._decode(content)[:1, :1]


def by_pillow(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def exactly(content: bytes) -> np.ndarray:
    return decoded(content, "")


def images_per_s(pictures: PictureSet, preparation: Any, how: Any, processes: int) -> float:
    """From the first batch to the last; processes have begun and their queues are full by then."""

    def wanted() -> Iterable[Wanted]:
        for number in range(BATCHES + processes * loading._AHEAD):
            yield Wanted([(number * BATCH + place) % FILES for place in range(BATCH)], how, str(number))

    loader = Loader(pictures, preparation, wanted(), processes)
    for _ in range(processes * loading._AHEAD):  # what was read ahead while the processes began
        next(loader)
    began_s = time.perf_counter()
    for _ in range(BATCHES):
        next(loader)
    spent_s = time.perf_counter() - began_s
    loader.close()
    return BATCH * BATCHES / spent_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "train" / "class"
        folder.mkdir(parents=True)
        sizes = [(folder / f"{number}.jpg").write_bytes(made(number)) for number in range(FILES)]
        pictures = training_pictures(Path(place))
        contenders = {
            "decoded": (Bare(exactly), "judged"),
            "Pillow": (Bare(by_pillow), "judged"),
            "paper": (paper(227), "varied"),
            "modern": (modern(224), "varied"),
            "judged": (modern(224), "judged"),
        }
        rounds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, (preparation, how) in contenders.items():
                rounds[name].append(round(images_per_s(pictures, preparation, how, options.processes), 1))
    shares = {
        name: [round(ours / bare, 4) for ours, bare in zip(speeds, rounds["decoded"], strict=True)]
        for name, speeds in rounds.items()
    }
    result = {
        "pixels": [WIDTH, HEIGHT],
        "mean_bytes": round(statistics.fmean(sizes)),
        "processes": options.processes,
        "images_per_s": rounds,
        "of_decoded": shares,
        "versions": versions(("netsurgery", "torch", "numpy", "pillow", "simplejpeg")),
        "machine": machine(1),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, speeds in rounds.items():
        low, high = min(shares[name]), max(shares[name])
        median = statistics.median(shares[name])
        print(f"{name:<10}{statistics.median(speeds):8.0f} images/s, {median:.2f} of decoded ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
