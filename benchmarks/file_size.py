"""File sizes beside general compressors and the MPEG codec for networks, on the same weights.

    netsurgery reproduce lenet5 --data DIR --method threshold-surgery --out runs/lenet5-threshold-surgery
    python benchmarks/file_size.py runs/*/*-seed0.safetensors

Each network is packed as it is (float32, exact) and with its weights rounded to 5-bit powers of two (accuracy doesn't
matter here). xz and zstd get the same float32 numbers, layer after layer; NNCodec (pip install nncodec, optional) gets
each tensor as whole numbers that stand for the powers, and as the powers themselves; the smaller result counts, and
only if it decodes to the same weights. zstandard is optional too.

Writes benchmarks/results/file_size.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import lzma
import math
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

import netsurgery as ns
from netsurgery.timing.machine import machine, versions
from netsurgery.zoo.lenet import LeNet5, LeNet300

Weights = dict[str, np.ndarray]
RESULTS = Path(__file__).parent / "results" / "file_size.json"


def powers_of_two(weights: np.ndarray, bits: int = 5) -> np.ndarray:
    """Each weight to the nearest of {0, ±2^n2 .. ±2^n1}, as incremental quantization has it (Zhou et al. 2017)."""
    if not weights.any():
        return weights
    magnitude = np.abs(weights)
    n1 = math.floor(math.log2(4 * float(magnitude.max()) / 3))
    n2 = n1 + 1 - 2 ** (bits - 1) // 2
    result = np.zeros_like(weights)
    for n in range(n2, n1 + 1):
        low = 2.0**n / 2 if n == n2 else 2.0**n * 0.75
        result[(magnitude >= low) & (magnitude < 2.0**n * 1.5)] = 2.0**n
    return np.copysign(result, weights) * (result > 0)


def packed(weights: Weights, **settings: object) -> int:
    """Bytes of the whole .nsm file, graph included."""
    model = LeNet5() if "conv1.weight" in weights else LeNet300()
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    with tempfile.TemporaryDirectory() as folder:
        report = ns.pack(model, Path(folder) / "network.nsm", example_inputs=torch.rand(4, 1, 28, 28), **settings)
    return report.size_bytes


def raw(weights: Weights) -> bytes:
    return b"".join((value + 0.0).astype("<f4").tobytes() for value in weights.values())


def xz(weights: Weights) -> int:
    return len(lzma.compress(raw(weights), preset=9 | lzma.PRESET_EXTREME))


def zstd(weights: Weights) -> int | None:
    try:
        import zstandard
    except ImportError:
        return None
    return len(zstandard.ZstdCompressor(level=22).compress(raw(weights)))


def nncodec(weights: Weights) -> int | None:
    """The smaller stream of the two ways to write powers of two; None where the codec is missing or not exact."""
    sizes = [_nncodec(_numbered(weights), step_exponent=0)]
    exponents = [math.frexp(float(np.abs(value[value != 0]).min()))[1] - 1 for value in weights.values() if value.any()]
    sizes.append(_nncodec(weights, step_exponent=min(exponents)))
    return min((size for size in sizes if size is not None), default=None)


def _numbered(weights: Weights) -> Weights:
    """Powers of two as ±1, ±2, ... from each tensor's smallest on."""
    result = {}
    for name, value in weights.items():
        exponent = np.frexp(np.abs(value))[1]
        smallest = exponent[value != 0].min() if value.any() else 0
        result[name] = (np.sign(value) * (exponent - smallest + 1) * (value != 0)).astype(np.float32)
    return result


def _nncodec(weights: Weights, step_exponent: int) -> int | None:
    try:
        from nncodec.nn import decode, encode
    except ImportError:
        return None
    qp = 4 * step_exponent  # the step is 2^(qp / 4)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        settings = {"qp": qp, "nonweight_qp": qp, "use_dq": False, "results": folder, "verbose": False}
        stream = encode({name: value + 0.0 for name, value in weights.items()}, settings)
        decoded = decode(stream, settings)
    exact = all(
        np.array_equal(np.asarray(decoded[name]).reshape(value.shape), value) for name, value in weights.items()
    )
    return len(stream) if exact else None


COMPARED: dict[str, Callable[[Weights], int | None]] = {
    "raw float32": lambda weights: len(raw(weights)),
    "xz -9e": xz,
    "zstd -22": zstd,
    "NNCodec": nncodec,
    ".nsm": packed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="+", type=Path, help="safetensors files of netsurgery reproduce")
    networks = parser.parse_args().networks
    rows = []
    for path in networks:
        exact = {name: value.astype(np.float32) for name, value in load_file(path).items()}
        rounded = {name: powers_of_two(value) for name, value in exact.items()}
        for form, weights in (("float32, exact", exact), ("5-bit powers of two", rounded)):
            sizes = {
                name: compress(weights)
                for name, compress in COMPARED.items()
                if name != "NNCodec" or weights is rounded
            }
            rows.append(
                {
                    "network": path.parent.name,
                    "file": path.name,
                    "weights": form,
                    "connections": int(sum(np.count_nonzero(value) for value in weights.values())),
                    "all_connections": int(sum(value.size for value in weights.values())),
                    "size_bytes": sizes,
                }
            )
            print(path.parent.name, form, rows[-1]["connections"], sizes)
    codecs = {name: version(name) for name in ("nncodec", "zstandard") if find_spec(name)}
    record = {"machine": machine(threads=1), "versions": versions(), "codecs": codecs, "rows": rows}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
