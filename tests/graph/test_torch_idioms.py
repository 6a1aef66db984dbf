"""What others' code does besides computing: memory that it fills, buffers that it decides by, caches that it gives."""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.graph.torch_agreement import agrees, pictures
from torch import Tensor, nn

from netsurgery.deployment.packing import pack
from netsurgery.errors import CaptureError, GraphError
from netsurgery.graph.from_torch import read_module, read_torch
from netsurgery.runtime.session import load

WIDTH = 4
BATCH = {0: "batch"}
ROWS = pictures((2, WIDTH), (3, WIDTH), (1, WIDTH))
SEQUENCES = pictures((2, 6, WIDTH), (1, 9, WIDTH), (3, 6, WIDTH))


class With(nn.Module):
    """A function of a linear layer, of further modules and buffers, and of inputs."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function, self.linear = function, nn.Linear(WIDTH, WIDTH)
        for name, part in parts.items():
            self.register_buffer(name, part) if isinstance(part, Tensor) else setattr(self, name, part)

    def forward(self, *given: Tensor) -> Any:
        return self.function(self, *given)


def joined_with_nothing(model: Any, x: Tensor) -> Tensor:
    """As a cache of a decoder grows from an empty tensor."""
    return torch.cat([torch.cat([torch.tensor([]), model.linear(x)], dim=-2), x[:, :0]], dim=1)


def test_what_has_no_entries_adds_nothing_to_what_is_joined() -> None:
    agrees(With(joined_with_nothing), {0: "batch", 1: "time"}, SEQUENCES)


def filled_by_columns(model: Any, x: Tensor) -> Tensor:
    table = torch.empty(x.shape[1], WIDTH)
    angles = torch.sin(torch.arange(0.0, x.shape[1])[:, None] * torch.tensor([1.0, 0.1]))
    table[:, 0::2], table[:, 1::2] = angles, angles.cos()
    return model.linear(x + table)


def filled_step_by_step(model: Any, x: Tensor) -> Tensor:
    outputs, state = x.new_empty(x.shape), torch.zeros_like(x[:, 0])
    for step in range(5):
        state = torch.tanh(model.linear(x[:, step]) + state)
        outputs[:, step] = state
    return outputs


def filled_by_places(model: Any, x: Tensor) -> Tensor:
    result = torch.empty_like(x)
    result[:, model.even] = x[:, model.even]
    result[:, model.odd] = model.narrow(x[:, model.even]) + x[:, model.odd]
    return result


def test_empty_memory_that_a_model_fills() -> None:
    agrees(With(filled_by_columns), {0: "batch", 1: "time"}, SEQUENCES)
    agrees(With(filled_step_by_step), BATCH, pictures((2, 5, WIDTH), (3, 5, WIDTH)))
    parts = {"even": torch.tensor([0, 2]), "odd": torch.tensor([1, 3]), "narrow": nn.Linear(2, 2)}
    agrees(With(filled_by_places, **parts), BATCH, ROWS)


def test_sizes_in_tensors_follow_open_axes() -> None:
    agrees(
        With(lambda model, x: model.linear(x) / torch.sqrt(torch.tensor(x.shape[0], dtype=torch.float32))), BATCH, ROWS
    )
    agrees(With(lambda model, x: torch.tensor(x.shape)[1] * model.linear(x)), {0: "batch", 1: "time"}, SEQUENCES)


def test_zeros_keep_their_type() -> None:
    """Places of an embedding, and outputs."""
    words, kinds = nn.Embedding(9, WIDTH), nn.Embedding(2, WIDTH)
    ids = [torch.randint(0, 9, shape) for shape in ((2, 5), (4, 5))]
    parts = {"words": words, "kinds": kinds}
    agrees(
        With(lambda model, x: model.words(x) + model.kinds(torch.zeros(x.shape, dtype=torch.long)), **parts), BATCH, ids
    )
    agrees(With(lambda model, x: model.words(torch.zeros_like(x)) + model.words(x), words=words), BATCH, ids)


@pytest.mark.parametrize("axes", [{}, {0: {0: "batch"}}], ids=["fixed", "open"])
def test_an_output_may_be_constant(axes: dict[int, dict[int, str]], tmp_path: Any) -> None:
    """An auxiliary loss of nothing, a scale beside what it scales; a network of constants alone is none."""

    def function(model: Any, x: Tensor) -> tuple[Tensor, ...]:
        zeros = torch.zeros_like(x)
        return model.linear(x), zeros, torch.zeros(x.shape, dtype=torch.long), torch.tensor(0.5), model.scale, zeros

    model, x = With(function, scale=torch.randn(3)).eval(), torch.randn(2, WIDTH)
    pack(model, tmp_path / "a.nsm", example_inputs=x, open_axes=axes)
    given = torch.randn(3, WIDTH) if axes else x
    found = load(tmp_path / "a.nsm")(given.numpy())
    for mine, theirs in zip(found, model(given), strict=True):
        assert mine.dtype == theirs.detach().numpy().dtype
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)
    with pytest.raises(GraphError, match="is a constant; outputs have to depend on an input"):
        pack(With(lambda model, _: model.scale, scale=torch.randn(3)), tmp_path / "b.nsm", example_inputs=x)
    assert not (tmp_path / "b.nsm").exists()


def diagonal(_: Any, x: Tensor) -> Tensor:
    x = x.clone()
    places = torch.arange(5)
    x[:, places, places] = 1.0
    return x * 2


def apart(model: Any, x: Tensor) -> Tensor:
    x = x.clone()
    places = torch.tensor([0, 2, 1])
    x[:, places, :, places] = model.linear.weight[:3, :1].reshape(3, 1, 1) * x[:, places, :, places]
    return x


def in_the_middle(_: Any, x: Tensor) -> Tensor:
    x = x.clone()
    places = torch.tensor([[0, 2, -1], [1, 0, 1]])
    x[:, :, places, places.flip(0)] = x[:, :, places, places.flip(0)] * 3
    return x


@pytest.mark.parametrize(("function", "shape"), [(diagonal, (5, 5)), (apart, (5, 4, 5)), (in_the_middle, (3, 5, 5, 2))])
def test_several_places_behind_axes_that_are_whole(function: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    """Picked and put: what is picked stands where the axes stood, or, if these lie apart, in front."""
    agrees(With(function), BATCH, pictures((2, *shape), (3, *shape)))


def test_products_of_three_keep_axes_open_where_an_order_is_searched_for() -> None:
    """torch lets opt_einsum choose an order where it is installed, by the sizes of the examples."""
    function = lambda model, x: torch.einsum("bnd,bnd,bn->bnd", x, model.linear(x), x.sum(-1))  # noqa: E731
    agrees(With(function), BATCH, SEQUENCES[:1] + SEQUENCES[2:])


def test_neighbours_of_an_even_number() -> None:
    """torch takes the odd channel before, ONNX the one behind, and ONNX Runtime none."""
    pictures_of = pictures((2, 8, 5, 5), (3, 8, 5, 5))
    for size in (4, 5, 16):
        agrees(With(lambda _, x, n=size: F.local_response_norm(x * 2, n, alpha=0.1)), BATCH, pictures_of, in_onnx=False)


def test_a_layer_of_one_output_without_an_axis() -> None:
    agrees(With(lambda model, x: F.linear(x, model.row), row=torch.randn(WIDTH)), {0: "batch", 1: "time"}, SEQUENCES)
    parts = {"row": torch.randn(WIDTH), "bias": torch.tensor(0.5)}
    agrees(With(lambda model, x: F.linear(x, model.row, model.bias), **parts), {0: "batch", 1: "time"}, SEQUENCES)


def test_names_that_stand_for_others() -> None:
    agrees(With(lambda model, x: torch.concatenate([torch.concat([x, model.linear(x)], 1), x], 1)), BATCH, ROWS)


FIRST_ROWS = {
    "first": (lambda model, x: model.linear(x[:, :3]).unsqueeze(-1), 3),
    "first two": (lambda model, x: torch.einsum("bgf,bxf->bgx", x[:, :2], model.linear(x)), 2),
    "last": (lambda _, x: x[:, -2:].reshape(x.shape[0], 2, 2, 2) * 2, 2),
    "between": (lambda model, x: model.linear(x[:, 1:3].flatten(1).unflatten(1, (2, WIDTH))), 3),
    "narrow": (lambda _, x: x.narrow(1, 0, 4).unsqueeze(1) * 2, 4),
    "before the last": (lambda model, x: model.linear(x[:, -5:-2].flatten(1).unflatten(1, (3, WIDTH))), 5),
}


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_a_few_rows_of_an_open_axis_need_as_many(name: str) -> None:
    """torch takes it for granted that an axis has them, and what follows counts on it."""
    function, least = FIRST_ROWS[name]
    shapes = [(batch, time, WIDTH) for batch in (1, 3) for time in (least, 6, 11)]
    agrees(With(function), {0: "batch", 1: "time"}, SEQUENCES[:1] + pictures(*shapes))
    graph = read_torch(With(function).eval(), (SEQUENCES[0],), open_axes={0: {0: "batch", 1: "time"}})
    assert graph.least == {"batch": 1, "time": least}


def test_a_few_rows_may_be_fewer_where_nothing_counts_on_them() -> None:
    function = lambda model, x: model.linear(x[:, :3]).mean(1)  # noqa: E731
    agrees(With(function), {0: "batch", 1: "time"}, SEQUENCES + pictures((1, 1, WIDTH), (2, 2, WIDTH)))


def test_nothing_is_printed_of_models_whose_batch_is_fixed(capfd: pytest.CaptureFixture[str]) -> None:
    """torch prints all of a graph that it gives up."""

    def function(model: Any, x: Tensor) -> Tensor:
        scaled = torch.ones(4) * x.shape[0]
        return model.linear(x) if float(scaled[0]) > 2 else x

    assert read_module(With(function).eval(), (ROWS[0],)).fixed
    assert capfd.readouterr() == ("", "")


def test_models_are_read_by_several_threads_of_python() -> None:
    """What is changed of torch and of Python meanwhile is the whole process's, and is as it was in the end."""
    before = (len, torch.backends.mha.get_fastpath_enabled(), logging.root.manager.disable)
    models = [With(lambda model, x: model.linear(x.reshape(len(x), -1))).eval() for _ in range(3)]
    models += [nn.Sequential(nn.LSTM(WIDTH, WIDTH)).eval() for _ in range(2)]
    with ThreadPoolExecutor(len(models)) as threads:
        graphs = list(threads.map(lambda model: read_module(model, (ROWS[0],)).graph, models))
    assert [len(graph.outputs) for graph in graphs] == [1, 1, 1, 3, 3]
    assert (builtins.len, torch.backends.mha.get_fastpath_enabled(), logging.root.manager.disable) == before


