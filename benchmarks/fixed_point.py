"""Networks of powers of two and of binary planes in fixed point, beside the same in float32 and beside ONNX Runtime.

    cd benchmarks && python fixed_point.py            # writes results/fixed_point.json
    cd benchmarks && python fixed_point.py --only lenet5 --only resnet20    # their rows; others of this machine stay
    cd benchmarks && python fixed_point.py --quick    # fewer rounds; prints

Random weights that are spread as trained ones are (networks/random_weights.py), of which the largest are kept, each the
nearest of 2^(bits - 2) powers of two or their negatives, as INQ has them; batch norms and biases stay floats. VGG-16
is a sketch: each filter the nearest sum of two binary planes.
Four contenders take turns in one process: the network in fixed point, calibrated on four random images; the same file
in float32; ONNX Runtime on the same weights in float32; and ONNX Runtime on an int8 network that its own quantisation
makes of them (static, QDQ, weights by channel, the same images). Memory is that of processes of their own, of the two
files. Accuracy isn't measured here: weights are random.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import memory
import numpy as np
import torch
from kept_rows import kept_rows
from networks.any_networks import ANY_NETWORKS, TENTH
from networks.lenets import lenet
from networks.random_weights import keep, trained_like
from networks.vgg import vgg16_sketch
from torch import nn

import netsurgery as ns
from netsurgery import _native
from netsurgery.deployment.dense_runtime import DenseRuntime
from netsurgery.files import replacing
from netsurgery.methods.powers import fitted_powers, nearest_power
from netsurgery.timing.calls import timed
from netsurgery.timing.machine import machine, other_processes, versions
from netsurgery.timing.turns import Pace, in_turns
from netsurgery.zoo.resnet import resnet20

RESULTS = Path(__file__).parent / "results" / "fixed_point.json"
PACE, QUICK = Pace(rounds=9, turn_s=0.15, least_calls=2), Pace(rounds=5, turn_s=0.05, least_calls=1)


@dataclass(frozen=True)
class Case:
    """A network. build: it, in eval mode. shape: of an image. kept: in words, which weights are left.

    bits: of the powers of two that they become; None where build has made planes of them.
    """

    title: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    kept: str
    bits: int | None
    batches: tuple[int, ...]


def _found(name: str, *batches: int) -> Case:
    network = ANY_NETWORKS[name]
    shape = tuple(network.examples(1)[0].shape[1:])
    return Case(network.title, partial(network.made, TENTH), shape, "10 %", 4, batches)


def _resnet20() -> nn.Module:
    torch.manual_seed(0)
    model = trained_like(resnet20(), torch.rand(8, 3, 32, 32))
    keep(model, 0.2)
    return model


CASES = {
    "resnet18": _found("resnet18", 1, 16),
    "resnet50": _found("resnet50", 1, 16),
    "mobilenet-v2": _found("mobilenet-v2", 1),
    "vgg16-sketch": Case("VGG-16, sketch", vgg16_sketch, (3, 224, 224), "2 planes", None, (1,)),
    "lenet5": Case("LeNet-5", partial(lenet, "lenet5"), (1, 28, 28), "1/108", 5, (1, 64)),
    "resnet20": Case("ResNet-20, 32 x 32", _resnet20, (3, 32, 32), "20 %", 4, (1, 64)),
}
QUANTIZED = (nn.Conv2d, nn.Linear)
FIXED, FLOAT, ONNX, INT8 = "fixed", "float", "onnxruntime", "onnxruntime_int8"


@torch.no_grad()
def to_powers(model: nn.Module, bits: int) -> None:
    """What is left of the weights of convolutions and linear layers, depthwise ones too, as powers of two of least
    squared error: those that INQ takes."""
    for module in model.modules():
        if not isinstance(module, QUANTIZED):
            continue
        weight = module.weight
        kept = weight[weight != 0]
        weight.copy_(nearest_power(weight, *fitted_powers(lambda kept=kept: [kept], bits)))


def measured(name: str, threads: Sequence[int], pace: Pace) -> list[dict[str, Any]]:
    """A row for each batch size and number of threads."""
    case = CASES[name]
    model = case.build()
    if case.bits is not None:
        to_powers(model, case.bits)
    rows = []
    torch.manual_seed(1)
    images = torch.rand(4, *case.shape)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            axes = {"x": {0: "batch"}}
            torch.onnx.export(
                model, (images,), str(source), opset_version=17, dynamo=False, input_names=["x"], dynamic_axes=axes
            )
        float_report = ns.pack(source, source.with_suffix(".nsm"), example_inputs=[images.numpy()])
        fixed = Path(folder) / "fixed.nsm"
        report = ns.pack(
            source, fixed, example_inputs=[images.numpy()], activations="fixed", calibration=[images.numpy()]
        )
        int8 = _quantized(source, images.numpy())
        for count in threads:
            for batch in case.batches:
                x = np.random.default_rng(2).normal(size=(batch, *images.shape[1:])).astype(np.float32)
                calls: dict[str, Callable[[], Any]] = {
                    FIXED: partial(ns.load(fixed, threads=count), x),
                    FLOAT: partial(ns.load(source.with_suffix(".nsm"), threads=count), x),
                    ONNX: DenseRuntime(source, count).bound([x]),
                    INT8: DenseRuntime(int8, count).bound([x]),
                }
                times = in_turns({who: partial(timed, call) for who, call in calls.items()}, pace)
                rows.append(
                    {
                        "network": name,
                        "kept": case.kept,
                        "bits": case.bits,
                        "batch": batch,
                        "threads": count,
                        "packed_bytes": report.size_bytes,
                        "float_bytes": float_report.size_bytes,
                        "rounding_difference": report.rounding_difference,
                        "running_bytes": {
                            who: running_bytes(file, count, batch)
                            for who, file in ((FIXED, fixed), (FLOAT, source.with_suffix(".nsm")))
                        },
                        "runtimes": {who: own.figures() for who, own in times.items()},
                        "times_faster_than": {
                            who: times[FIXED].times_faster_than(times[who]).rounded() for who in (FLOAT, ONNX, INT8)
                        },
                    }
                )
                print(shown(rows[-1]), flush=True)
    return rows


def running_bytes(path: Path, threads: int, batch: int) -> int:
    """The most memory that running takes above the library's own, in a process of its own, once a plan is made."""
    found = memory.measured("nsm", path, threads, batch)
    return found["peak_running_bytes"] - found["library_bytes"]


