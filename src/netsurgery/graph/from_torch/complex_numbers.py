"""Complex values of torch, as two values of the graph: Fourier transforms, spectrograms, and what is done with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import FIX, Activation, Call, Constant, Cut, Open, Sizes, pointwise
from netsurgery.graph.from_torch.functions import angle
from netsurgery.graph.waves import times_counted, waves

Part: TypeAlias = "Activation | Constant | Cut"


@dataclass(frozen=True)
class Complex:
    """A complex tensor: its real and its imaginary part."""

    real: Part
    imaginary: Part

    @property
    def shape(self) -> Sizes:
        return self.real.shape


Translation: TypeAlias = Callable[[Call], "str | tuple[str | None, ...]"]

_BY_PARTS = frozenset(
    f"aten.{overload}.default"
    for overload in (
        *(
            "view",
            "reshape",
            "_unsafe_view",
            "unsqueeze",
            "squeeze",
            "permute",
            "t",
            "expand",
            "repeat",
            "cat",
            "stack",
        ),
        *("index_select", "clone", "alias", "contiguous", "flip", "roll", "neg", "constant_pad_nd"),
    )
) | {
    *("aten.squeeze.dim", "aten.squeeze.dims", "aten.transpose.int", "aten.slice.Tensor", "aten.select.int"),
    *("aten.sum.dim_IntList", "aten.mean.dim", "aten.slice_scatter.default", "aten.select_scatter.default"),
}
"""What is done to each part by itself."""


def parts_of(value: Any) -> Complex | None:
    """A value that is complex, known ones too; None for others."""
    if isinstance(value, Complex):
        return value
    if isinstance(value, Cut) and value.whole.tensor.is_complex():
        return Complex(*(pointwise(value, part) for part in (torch.real, torch.imag)))
    if isinstance(value, Constant) and value.tensor.is_complex():
        return Complex(
            Constant(value.tensor.real.contiguous(), f"{value.name}.real"),
            Constant(value.tensor.imag.contiguous(), f"{value.name}.imaginary"),
        )
    return None


def is_complex(target: str, leaves: Sequence[Any], given: Any) -> bool:
    """True if a call takes or gives complex values; `given`: what torch.export traced of its result."""
    makes = isinstance(given, torch.Tensor) and given.is_complex()
    return makes or target in _OWN or any(parts_of(leaf) is not None for leaf in leaves)


def translated(target: str, call: Call, translations: dict[str, Translation]) -> Complex | Activation:
    """What a call gives. Raises UnsupportedOperatorError for one that there isn't for complex values."""
    own = _OWN.get(target) or _OF_COMPLEX.get(target)
    if own is not None:
        return own(call)
    if target in _BY_PARTS and target in translations:
        real, imaginary = (
            _named(_with_parts(call, which), translations[target], call.shape) for which in ("real", "imaginary")
        )
        return Complex(real, imaginary)
    dims = call.arguments.get("dim")
    axes = range(len(call.shape)) if dims is None else dims if isinstance(dims, list | tuple) else [dims]
    if target.startswith("aten.fft_") and any(isinstance(call.shape[axis], Open) for axis in axes):
        raise UnsupportedOperatorError(f"works along an axis whose size is open; {FIX}")
    raise UnsupportedOperatorError(
        "computes with complex numbers; transforms, products, sums, absolute values and views of them are supported"
    )