def test_complex_zeros_of_an_open_size() -> None:
    agrees(With(lambda _, x: x + torch.zeros(x.shape[0], WIDTH, dtype=torch.complex64).real), BATCH, ROWS)


def test_an_output_of_other_whole_numbers_is_refused() -> None:
    function = lambda model, x: (model.linear(x), torch.zeros(x.shape[0], 2, dtype=torch.int8))  # noqa: E731
    with pytest.raises(CaptureError, match=r"the model returns .* which is torch.int8"):
        read_torch(With(function).eval(), (ROWS[0],))


def test_a_length_is_a_size() -> None:
    agrees(With(lambda model, x: model.linear(x + torch.zeros(WIDTH).expand(len(x), WIDTH))), BATCH, ROWS)
    agrees(With(lambda model, x: model.linear(x.reshape(len(x), -1, WIDTH)).flatten(1)), BATCH, ROWS)


def test_a_size_that_is_taken_out_of_a_tensor_is_known_where_axes_are_fixed() -> None:
    def function(model: Any, x: Tensor) -> Tensor:
        shape = torch.tensor(x.shape)
        return model.linear(x)[..., : int(shape[-1])]

    agrees(With(function), {}, ROWS[:1])


def test_a_refusal_names_what_is_missing_alone() -> None:
    """Not the operators beside it that would be decomposed."""
    function = lambda model, x: torch.einsum("bd,bd->b", model.linear(x), x)[:, None] + torch.randn_like(x)  # noqa: E731
    with pytest.raises(
        CaptureError, match=r"doesn't have: aten.randn_like.default \(random numbers\), at With\. Write"
    ):
        read_torch(With(function).eval(), (ROWS[0],))