def _quantized(source: Path, images: np.ndarray[Any, Any]) -> Path:
    """ONNX Runtime's own int8 network."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter([{"x": images[place : place + 1]} for place in range(len(images))])

        def get_next(self) -> Any:
            return next(self.left, None)

    logging.disable(logging.WARNING)
    ready, target = source.with_name("ready.onnx"), source.with_name("int8.onnx")
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(ready), str(target), Images(), quant_format=quantization.QuantFormat.QDQ, per_channel=True
    )
    return target


def shown(row: dict[str, Any]) -> str:
    """A row as a line to read."""
    times = ", ".join(f"{who} {own['median_us'] / 1000:.4g} ms" for who, own in row["runtimes"].items())
    ratios = ", ".join(f"{ratio['median']:.2f}x {who}" for who, ratio in row["times_faster_than"].items())
    return f"{row['network']}, batch {row['batch']}, {row['threads']} threads: {times}; {ratios}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(CASES), action="append", help="one network; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--threads", type=int, action="append", metavar="N", help="may be repeated (default 1 and 2)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the record goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    threads = options.threads or [1, 2]
    out = options.out or (None if options.quick else RESULTS)
    rows: list[dict[str, Any]] = []
    for name in options.only or CASES:
        with other_processes() as others:
            made = measured(name, threads, QUICK if options.quick else PACE)
        rows += [row | {"busy_cores": others.busy_cores} for row in made]
        if others.warning:
            print(others.warning)
    if out is not None:
        rows = [*kept_rows(out, {row["network"] for row in rows}), *rows]
        record = {
            "what": "random weights, the largest kept, powers of two, or planes; fixed point against floats",
            "machine": machine(max(threads)),
            "versions": versions(("netsurgery", "torch", "numpy", "onnx")) | {"onnxruntime": version("onnxruntime")},
            "instructions": _native.instructions(),
            "seed": 0,
            "rounds": PACE.rounds,
            "memory": "while running",
            "rows": rows,
        }
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
