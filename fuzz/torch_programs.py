"""Random torch modules from a table of calls: what is packed of each has to compute what torch computes.

    python -m fuzz.torch_programs --count 2000

Each call is applied to what the ones before it have given, in shapes that it takes. `pack` itself compares file and
module; what it refuses is counted by its reason. Every second module has its first axis open.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsurgery as ns
from netsurgery.errors import NetsurgeryError, UnsupportedOperatorError

ROOT = Path(__file__).resolve().parents[1]
MOST_CALLS = 5

Make = Callable[[np.random.Generator, tuple[int, ...]], "nn.Module | Callable[[Tensor], Tensor] | None"]
"""(random numbers, shape of what is given) -> what is called, or None where it doesn't take such a shape."""


def _always(function: Callable[[Tensor], Tensor]) -> Make:
    return lambda rng, shape: function


def _axis(rng: np.random.Generator, shape: tuple[int, ...]) -> int:
    """An axis behind the batch."""
    return int(rng.integers(1, len(shape)))


def _along(function: Callable[[Tensor, int], Tensor]) -> Make:
    def make(rng: np.random.Generator, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
        axis = _axis(rng, shape)
        return lambda x: function(x, axis)

    return make


def _picture(make: Make, ranks: tuple[int, ...] = (3, 4, 5)) -> Make:
    return lambda rng, shape: make(rng, shape) if len(shape) in ranks and min(shape[2:]) >= 3 else None


def _conv(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    kind = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[len(shape)]
    groups = shape[1] if rng.random() < 0.2 else 1
    padding = int(rng.integers(0, 2))
    return kind(shape[1], groups * int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 3)), padding,
                groups=groups, bias=bool(rng.integers(2)))  # fmt: skip