def repeated(model: Any, x: Tensor) -> Tensor:
    for _ in range(int(model.times)):
        x = model.linear(x)
    return x


def test_small_buffers_decide_as_they_are() -> None:
    agrees(With(lambda model, x: model.linear(x) if model.started else x, started=torch.tensor(True)), BATCH, ROWS)
    agrees(With(lambda model, x: model.linear(x) if model.started else x, started=torch.tensor(False)), BATCH, ROWS)
    agrees(With(repeated, times=torch.tensor(3)), BATCH, ROWS)
    several = lambda model, x: model.linear(x) if bool((model.used > 0).all()) else x * 2  # noqa: E731
    agrees(With(several, used=torch.tensor([1.0, 2.0])), BATCH, ROWS)
    agrees(With(several, used=torch.tensor([1.0, 0.0])), BATCH, ROWS)


def test_what_is_made_of_numbers_alone_decides() -> None:
    """As solvers check their steps, and models a mask of ones; what is written to is unknown again."""

    def function(model: Any, x: Tensor) -> Tensor:
        times, mask, counts = torch.linspace(0, 1, 5), torch.ones(2, 3), torch.zeros(3)
        assert (times[1:] > times[:-1]).all()
        counts += 1
        if bool((mask < 0).any()) or int(torch.arange(4).sum()) != 6:
            x = x * 2
        return model.linear(x) * times[2] + counts.sum()

    agrees(With(function), BATCH, ROWS)


def into_all(total: Tensor, x: Tensor) -> Tensor:
    total += x.sum()
    return total


def into_a_part(total: Tensor, x: Tensor) -> Tensor:
    total[1:] = x.sum()
    return total


