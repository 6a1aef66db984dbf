"""Torch models that compute with whole numbers and bools give in a graph what they give in torch, type for type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tests.graph.torch_agreement import EachOf
from torch import Tensor, nn

from netsurgery.errors import InputError, UnsupportedOperatorError
from netsurgery.graph.from_torch import read_torch, torch_outputs
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session

IDS = torch.tensor([[3, 1, 0, 0], [2, 5, 4, 0], [1, 1, 6, 2]])
FLOATS = torch.tensor([[0.5, -1.5, 2.0, float("inf")], [-0.0, 3.25, -7.9, 1.0], [0.0, 2.0, 2.5, -1.0]])
BOOLS = torch.tensor([[True, False, True, True], [False, False, True, False], [True, True, True, False]])


class Of(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Tensor) -> Any:
        return self.function(*given)


def assert_each_as_torch(functions: list[Callable[[Tensor], Any]], examples: Tensor) -> None:
    model = EachOf({f"function {number}": function for number, function in enumerate(functions)}, examples)
    assert_as_torch(model, examples, owners=model.owners)


def assert_as_torch(model: nn.Module, *examples: Tensor, owners: Sequence[str] = ()) -> None:
    """Engine and reference, from the bytes of a file, at the examples and at a larger batch.

    owners: what each output is called, if there are several.
    """
    graph = read_torch(model, examples)
    content = encode(graph)
    doubled = [torch.cat([one, one.flip(0)]) for one in examples]
    for given in [list(examples), doubled] if graph.axes else [list(examples)]:
        arrays = [one.numpy() for one in given]
        wanted = torch_outputs(model, arrays)[0]
        for engine in ("native", "reference"):
            found = Session(content, engine=engine)(*arrays)  # type: ignore[arg-type]
            found = found if isinstance(found, tuple) else (found,)
            for name, one, other in zip(owners or [""] * len(found), found, wanted, strict=True):
                assert (one.dtype, one.shape) == (other.dtype, other.shape), name
                np.testing.assert_array_equal(one, other, err_msg=name)


OF_WHOLE_NUMBERS: list[Callable[[Tensor], Any]] = [
    lambda x: x + 1,
    lambda x: x - 2 * x,
    lambda x: x * 3,
    lambda x: 1 - x,
    lambda x: x / 2,
    lambda x: x + 0.5,
    lambda x: x != 0,
    lambda x: (x > 1) & (x <= 4),
    lambda x: (x > 1) | (x == 0),
    lambda x: (x > 1) ^ (x < 4),
    lambda x: ~(x == 0),
    lambda x: torch.logical_not(x),
    lambda x: torch.logical_and(x, x - 1),
    lambda x: (x >= 1) * (x < 4),
    lambda x: (x == 0).float(),
    lambda x: (x == 0).long() + x,
    lambda x: (x == 0).int(),
    lambda x: x.bool(),
    lambda x: x.int(),
    lambda x: x.float() * 0.25,
    lambda x: x.double() + 0.5 > 2,
    lambda x: x.view(-1, 2, 2),
    lambda x: x[:, -1],
    lambda x: x.transpose(0, 1),
    lambda x: x.unsqueeze(1).permute(2, 0, 1),
    lambda x: torch.cat([x, x + 1], 1),
    lambda x: torch.cat([x, x.int()], 1),
    lambda x: torch.stack([x, -x], 1),
    lambda x: torch.nn.functional.pad(x, (1, 2), value=7),
    lambda x: x.masked_fill(x == 0, -100),
    lambda x: torch.where(x > 2, x, 0),
    lambda x: torch.where(x > 2, 1.5, x),
    lambda x: torch.where(x > 2, x > 3, x == 0),
    lambda x: x == torch.tensor([3, 1, 0, 0]),
    lambda x: x < torch.tensor(2.5),
    lambda x: x + torch.arange(4),
    lambda x: (x.split(2, 1)[1], x.chunk(2, 1)[0]),
    lambda x: (x, x == 1, x * 1.0),
    lambda x: (x - 3) // 2,
    lambda x: (x - 3) % 2,
    lambda x: (3 - x) % -2,
    lambda x: torch.fmod(x - 3, 2),
    lambda x: torch.div(x - 3, 2, rounding_mode="trunc"),
    lambda x: torch.div(x - 3, -2, rounding_mode="floor"),
]


@pytest.mark.parametrize("examples", [IDS, IDS.int()], ids=["int64", "int32"])
def test_whole_numbers_compute_as_in_torch(examples: Tensor) -> None:
    assert_each_as_torch(OF_WHOLE_NUMBERS, examples)


OF_FLOATS: list[Callable[[Tensor], Any]] = [
    lambda x: x > 1,
    lambda x: x == x,
    lambda x: x.long(),
    lambda x: torch.isinf(x),
    lambda x: torch.isnan(x / x),
    lambda x: x.bool(),
    lambda x: torch.where(x > 0, x, 0.0),
    lambda x: x.masked_fill(x < 0, float("-inf")),
    lambda x: (x.double() * 2).float(),
    lambda x: x >= torch.tensor([1, 2, 3, 4]),
    lambda x: x.to(torch.int32) * 2,
    lambda x: x // 0.3,
    lambda x: x // -0.7,
    lambda x: (x * 10) // (x.abs() - 1),
    lambda x: x // 0.0,
    lambda x: torch.div(x, 0.3, rounding_mode="trunc"),
    lambda x: torch.div(x, x * 2 - 1, rounding_mode="floor"),
]


def test_floats_are_compared_and_cut_off_as_in_torch() -> None:
    finite = FLOATS.clone()
    finite[0, 3] = 9.75
    assert_each_as_torch(OF_FLOATS, finite)


OF_BOOLS: list[Callable[[Tensor], Any]] = [
    lambda x: ~x,
    lambda x: x & (x ^ True),
    lambda x: x.float().mean(1),
    lambda x: x == (~x),
    lambda x: x > False,
    lambda x: torch.cat([x, ~x], 1)[:, 1:7:2],
    lambda x: x.view(-1, 2, 2),
]


def test_bools_compute_as_in_torch() -> None:
    assert_each_as_torch(OF_BOOLS, BOOLS)


class Attention(nn.Module):
    """Words, of which 0 is padding, seen by each other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.out = nn.Embedding(9, 8), nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        kept = ids != 0
        x = self.words(ids + kept.long())
        scores = x @ x.transpose(1, 2) / 8**0.5
        weights = scores.masked_fill(~kept[:, None, :], float("-1e9")).softmax(-1)
        return self.out(weights @ x) * kept.unsqueeze(-1), kept