def _with_parts(call: Call, which: str) -> Call:
    """The call with one part in the place of each complex argument."""

    def part(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [part(one) for one in value]
        found = parts_of(value)
        return value if found is None else getattr(found, which)

    return replace(
        call, arguments={name: part(value) for name, value in call.arguments.items()}, name=f"{call.name}.{which}"
    )


def _named(call: Call, translation: Translation, shape: Sizes) -> Activation:
    return Activation(str(translation(call)), shape)


def _along(call: Call, x: Part, axis: int, matrix: torch.Tensor, suffix: str) -> str:
    """A product with each row of a matrix along an axis."""
    rank = len(x.shape)
    name = call.placed(x, f"{suffix}.x")
    order = [place for place in range(rank) if place != axis] + [axis]
    if axis != rank - 1:
        name = call.transposed(name, order)
    weight = call.placed(Constant(matrix.float(), f"{call.name}.{suffix}.weight"))
    name = call.node("Linear", [name, weight], suffix)
    return call.transposed(name, [order.index(place) for place in range(rank)]) if axis != rank - 1 else name


def _waves(rows: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    cosines, sines = waves(rows, count)
    return torch.from_numpy(cosines), torch.from_numpy(sines)


def _size(call: Call, value: Part, axis: int) -> int:
    (size,) = call.known((value.shape[axis],))
    return size


def _scale(call: Call, counts: Sequence[int]) -> float:
    """The factor of a transform: 1, or 1 over the number of entries or its root."""
    entries = float(math.prod(counts))
    return {0: 1.0, 1: 1.0 / math.sqrt(entries), 2: 1.0 / entries}[int(call.arguments["normalization"])]


def _resized(value: Part, axis: int, size: int) -> Sizes:
    return (*value.shape[:axis], size, *value.shape[axis + 1 :])


def _each_way(call: Call, given: Complex, axis: int, *, forward: bool, scale: float, suffix: str) -> Complex:
    """A transform along one axis: (cos - i sin) times (real + i imaginary), with the other sign backwards."""
    count = _size(call, given.real, axis)
    cosines, sines = (scale * wave for wave in _waves(count, count))
    sines = sines if forward else -sines
    made = []
    if isinstance(given.imaginary, Constant) and not given.imaginary.tensor.any():
        return Complex(
            Activation(_along(call, given.real, axis, cosines, f"{suffix}.real"), given.shape),
            Activation(_along(call, given.real, axis, -sines, f"{suffix}.imaginary"), given.shape),
        )
    for name, first, second, sign in (
        ("real", given.real, given.imaginary, 1.0),
        ("imaginary", given.imaginary, given.real, -1.0),
    ):
        one = _along(call, first, axis, cosines, f"{suffix}.{name}.cosine")
        other = _along(call, second, axis, sign * sines, f"{suffix}.{name}.sine")
        made.append(Activation(call.node("Add", [one, other], f"{suffix}.{name}"), given.shape))
    return Complex(made[0], made[1])


def _of_reals(call: Call) -> Complex:
    """aten._fft_r2c: of real numbers, along the last axis that is named first; half of the result says all of it."""
    x: Part = call.arguments["self"]
    *others, last = call.axes("dim")
    count = _size(call, x, last)
    rows = count // 2 + 1 if call.arguments["onesided"] else count
    scale = _scale(call, [_size(call, x, axis) for axis in (*others, last)])
    cosines, sines = _waves(rows, count)
    shape = _resized(x, last, rows)
    result = Complex(
        Activation(_along(call, x, last, scale * cosines, "real"), shape),
        Activation(_along(call, x, last, -scale * sines, "imaginary"), shape),
    )
    for axis in others:
        result = _each_way(call, result, axis, forward=True, scale=1.0, suffix=f"axis_{axis}")
    return result


def _of_complex(call: Call) -> Complex:
    """aten._fft_c2c."""
    result = parts_of(call.arguments["self"])
    if result is None:
        raise UnsupportedOperatorError("is the transform of complex numbers")
    axes = call.arguments["dim"]
    axes = [axis % len(result.shape) for axis in axes]
    scale = _scale(call, [_size(call, result.real, axis) for axis in axes])
    for place, axis in enumerate(axes):
        result = _each_way(
            call, result, axis, forward=bool(call.arguments["forward"]), scale=1.0 if place else scale,
            suffix=f"axis_{axis}",
        )  # fmt: skip
    return result


def _to_reals(call: Call) -> Activation:
    """aten._fft_c2r: back, from half of the numbers: those between the first and the middle one count twice."""
    given = parts_of(call.arguments["self"])
    if given is None:
        raise UnsupportedOperatorError("is the transform of complex numbers")
    *others, last = [axis % len(given.shape) for axis in call.arguments["dim"]]
    count, rows = int(call.arguments["last_dim_size"]), _size(call, given.real, last)
    scale = _scale(call, [*(_size(call, given.real, axis) for axis in others), count])
    for axis in others:
        given = _each_way(call, given, axis, forward=False, scale=1.0, suffix=f"axis_{axis}")
    cosines, sines = (wave.T for wave in _waves(rows, count))
    times = torch.from_numpy(times_counted(rows, count))
    one = _along(call, given.real, last, scale * times * cosines, "cosine")
    other = _along(call, given.imaginary, last, -scale * times * sines, "sine")
    return Activation(call.node("Add", [one, other]), _resized(given.real, last, count))


def _spectrogram(call: Call) -> Complex | Activation:
    """aten.stft: convolutions by windowed cosines and sines, a frame at each hop."""
    count = int(call.number("n_fft"))
    hop = int(call.number("hop_length")) if call.given("hop_length") else count // 4
    length = int(call.number("win_length")) if call.given("win_length") else count
    if call.arguments.get("center") or call.arguments.get("align_to_window"):
        raise UnsupportedOperatorError("pads or aligns in a way that is not supported: give center=False to aten.stft")
    window = call.parameter("window").tensor.double() if call.given("window") else torch.ones(length).double()
    before = (count - length) // 2
    window = torch.nn.functional.pad(window, (before, count - length - before))
    onesided = call.arguments["onesided"] is not False
    cosines, sines = _waves(count // 2 + 1 if onesided else count, count)
    scale = count**-0.5 if call.arguments["normalized"] else 1.0
    sizes = call.sizes("self")
    row = call.reshaped(call.operand("self"), sizes, (*(sizes[:-1] or (1,)), 1, sizes[-1]), "row")
    shape = call.shape if call.arguments["return_complex"] else call.shape[:-1]
    found = []
    for name, table in (("real", cosines), ("imaginary", -sines)):
        weight = Constant((scale * table * window).float().unsqueeze(1), f"{call.name}.{name}.weight")
        frames = call.node("Conv", [row, call.placed(weight)], f"{name}.frames", strides=(hop,))
        found.append(Activation(call.reshaped(frames, (*(sizes[:-1] or (1,)), *shape[-2:]), shape, name), shape))
    result = Complex(found[0], found[1])
    return result if call.arguments["return_complex"] else _pairs(call, result)


def _pairs(call: Call, given: Complex) -> Activation:
    """Both parts side by side along a new last axis."""
    names = [
        call.reshaped(call.placed(part, which), part.shape, (*part.shape, 1), f"{which}.column")
        for which, part in (("real", given.real), ("imaginary", given.imaginary))
    ]
    return Activation(call.node("Concat", names, axis=len(given.shape)), (*given.shape, 2))


def _view_as_real(call: Call) -> Activation:
    """aten.view_as_real."""
    return _pairs(call, _complex(call, "self"))


def _view_as_complex(call: Call) -> Complex:
    """aten.view_as_complex."""
    x, sizes = call.operand("self"), call.sizes("self")
    parts = []
    for place, which in enumerate(("real", "imaginary")):
        column = call.node("Slice", [x], f"{which}.column", axis=len(sizes) - 1, start=place, stop=place + 1)
        parts.append(Activation(call.reshaped(column, (*sizes[:-1], 1), sizes[:-1], which), sizes[:-1]))
    return Complex(parts[0], parts[1])


def _of_parts(call: Call) -> Complex:
    """aten.complex."""
    real, imaginary = (
        Activation(call.expanded(call.operand(name), call.shape, f"{name}.part"), call.shape)
        for name in ("real", "imag")
    )
    return Complex(real, imaginary)


def _of_angle(call: Call) -> Complex:
    """aten.polar: a size and an angle."""
    return _turned(call, call.operand("abs"), call.operand("angle"))


def _turned(call: Call, size: str, angle: str) -> Complex:
    """Of a size and an angle, that times its cosine and its sine."""
    real, imaginary = (
        Activation(call.node("Mul", [size, call.node(wave, [angle], f"{which}.wave")], which), call.shape)
        for which, wave in (("real", "Cos"), ("imaginary", "Sin"))
    )
    return Complex(real, imaginary)


def _angle(call: Call) -> Activation:
    """aten.angle."""
    given = _complex(call, "self")
    parts = {"self": given.imaginary, "other": given.real}
    return Activation(angle(replace(call, arguments=parts)), call.shape)


def _power(call: Call) -> Complex:
    """aten.exp."""
    given = _complex(call, "self")
    size = call.node("Exp", [call.placed(given.real, "real")], "size")
    return _turned(call, size, call.placed(given.imaginary, "imaginary"))


def _quotient(call: Call) -> Complex:
    """aten.div: by real numbers part by part; by others, times their conjugates over their squares."""
    a, b = _complex(call, "self"), _complex(call, "other")

    def node(operator: str, one: Part | str, other: Part | str, suffix: str) -> str:
        names = [
            part if isinstance(part, str) else call.placed(part, name) for name, part in (("a", one), ("b", other))
        ]
        return call.node(operator, names, suffix)

    if _is_real(call, "other"):
        parts = (("real", a.real), ("imaginary", a.imaginary))
        real, imaginary = (Activation(node("Div", part, b.real, which), call.shape) for which, part in parts)
        return Complex(real, imaginary)
    squares = (node("Mul", b.real, b.real, "real.square"), node("Mul", b.imaginary, b.imaginary, "imaginary.square"))
    square = node("Add", *squares, "square")
    above = (
        node("Add", node("Mul", a.real, b.real, "rr"), node("Mul", a.imaginary, b.imaginary, "ii"), "real.above"),
        node("Sub", node("Mul", a.imaginary, b.real, "ir"), node("Mul", a.real, b.imaginary, "ri"), "imaginary.above"),
    )
    real, imaginary = (
        Activation(node("Div", part, square, which), call.shape)
        for which, part in zip(("real", "imaginary"), above, strict=True)
    )
    return Complex(real, imaginary)


def _complex(call: Call, argument: str) -> Complex:
    """An argument as a complex value: a real one has an imaginary part of 0."""
    value = call.arguments[argument]
    found = parts_of(value)
    if found is not None:
        return found
    real = value if isinstance(value, Activation | Constant) else Constant(torch.tensor(float(value)), "number")
    return Complex(real, Constant(torch.zeros(()), f"{call.name}.zero"))


def _is_real(call: Call, argument: str) -> bool:
    return parts_of(call.arguments[argument]) is None


def _size_of(call: Call) -> Activation:
    """aten.abs: the root of the sum of squares."""
    given = _complex(call, "self")
    squares = []
    for which, part in (("real", given.real), ("imaginary", given.imaginary)):
        name = call.placed(part, which)
        squares.append(call.node("Mul", [name, name], f"{which}.square"))
    return Activation(call.node("Sqrt", [call.node("Add", squares, "squares")]), given.shape)


def _product(call: Call) -> Complex:
    """aten.mul."""
    a, b = _complex(call, "self"), _complex(call, "other")

    def times(one: Part, other: Part, suffix: str) -> str:
        return call.node("Mul", [call.placed(one, "a"), call.placed(other, "b")], suffix)

    if _is_real(call, "other") or _is_real(call, "self"):
        number, given = (b.real, a) if _is_real(call, "other") else (a.real, b)
        return Complex(
            Activation(times(given.real, number, "real"), call.shape),
            Activation(times(given.imaginary, number, "imaginary"), call.shape),
        )
    real = [times(a.real, b.real, "real.a"), times(a.imaginary, b.imaginary, "real.b")]
    imaginary = [times(a.real, b.imaginary, "imaginary.a"), times(a.imaginary, b.real, "imaginary.b")]
    return Complex(
        Activation(call.node("Sub", real, "real"), call.shape),
        Activation(call.node("Add", imaginary, "imaginary"), call.shape),
    )


def _sum(operator: str) -> Callable[[Call], Complex]:
    """aten.add and sub."""

    def translate(call: Call) -> Complex:
        if call.arguments.get("alpha", 1) != 1:
            raise UnsupportedOperatorError("adds a multiple of a complex value; multiply it first")
        a, b = _complex(call, "self"), _complex(call, "other")
        made = [
            Activation(call.node(operator, [call.placed(one, "a"), call.placed(other, "b")], which), call.shape)
            for which, one, other in (("real", a.real, b.real), ("imaginary", a.imaginary, b.imaginary))
        ]
        return Complex(made[0], made[1])

    return translate


def _matrix_product(call: Call) -> Complex:
    """aten.mm, bmm and matmul."""
    (a, b), calls = (_complex(call, name) for name in list(call.arguments)[:2]), []
    for which, first, second, operator in (
        ("real", (a.real, b.real), (a.imaginary, b.imaginary), "Sub"),
        ("imaginary", (a.real, b.imaginary), (a.imaginary, b.real), "Add"),
    ):
        products = [
            call.node("MatMul", [call.placed(one, "a"), call.placed(other, "b")], f"{which}.{suffix}")
            for suffix, (one, other) in (("first", first), ("second", second))
        ]
        calls.append(Activation(call.node(operator, products, which), call.shape))
    return Complex(*calls)


def _conjugate(call: Call) -> Complex:
    """aten._conj and conj."""
    given = _complex(call, "self")
    opposite = call.node("Mul", [call.placed(given.imaginary, "imaginary"), call.placed(-1.0, "sign")], "opposite")
    return Complex(given.real, Activation(opposite, given.shape))


def _from_reals(call: Call) -> Complex:
    """aten._to_copy and to.dtype of real numbers."""
    return _complex(call, call.first)


def _copied(call: Call) -> Complex:
    """aten.copy: the second in the shape of the first."""
    given = _complex(call, "src")
    parts = [
        Activation(call.expanded(call.placed(part, which), call.shape, which), call.shape)
        for which, part in (("real", given.real), ("imaginary", given.imaginary))
    ]
    return Complex(parts[0], parts[1])


def _part(which: str) -> Callable[[Call], Activation]:
    """aten.real and imag."""

    def translate(call: Call) -> Activation:
        part = getattr(_complex(call, "self"), which)
        return Activation(call.placed(part, which), part.shape)

    return translate


_FOURIER: dict[str, Callable[[Call], Complex | Activation]] = {
    "aten._fft_r2c.default": _of_reals,
    "aten._fft_c2c.default": _of_complex,
    "aten._fft_c2r.default": _to_reals,
    "aten.stft.default": _spectrogram,
    "aten.stft.center": _spectrogram,
    "aten.view_as_complex.default": _view_as_complex,
}
_OWN: dict[str, Callable[[Call], Complex | Activation]] = {
    **_FOURIER,
    "aten.view_as_real.default": _view_as_real,
    "aten._conj.default": _conjugate,
    "aten.conj.default": _conjugate,
    "aten.real.default": _part("real"),
    "aten.imag.default": _part("imaginary"),
    "aten.complex.default": _of_parts,
    "aten.polar.default": _of_angle,
}
_OF_COMPLEX: dict[str, Callable[[Call], Complex | Activation]] = {
    "aten.abs.default": _size_of,
    "aten.angle.default": _angle,
    "aten.exp.default": _power,
    "aten.div.Tensor": _quotient,
    "aten._to_copy.default": _from_reals,
    "aten.to.dtype": _from_reals,
    "aten.copy.default": _copied,
    "aten.mul.Tensor": _product,
    **dict.fromkeys(("aten.mm.default", "aten.bmm.default", "aten.matmul.default"), _matrix_product),
    "aten.add.Tensor": _sum("Add"),
    "aten.sub.Tensor": _sum("Sub"),
}
"""What has another translation for real numbers."""