def _conv_transpose(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    kind = {3: nn.ConvTranspose1d, 4: nn.ConvTranspose2d, 5: nn.ConvTranspose3d}[len(shape)]
    stride = int(rng.integers(1, 4))
    return kind(shape[1], int(rng.integers(1, 5)), int(rng.integers(1, 4)), stride,
                output_padding=int(rng.integers(0, stride)))  # fmt: skip


def _pool(of: str) -> Make:
    def make(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
        kind = getattr(nn, f"{of}Pool{len(shape) - 2}d")
        return kind(int(rng.integers(2, 4)), int(rng.integers(1, 3)), 1, ceil_mode=bool(rng.integers(2)))

    return make


def _norm(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    kind = {3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)]
    made = kind(shape[1])
    with torch.no_grad():
        made.running_mean.normal_()
        made.running_var.uniform_(0.5, 2)
    return made


def _interpolate(rng: np.random.Generator, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    modes = {3: ["nearest", "linear"], 4: ["nearest", "bilinear", "bicubic"], 5: ["nearest", "trilinear"]}[len(shape)]
    mode, aligned = str(rng.choice(modes)), bool(rng.integers(2))
    given: dict[str, Any] = {} if mode == "nearest" else {"align_corners": aligned}
    if rng.random() < 0.5:
        return lambda x: F.interpolate(x, scale_factor=2.0, mode=mode, **given)
    size = [int(rng.integers(2, 9)) for _ in shape[2:]]
    return lambda x: F.interpolate(x, size=size, mode=mode, **given)


def _linear(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module:
    return nn.Linear(shape[-1], int(rng.integers(1, 9)), bias=bool(rng.integers(2)))


def _recurrent(rng: np.random.Generator, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor] | nn.Module | None:
    if len(shape) != 3:
        return None
    kind = [nn.LSTM, nn.GRU, nn.RNN][int(rng.integers(3))]
    return _First(kind(shape[2], int(rng.integers(1, 6)), int(rng.integers(1, 3)), batch_first=True,
                       bidirectional=bool(rng.integers(2))))  # fmt: skip


class _First(nn.Module):
    """The first output of a module that gives several."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]  # type: ignore[no-any-return]


def _attention(rng: np.random.Generator, shape: tuple[int, ...]) -> nn.Module | None:
    if len(shape) != 3:
        return None
    return nn.TransformerEncoderLayer(shape[2], 1, 8, batch_first=True, norm_first=bool(rng.integers(2)))


CALLS: dict[str, Make] = {
    **{
        name: _always(getattr(F, name))
        for name in ("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid",
                     "softplus", "softsign", "logsigmoid", "leaky_relu", "hardtanh", "tanhshrink", "hardshrink",
                     "softshrink")
    },
    **{
        name: _always(getattr(torch, name))
        for name in ("abs", "neg", "exp", "sin", "cos", "tanh", "sigmoid", "erf", "square", "floor", "ceil", "round",
                     "sign", "trunc", "atan", "sinh", "asinh", "expm1")
    },
    "sqrt": _always(lambda x: torch.sqrt(x.abs() + 0.1)),
    "rsqrt": _always(lambda x: torch.rsqrt(x.abs() + 0.1)),
    "log": _always(lambda x: torch.log(x.abs() + 0.1)),
    "log1p": _always(lambda x: torch.log1p(x.abs())),
    "reciprocal": _always(lambda x: torch.reciprocal(x.abs() + 0.5)),
    "pow": _always(lambda x: (x.abs() + 0.1) ** 1.7),
    "arithmetic": _always(lambda x: 2 - x * 3 / 4 + x),
    "clamp": _always(lambda x: x.clamp(-0.5, 0.7)),
    "maximum": _always(lambda x: torch.maximum(x, -x)),
    "where": _always(lambda x: torch.where(x > 0.1, x, x * 0.5 - 1)),
    "masked_fill": _always(lambda x: x.masked_fill(x < 0, -2.0)),
    "glu": _along(lambda x, axis: F.glu(torch.cat([x, x + 1], axis), axis)),
    "softmax": _along(lambda x, axis: torch.softmax(x, axis)),
    "log_softmax": _along(lambda x, axis: torch.log_softmax(x, axis)),
    "sum": _along(lambda x, axis: x.sum(axis, keepdim=True)),
    "mean": _along(lambda x, axis: x.mean(axis, keepdim=True)),
    "amax": _along(lambda x, axis: x.amax(axis, keepdim=True)),
    "amin": _along(lambda x, axis: x.amin(axis, keepdim=True)),
    "var": _along(lambda x, axis: torch.cat([x, x + 1], axis).var(axis, keepdim=True)),
    "std": _along(lambda x, axis: torch.cat([x, x + 1], axis).std(axis, keepdim=True, unbiased=False)),
    "norm": _along(lambda x, axis: x.norm(dim=axis, keepdim=True)),
    "normalize": _along(lambda x, axis: F.normalize(x, dim=axis)),
    "logsumexp": _along(lambda x, axis: x.logsumexp(axis, keepdim=True)),
    "cumsum": _along(lambda x, axis: x.cumsum(axis)),
    "flip": _along(lambda x, axis: x.flip(axis)),
    "roll": _along(lambda x, axis: x.roll(1, axis)),
    "sort of the largest": _along(lambda x, axis: x.topk(1, axis)[0]),
    "argmax": _along(lambda x, axis: x.argmax(axis, keepdim=True).float()),
    "cat": _along(lambda x, axis: torch.cat([x, -x], axis)),
    "chunk": _along(lambda x, axis: torch.cat([x, x], axis).chunk(2, axis)[1]),
    "select": _along(lambda x, axis: x.select(axis, -1).unsqueeze(axis)),
    "narrow": _along(lambda x, axis: x.narrow(axis, 0, 1)),
    "repeat_interleave": _along(lambda x, axis: x.repeat_interleave(2, axis)),
    "unsqueeze": _always(lambda x: x.unsqueeze(1).squeeze(1)),
    "transpose": lambda rng, shape: (lambda x: x.transpose(1, -1)) if len(shape) > 2 else None,
    "flatten": _always(lambda x: x.flatten(1)),
    "tokens": lambda rng, shape: (lambda x: x.flatten(2).transpose(1, 2)) if len(shape) > 2 else None,
    "expand": _always(lambda x: x.unsqueeze(-1).expand(*x.shape, 2)),
    "tile": _along(lambda x, axis: x.repeat([2 if one == axis else 1 for one in range(x.dim())])),
    "linear": _linear,
    "layer norm": lambda rng, shape: nn.LayerNorm(shape[-1]),
    "rms norm": lambda rng, shape: nn.RMSNorm(shape[-1]),
    "products": lambda rng, shape: (lambda x: x @ x.transpose(-1, -2)) if len(shape) > 2 else None,
    "einsum": lambda rng, shape: (lambda x: torch.einsum("bij,bkj->bik", x, x)) if len(shape) == 3 else None,
    "attention": lambda rng, shape: (lambda x: F.scaled_dot_product_attention(x, x, x)) if len(shape) == 3 else None,
    "transformer": _attention,
    "recurrent": _recurrent,
    "conv": _picture(_conv),
    "conv transpose": _picture(_conv_transpose),
    "max pool": _picture(_pool("Max")),
    "average pool": _picture(_pool("Avg")),
    "adaptive pool": _picture(lambda rng, shape: [nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d][
        len(shape) - 3](int(rng.integers(1, 4)))),
    "batch norm": _picture(_norm),
    "group norm": lambda rng, shape: nn.GroupNorm(1, shape[1]) if len(shape) > 2 else None,
    "instance norm": _picture(lambda rng, shape: [nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d][
        len(shape) - 3](shape[1])),
    "local response": lambda rng, shape: nn.LocalResponseNorm(3) if len(shape) == 4 else None,
    "prelu": lambda rng, shape: nn.PReLU(shape[1]),
    "interpolate": _picture(_interpolate),
    "pixel shuffle": lambda rng, shape: (
        (lambda x: F.pixel_shuffle(torch.cat([x] * 4, 1), 2)) if len(shape) == 4 else None),
    "pixel unshuffle": lambda rng, shape: (
        (lambda x: F.pixel_unshuffle(x, 2)) if len(shape) == 4 and not shape[2] % 2 and not shape[3] % 2 else None),
    "channel shuffle": lambda rng, shape: nn.ChannelShuffle(2) if len(shape) == 4 and not shape[1] % 2 else None,
    **{
        f"pad {mode}": _picture(lambda rng, shape, mode=mode: lambda x: F.pad(x, [1, 2] * (x.dim() - 2), mode=mode))
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "unfold": lambda rng, shape: (lambda x: F.unfold(x, 3)) if len(shape) == 4 and min(shape[2:]) >= 3 else None,
}  # fmt: skip
"""Name -> what makes such a call for what it is given."""


class Program(nn.Module):
    """Calls one after another; every second one is added to what it was given, where shapes allow it."""

    def __init__(self, calls: list[Any]) -> None:
        super().__init__()
        self.calls = calls
        self.modules_of_it = nn.ModuleList([call for call in calls if isinstance(call, nn.Module)])

    def forward(self, x: Tensor) -> Tensor:
        for place, call in enumerate(self.calls):
            y = call(x)
            x = x + y if place % 2 and y.shape == x.shape else y
        return x


@dataclass
class Found:
    """What has come out so far."""

    programs: int = 0
    packed: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[dict[str, Any]] = field(default_factory=list)


def program(seed: int) -> tuple[list[str], Program, Tensor]:
    """The names of its calls, a module, and an input for it."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    rank = int(rng.integers(2, 6))
    x = torch.randn(2, *(int(rng.integers(1, 9)) for _ in range(rank - 1)))
    names: list[str] = []
    calls: list[Any] = []
    y = x
    while len(calls) < rng.integers(1, MOST_CALLS + 1):
        name = str(rng.choice(list(CALLS)))
        call = CALLS[name](rng, tuple(y.shape))
        if call is None:
            continue
        if isinstance(call, nn.Module):
            call.eval()
        try:
            with torch.no_grad():
                after = Program([*calls, call]).eval()(x)
        except RuntimeError:  # a kernel larger than a picture, and the like
            continue
        if after.numel() == 0 or after.numel() > 20_000 or not bool(torch.isfinite(after).all()):
            continue
        names.append(name)
        calls.append(call)
        y = after
    return names, Program(calls).eval(), x


def check(seed: int, found: Found, folder: Path) -> None:
    """Pack a program, and note what comes of it."""
    names, module, x = program(seed)
    found.programs += 1
    found.calls.update(names)
    axes: dict[str | int, dict[int, str]] = {0: {0: "batch"}} if seed % 2 else {}
    try:
        ns.pack(module, folder / "program.nsm", example_inputs=x, open_axes=axes)
        network = ns.load(folder / "program.nsm", threads=1)
        if seed % 2:  # at another size than that of the examples
            more = torch.cat([x, x + 0.5, x[:1]])
            with torch.no_grad():
                wanted = module(more).numpy()
            given = network(more.numpy())
            if not np.allclose(given, wanted, rtol=2e-4, atol=2e-4 * max(1.0, float(np.abs(wanted).max()))):
                raise AssertionError(f"differs at batch 5 by {np.abs(given - wanted).max():.1e}")
        found.packed += 1
    except UnsupportedOperatorError as error:
        found.refused.update(set(re.findall(r"aten\.[\w.]+(?:: [^;,]+)?", str(error))) or {str(error)[:140]})
    except NetsurgeryError as error:
        kind = type(error).__name__
        if kind == "VerificationError":
            found.wrong.append({"seed": seed, "calls": names, "why": str(error)[:300]})
        else:
            found.refused[f"{kind}: {error}"[:140]] += 1
    except Exception as error:  # whatever it is, it isn't what was promised
        why = traceback.format_exception_only(error)[-1].strip()[:300]
        found.wrong.append({"seed": seed, "calls": names, "why": why})


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first one; the others follow")
    parser.add_argument("--record", type=Path, metavar="FILE.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = Found()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(options.seed, options.seed + options.count):
            check(seed, found, Path(folder))
            if sys.stderr.isatty():
                print(f"\r{found.programs:,} of {options.count:,} programs", end="", file=sys.stderr)
    print(f"{found.programs:,} programs: {found.packed:,} packed, {len(found.wrong)} wrong")
    for reason, times in found.refused.most_common(40):
        print(f"refused {times:,} times: {reason}")
    for one in found.wrong[:30]:
        print(f"seed {one['seed']}: {', '.join(one['calls'])}: {one['why']}")
    if options.record:
        options.record.write_text(json.dumps(vars(found) | {"seed": options.seed}, indent=1, default=dict) + "\n")
    sys.exit(1 if found.wrong else 0)


if __name__ == "__main__":
    main()