def by_a_view(total: Tensor, x: Tensor) -> Tensor:
    total.view(1, 3)[0].copy_(x.sum().expand(3))
    return total


def through_out(total: Tensor, x: Tensor) -> Tensor:
    torch.add(x.sum(), 1.0, out=total[0])
    return total


def in_a_list(total: Tensor, x: Tensor) -> Tensor:
    torch._foreach_add_([total], [x.sum().expand(3)])
    return total


def by_other_data(total: Tensor, x: Tensor) -> Tensor:
    total.data = x[0, :3]
    return total


@pytest.mark.parametrize("write", [into_all, into_a_part, by_a_view, through_out, in_a_list, by_other_data])
@pytest.mark.parametrize("made", ["here", "before"])
def test_what_is_written_to_is_unknown_again(write: Callable[..., Tensor], made: str) -> None:
    def function(model: Any, x: Tensor) -> Tensor:
        total = write(torch.zeros(3) if made == "here" else model.totals.clone(), x)
        return model.linear(x) if bool((total > 0).any()) else x

    with pytest.raises(CaptureError):
        read_torch(With(function, totals=torch.zeros(3)).eval(), (ROWS[0],))


def test_a_branch_on_an_input_is_refused() -> None:
    with pytest.raises(CaptureError, match="doesn't branch on values"):
        read_torch(With(lambda model, x: model.linear(x) if x.sum() > 0 else x).eval(), (ROWS[0],))


def test_what_fixes_a_size_is_named_with_its_line() -> None:
    """Of the batch, which is fixed then, of another axis, and of a branch."""
    places = {}

    def whole(model: Any, x: Tensor) -> Tensor:
        places["number"] = sys._getframe().f_lineno + 1
        return model.linear(x) * int(x.shape[0])

    def branch(model: Any, x: Tensor) -> Tensor:
        places["branch"] = sys._getframe().f_lineno + 1
        return model.linear(x) if x.sum() > 0 else x

    read = read_module(With(whole).eval(), (ROWS[0],))
    assert f"test_torch_idioms.py:{places['number']}" in read.fixed
    for function, place in ((whole, "number"), (branch, "branch")):
        with pytest.raises(CaptureError) as caught:
            read_torch(With(function).eval(), (ROWS[0],), open_axes={0: {0: "batch"}})
        assert f"test_torch_idioms.py:{places[place]}" in str(caught.value)


def test_refusals_name_axes_and_reasons() -> None:
    axes = {"given_0": {0: "batch", 1: "time"}}
    fixed = With(lambda model, x: model.linear(x).reshape(-1, 6, WIDTH)).eval()
    with pytest.raises(CaptureError, match="You marked time as dynamic but your code specialized it to be a constant"):
        read_torch(fixed, (SEQUENCES[0],), open_axes=axes)
    transform = With(lambda model, x: torch.fft.fftn(model.linear(x), dim=(1, 2)).real).eval()
    with pytest.raises(CaptureError, match="works along an axis whose size is open; fix that axis"):
        read_torch(transform, (SEQUENCES[0],), open_axes=axes)


SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}


@pytest.mark.parametrize("name", [pytest.param("Mixtral", marks=pytest.mark.slow), "GPT2", "Bert"])
def test_a_model_of_transformers_packs_as_it_is(name: str, tmp_path: Any) -> None:
    """Without its cache of keys and values, and whatever sorts words by their experts; nothing of it is changed."""
    transformers = pytest.importorskip("transformers")
    more = {"num_local_experts": 4, "num_experts_per_tok": 2} if name == "Mixtral" else {}
    small = {"vocab_size": 50, "n_embd": 32, "n_layer": 2, "n_head": 4} if name == "GPT2" else {**SMALL, **more}
    kind = {"GPT2": "GPT2LMHeadModel", "Bert": "BertModel"}.get(name, f"{name}ForCausalLM")
    model = getattr(transformers, kind)(getattr(transformers, f"{name}Config")(**small)).eval()
    caching = model.config.use_cache
    report = pack(
        model, tmp_path / "a.nsm", example_inputs=torch.randint(0, 50, (2, 7)), open_axes={0: {0: "batch", 1: "time"}}
    )
    assert ("use_cache" in str(report)) == (name != "Bert")
    assert model.config.use_cache is caching
    if name == "Mixtral":
        assert model.get_experts_implementation()[""] == "grouped_mm"
    network, ids = load(tmp_path / "a.nsm"), torch.randint(0, 50, (3, 11))
    with torch.no_grad():
        wanted = model(ids)[0].numpy()
    found = network(ids.numpy())
    np.testing.assert_allclose(found[0] if isinstance(found, tuple) else found, wanted, rtol=1e-4, atol=1e-5)