def test_attention_with_a_mask_computed_from_the_words_runs_as_in_torch() -> None:
    model = Attention().eval()
    graph = read_torch(model, (IDS,), open_axes={"ids": {0: "batch", 1: "time"}})
    session = Session(encode(graph))
    for given in (IDS, IDS[:1, :2], torch.cat([IDS] * 9, 0)):
        wanted = torch_outputs(model, [given.numpy()])[0]
        scores, kept = session(given.numpy())
        np.testing.assert_allclose(scores, wanted[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(kept, wanted[1])


@pytest.mark.parametrize("mask", [BOOLS, BOOLS.float()])
def test_attention_takes_a_computed_mask(mask: Tensor) -> None:
    def attend(x: Tensor, seen: Tensor) -> Tensor:
        rows = x.unsqueeze(1).expand(-1, 4, 4)
        return nn.functional.scaled_dot_product_attention(rows, rows, rows, attn_mask=seen.unsqueeze(1))

    x = torch.arange(12.0).view(3, 4) / 7
    seen = mask.clone()
    seen[:, 2] = 1
    graph = read_torch(Of(attend), (x, seen))
    found = Session(encode(graph))(x.numpy(), seen.numpy())
    np.testing.assert_allclose(found, attend(x, seen).numpy(), rtol=1e-5)


def test_more_whole_numbers_than_a_graph_has_room_for_are_refused_with_what_to_do() -> None:
    table = torch.arange(2**17).view(-1, 2)
    with pytest.raises(UnsupportedOperatorError, match=r"131,072 whole numbers; at most 65,536 have room in a graph"):
        read_torch(Of(lambda x: x + table), (torch.zeros(2**16, 2, dtype=torch.int64),))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, i: x.gather(1, i),
        lambda x, _: x.index_select(1, torch.tensor([3, 0, 0])),
        lambda x, _: x[:, [2, 0, 3]],
        lambda x, _: x.argmax(1),
        lambda x, _: x.argmin(-1, keepdim=True),
        lambda x, _: x.max(1),
        lambda x, _: x.min(1, keepdim=True),
        lambda x, _: x.topk(3, 1),
        lambda x, _: x.topk(2, 1, largest=False)[1],
        lambda x, _: x.sort(1, descending=True),
        lambda x, _: x.argsort(1),
        lambda x, _: x.cumsum(1),
        lambda _, i: i.cumsum(1),
        lambda _, i: (i > 1).cumsum(1),
        lambda x, i: x.scatter(1, i[:, :1], 7.0),
        lambda x, i: x.scatter_add(1, i, x),
        lambda _, i: nn.functional.one_hot(i, 4),
        lambda _, i: torch.arange(10, 14)[i],
        lambda _, i: torch.tensor([[1.5, 2.0], [0.25, -4.0], [7.0, 8.0], [9.0, 1.0]])[i],
        lambda _, i: torch.arange(32.0).view(4, 4, 2)[i[:, 0], i[:, 1]],
        lambda _, i: torch.arange(32.0).view(4, 4, 2)[i, 2],
    ],
)
def test_what_is_picked_put_and_ranked_is_as_in_torch(function: Callable[[Tensor, Tensor], Any]) -> None:
    assert_as_torch(Of(function), FLOATS.nan_to_num(posinf=9.75), IDS % 4)


def test_a_token_is_picked_at_the_end_of_each_row() -> None:
    """As text encoders do it: at the place of the largest number."""

    def pooled(x: Tensor, ids: Tensor) -> Tensor:
        return x.gather(1, ids.argmax(1)[:, None])

    assert_as_torch(Of(pooled), FLOATS.nan_to_num(posinf=9.75), IDS)


def test_entries_that_are_picked_by_a_mask_are_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"by a mask, as many as it finds.*use torch.where"):
        read_torch(Of(lambda x: x[torch.tensor([True, False, True, True])] + x.sum()), (torch.zeros(4),), open_axes={})


def test_an_index_beyond_its_axis_is_an_input_error_and_the_next_run_is_right() -> None:
    table = torch.arange(10.0).view(5, 2)
    graph = read_torch(Of(lambda i: table[i + 1]), (torch.tensor([[0, 1], [2, 3]]),))
    for engine in ("native", "reference"):
        session = Session(encode(graph), engine=engine)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"index 7 is none of 5 places: 0 to 4 are, or -5 to -1|7 at place"):
            session(np.array([[0, 6], [1, 2]]))
        np.testing.assert_array_equal(session(np.array([[0, -3]])), [[[2, 3], [6, 7]]])
