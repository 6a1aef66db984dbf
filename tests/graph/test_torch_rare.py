"""Rarer operators of torch, and those that torch's own decompositions take apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.graph.torch_agreement import EachOf, Of
from torch import Tensor

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch import read_torch, torch_outputs
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session

X = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 3, 4, 6)).astype(np.float32))
ROW = torch.tensor([-1.0, -0.5, 0.0, 0.25, 2.0])


def written(part: Callable[[Tensor], None]) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        x = x.clone()
        part(x)
        return x

    return function


def put(*place: Any, value: float | Callable[[Tensor], Tensor] = 3.0) -> Callable[[Tensor], Tensor]:
    """x[place] = value."""

    def part(x: Tensor) -> None:
        x[place] = value(x) if callable(value) else value

    return written(part)


def shifted_mask(x: Tensor) -> Tensor:
    """What shifted windows of Swin do: a mask, written piece by piece into zeros."""
    mask = x.new_zeros((4, 6))
    for number, rows in enumerate((slice(0, 2), slice(2, 3), slice(3, None))):
        mask[rows, number:] = number
    return x + mask.unsqueeze(0).masked_fill(mask != 0, -100.0)


ALL = slice(None)
PLACES = torch.tensor([2, 0])
DECOMPOSED = {
    "einsum of two": lambda x: torch.einsum("bhid,bhjd->bhij", x, x),
    "einsum with a sum": lambda x: torch.einsum("bhid,bhjd->bij", x, x * 2),
    "einsum with a constant": lambda x: torch.einsum("bhid,dk->bhik", x, torch.ones(6, 7)),
    "einsum of three": lambda x: torch.einsum("bhi,bhj,bh->bij", x[..., 0], x[..., 1], x[:, :, 0, 2]),
    "einsum that transposes": lambda x: torch.einsum("bchw->bwch", x),
    "tensordot": lambda x: torch.tensordot(x, torch.ones(6, 3), 1),
    "logit": lambda x: torch.logit(torch.sigmoid(x)),
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "diag_embed": lambda x: torch.diag_embed(x),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "lerp": lambda x: torch.lerp(x, x * 2, 0.3),
    "cross": lambda x: torch.linalg.cross(x, x.flip(1), dim=1),
    "cosine_similarity": lambda x: F.cosine_similarity(x, x + 1, dim=1),
    "addcmul": lambda x: torch.addcmul(x, x, x, value=0.5),
    "heaviside": lambda x: torch.heaviside(x, torch.tensor(0.5)),
    "a convolution without a batch": lambda x: F.conv2d(x[0], torch.arange(6.0).reshape(2, 3, 1, 1)),
    "a threshold with a step": lambda x: F.threshold(x, 0.1, 20.0),
    "nan_to_num": lambda x: torch.nan_to_num(torch.where(x > 1, float("inf"), x), posinf=5.0),
    "logaddexp": lambda x: torch.logaddexp(x, x * 2),
    "trapezoid": lambda x: torch.trapezoid(x),
    "aminmax": lambda x: torch.aminmax(x, dim=-1),
}
ALONE = {
    "roll": lambda x: torch.roll(x, (1, -2), (2, 3)),
    "roll in a row": lambda x: torch.roll(x[0], 5).unsqueeze(0),
    "roll of nothing": lambda x: torch.roll(x, 4, 2),
    "shifted_mask": shifted_mask,
    "put slice": put(ALL, slice(1, 2)),
    "put to the end": put(ALL, ALL, slice(-3, None), value=lambda x: x[:, :, :3] * 2),
    "put entry": put(ALL, ALL, -1, value=lambda x: x[:, :, 0]),
    "put places": put(ALL, PLACES, value=lambda x: x[:, :2] + 1),
    "put places of the last axis": put(ALL, ALL, ALL, PLACES, value=7.0),
    "put by a mask": written(lambda x: x.masked_fill_(x > 0.5, 1.0)),
    "put where": written(lambda x: x.__setitem__(x > 0.5, 2.5)),
    "put a whole": written(lambda x: x.copy_(x[:, :1] + 1)),
    "windows": lambda x: x.unfold(3, 3, 2),
    "windows twice": lambda x: x.unfold(2, 3, 1).unfold(3, 2, 2),
    "fill": written(lambda x: x[:, 1].fill_(4.0)),
    "index_add": lambda x: x.index_add(1, PLACES, x[:, :2], alpha=2),
    "index_copy": lambda x: x.index_copy(2, PLACES, x[:, :, :2] + 1),
    "index_fill": lambda x: x.index_fill(1, PLACES, 1.5),
    "index_put added": lambda x: x.transpose(0, 1).index_put(
        (torch.tensor([1, 1, 2]),), torch.ones(3, 1, 4, 6), accumulate=True
    ),
    "put by a mask of the last axis": put(..., torch.arange(6) % 2 == 0),
    "put by a mask of an axis between": put(ALL, torch.tensor([True, False, True]), value=-1.0),
    "put by a mask of two axes": put(ALL, ALL, torch.arange(24).reshape(4, 6) % 5 == 0),
    "put by a mask that is computed": lambda x: put(ALL, x.mean((0, 2, 3)) > 0)(x),
    "put rows by a mask": lambda x: put(x.mean((1, 2, 3)) > 0, value=lambda _: torch.arange(6.0))(x),
    "put planes by a mask": lambda x: put(x.mean((1, 2, 3)) > 0, value=lambda _: torch.arange(24.0).reshape(4, 6))(x),
    "put channels by a mask": put(ALL, torch.tensor([True, False, True]), value=lambda x: x[:, :1] * 2),
    "added by a mask": lambda x: x.index_put((x > 0.5,), torch.tensor(3.0), accumulate=True),
    "index_put of two": lambda x: x[0].index_put((torch.tensor([[0], [2]]), PLACES[None]), torch.zeros(6)),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x.flip(1) * 2),
    "masked_scatter of rows": lambda x: x.masked_scatter(x.sum(3, keepdim=True) > 0, x.flip(1) * 2),
    "scatter_reduce without what was there": lambda x: torch.stack(
        [
            x.scatter_reduce(1, (x > 0).long(), x * 2, reduce=way, include_self=False)
            for way in ("sum", "prod", "mean", "amax", "amin")
        ]
    ),
    "means with what was there": lambda x: x.scatter_reduce(1, (x > 0).long(), x * 2, reduce="mean"),
    "scatter_reduce of whole numbers": lambda x: (
        torch.zeros_like(x).long().scatter_reduce(1, (x > 0).long(), (x * 9).long(), reduce="amin", include_self=False)
    ),
    "histc": lambda x: torch.histc(x, 7, -1, 1.5),
    "histc at its edges": lambda x: torch.histc(torch.round(x), 4, -2, 2),
    "windows by as_strided": lambda x: x.contiguous().as_strided((x.shape[0], 3, 4, 3, 4), (72, 24, 4, 4, 1)),
    "chunks that overlap by as_strided": lambda x: x.contiguous().as_strided((x.shape[0], 5, 4, 6), (72, 12, 6, 1)),
    "all are true": lambda x: (torch._is_all_true(x > -99), torch._is_any_true(x > 99), (x.sum() > 0).all()),
    "windows of two axes by as_strided": lambda x: x.contiguous().as_strided((x.shape[0], 5, 12), (72, 12, 1)),
    "median": lambda x: torch.median(x, 3)[0],
    "kthvalue": lambda x: torch.kthvalue(x, 2, 2, keepdim=True),
    "bucketize": lambda x: torch.bucketize(x, ROW),
    "bucketize right": lambda x: torch.bucketize(x, ROW, right=True, out_int32=True),
    "bucketize of nan": lambda x: torch.bucketize(torch.where(x > 1, torch.log(-x), x), ROW),
    "searchsorted": lambda x: torch.searchsorted(ROW, x, side="right"),
    "any": lambda x: ((x > 1).any(-1), (x > 9).any(1, keepdim=True)),
    "all": lambda x: ((x < 1).all(-1), (x < 9).all(1).float()),
    "median of all": lambda x: x[0].median(),
    "fmax": lambda x: torch.fmax(torch.where(x > 1, torch.log(-x), x), -x),
    "fmin": lambda x: torch.fmin(x * 2, torch.where(x > 1, torch.log(-x), x)),
    "signbit": lambda x: torch.signbit(torch.where(x > 1, -0.0, x)),
    "ldexp": lambda x: torch.ldexp(x, torch.tensor([-2, 0, 1, 2, 3, 4])),
    "erfc": lambda x: torch.erfc(x * 2),
    "round to decimals": lambda x: torch.round(x, decimals=2),
    "round to tens": lambda x: torch.round(x * 100, decimals=-1),
    "bilinear": lambda x: F.bilinear(x, x * 2 + 1, torch.arange(72.0).reshape(2, 6, 6) / 72, torch.tensor([0.5, -1.0])),
    "bilinear without a bias": lambda x: F.bilinear(x, x[..., :2], torch.arange(36.0).reshape(3, 6, 2) / 36),
    "dist": lambda x: torch.dist(x[0], x[0, 1:2] * 2),
    "dist of order 1": lambda x: torch.dist(x[0], x[0] * 2, p=1),
    "cdist": lambda x: torch.cdist(x, x[:, :, :2] + 1),
    "cdist of order 1": lambda x: torch.cdist(x, x * 2, p=1.0),
    "unfold": lambda x: F.unfold(x, (2, 3), padding=1, stride=(2, 1)),
    "unfold dilated": lambda x: F.unfold(x, 2, dilation=2),
    "fold": lambda x: F.fold(x.reshape(-1, 12, 6), (4, 3), 2, stride=1),
    "fold of a few": lambda x: F.fold(x.reshape(-1, 12, 6)[:, :, :4], (7, 5), 2, stride=(3, 2)),
    "unfold and fold": lambda x: F.fold(F.unfold(x, 3, padding=1), (4, 6), 3, padding=1),
}
MATRICES_AND_PLACES: dict[str, Callable[[Tensor], Any]] = {
    "index_reduce": lambda x: torch.stack(
        [
            x.index_reduce(1, torch.tensor([0, 2, 2]), x * 2 - 1, way, include_self=own)
            for way in ("prod", "mean", "amax", "amin")
            for own in (True, False)
        ]
    ),
    "index_reduce of whole numbers along the last axis": lambda x: torch.stack(
        [
            (9 * x).long().index_reduce(3, torch.tensor([5, 1]), (7 * x[..., :2]).long(), way, include_self=own)
            for way in ("prod", "amax", "amin")
            for own in (True, False)
        ]
    ),
    "the first places of a mask": lambda x: torch.nonzero_static(x > 1, size=9),
    "the places of a mask, of which there are less": lambda x: (
        torch.nonzero_static((x > 1)[:, :, 0], size=99, fill_value=-7),
        torch.nonzero_static(x[0, 0, 0].long(), size=3),
    ),
    "cdist of other orders": lambda x: [torch.cdist(x, x.relu(), p=p) for p in (0.0, 0.5, 3.0, float("inf"))],
    "norms of order 0": lambda x: (torch.linalg.vector_norm(x.relu(), 0, dim=2), torch.dist(x, x.relu(), p=0.0)),
    "product so far of whole numbers": lambda x: (
        (x * 9e4).int().cumprod(3),
        (x * 3).long().cumprod(1),
        (x > -1).cumprod(2),
    ),
    "logarithms of determinants": lambda x: (
        torch.logdet(x[:, :, :3, :3]),
        torch.logdet(1e15 * x[:, 0, :2, :2]),
        torch.logdet(1e-30 * x[0, :, 1:2, 1:2]),
        *torch.linalg.slogdet(1e-15 * x[:, :, :3, :3]),
        torch.slogdet(x[:, :, :2, :2].relu().floor()),
    ),
}

OF_PLANES = {
    "places of maxima": lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
    "places of maxima in a row": lambda x: F.max_pool1d(x[..., 0], 2, dilation=2, ceil_mode=True, return_indices=True),
    "unpooled": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "unpooled to a size": lambda x: F.max_unpool2d(
        *F.max_pool2d(x[..., :5], 2, return_indices=True), 2, output_size=(4, 5)
    ),
    "unpooled volumes": lambda x: F.max_unpool3d(*F.max_pool3d(x[:, None], (1, 2, 3), return_indices=True), (1, 2, 3)),
    "pools of one example": lambda x: (
        F.max_pool2d(x[0], 2, return_indices=True),
        F.avg_pool2d(x[0], 2),
        F.adaptive_avg_pool1d(x[0, 0], 3),
    ),
    "batch norm without statistics": lambda x: F.batch_norm(
        x, None, None, torch.tensor([1.0, 2.0, 0.5]), torch.ones(3), training=True
    ),
}
WINDOW = torch.hann_window(12)
FILTER = torch.view_as_complex(torch.from_numpy(np.random.default_rng(8).normal(size=(4, 4, 2)).astype(np.float32)))


def denoised(x: Tensor) -> Tensor:
    """A spectrogram, a mask of it, and what a model of speech makes of both."""
    spectrum = torch.stft(x.reshape(x.shape[0], -1), 16, 4, 12, WINDOW, return_complex=True)
    return torch.cat([spectrum.abs().clamp(max=2.0).log1p(), (spectrum * spectrum.conj()).real], 1)


PUT = {name: ALONE.pop(name) for name in list(ALONE) if "put" in name or "scatter" in name or "index" in name}
COMPLEX = {
    "rfft": lambda x: torch.fft.rfft(x).abs(),
    "rfft of an odd size": lambda x: torch.view_as_real(torch.fft.rfft(x[..., :5], dim=-1)),
    "fft of two axes": lambda x: torch.fft.fft2(x).real,
    "fft of three axes": lambda x: torch.fft.fftn(x, dim=(1, 2, 3), norm="ortho").imag,
    "ifft": lambda x: torch.fft.ifft(torch.fft.fft(x, dim=2), dim=2).real,
    "irfft": lambda x: torch.fft.irfft(torch.fft.rfft(x), n=6),
    "irfft2": lambda x: torch.fft.irfft2(torch.fft.rfft2(x, norm="ortho") * 0.5, s=(4, 6), norm="ortho"),
    "global filter": lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * FILTER, s=(4, 6)),
    "moves": lambda x: torch.view_as_real(torch.fft.fft(x).transpose(1, 2)[:, 1:].reshape(-1, 3 * 3, 6)),
    "sums": lambda x: (torch.fft.fft(x) - torch.fft.fft(x * 2) + 1.5).abs(),
    "view_as_complex": lambda x: torch.view_as_complex(x.reshape(-1, 3, 12, 2)).abs(),
    "stft": lambda x: torch.view_as_real(torch.stft(x.reshape(-1, 72), 16, window=torch.ones(16), return_complex=True)),
    "stft without padding": lambda x: torch.stft(
        x.reshape(-1, 72), 16, 5, window=torch.ones(16), center=False, return_complex=True
    ).abs(),
    "denoised": denoised,
    "of two parts": lambda x: (torch.complex(x, x + 1) * torch.complex(x[:, :1], -x[:, :1])).real,
    "of sizes and angles": lambda x: torch.view_as_real(torch.polar(x.abs(), x)),
    "turned": lambda x: torch.view_as_real(torch.complex(x, -x) * torch.polar(torch.ones(6), torch.arange(6.0))),
    "angle": lambda x: torch.angle(torch.complex(x, x * 2 - 1)),
    "power": lambda x: torch.view_as_real(torch.exp(torch.complex(x, 3 * x))),
    "quotient": lambda x: torch.view_as_real(torch.complex(x, x + 3) / torch.complex(x - 1, x * 2)),
    "quotient by reals": lambda x: torch.view_as_real(torch.complex(x, x + 1) / (x.abs() + 1)),
}


@pytest.mark.parametrize(
    "functions",
    [DECOMPOSED, ALONE, PUT, MATRICES_AND_PLACES, OF_PLANES, COMPLEX],
    ids=["decomposed", "alone", "put", "matrices and places", "of planes", "complex"],
)
@pytest.mark.filterwarnings("ignore:index_reduce")  # torch says that it is in beta
def test_they_compute_what_torch_computes_at_any_batch(functions: dict[str, Callable[[Tensor], Any]]) -> None:
    model = EachOf(functions, X)
    graph = read_torch(model, (X,))
    assert graph.axes == ("batch",)
    content = encode(graph)
    for given in (X, torch.cat([X, X.flip(0) * 0.7])):
        wanted = torch_outputs(model, [given.numpy()])[0]
        for engine in ("native", "reference"):
            found = Session(content, engine=engine)(given.numpy())  # type: ignore[arg-type]
            for name, one, other in zip(model.owners, found, wanted, strict=True):
                assert (one.dtype, one.shape) == (other.dtype, other.shape), name
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_decomposing_does_not_help_is_refused_under_the_name_that_the_model_has() -> None:
    with pytest.raises(UnsupportedOperatorError, match=re.escape("aten.special_bessel_j0.default, at Of")) as caught:
        read_torch(Of(lambda x: torch.logit(torch.special.bessel_j0(x))), (X,))
    missing = {problem.operator for problem in caught.value.missing}
    assert missing == {"aten.special_bessel_j0.default"}  # the logit beside it would be decomposed


def test_a_refusal_names_no_operator_that_can_be_decomposed_beside_one_that_can_not() -> None:
    """log_ndtr is decomposed, too, but into what there isn't."""
    function = lambda x: torch.einsum("bchw,bchv->bwv", x, x) + torch.special.log_ndtr(x)[0, 0, 0, 0]  # noqa: E731
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_torch(Of(function), (X,))
    assert {problem.operator for problem in caught.value.missing} == {"aten.special_log_ndtr.default"}


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: torch.logdet(x[:, :, :4, :4]), "matrices of 4 rows; up to 3"),
        (
            lambda x: (
                x.scatter_reduce(1, (x > 0).long(), x, "mean")
                .long()
                .scatter_reduce(1, (x > 0).long(), x.long(), "mean")
            ),
            "means of int64",
        ),
        (lambda x: torch.histc(x), "give min and max"),
        (lambda x: x.contiguous().transpose(0, 1).as_strided((3, 5), (1, 72)), "across the order of its axes"),
        (lambda x: x.contiguous().as_strided((2, 5), (72, 1), 3), "begins at entry 3"),
        (lambda x: x.contiguous().as_strided((x.shape[0], 9, 9), (72, 8, 1)), "beyond the end of an axis"),
    ],
)
def test_settings_that_there_are_not_are_refused_with_what_helps(function: Any, said: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=said):
        read_torch(Of(function), (X,))
