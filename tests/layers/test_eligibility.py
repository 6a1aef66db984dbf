"""What is operated on by default: weights of layers. Tokens, positions, norms, gates and scales never, by accident."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import AttachmentError, LayerNotFoundError
from netsurgery.layers.candidates import LeftAlone
from netsurgery.layers.eligibility import KINDS, Reason, class_names, kind_of
from netsurgery.layers.left_alone import LINE_WIDTH, describe
from netsurgery.layers.selecting import select
from netsurgery.plan import Plan
from netsurgery.stage import Stage

CUT = ns.NaiveCut(density=0.5)
WEIGHTS_ONLY = ns.NaiveCut(density=0.5, biases=False)


class Block(nn.Module):
    """A vision transformer's block, with the small parameters that such blocks have."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True, add_bias_kv=True)
        self.relative_position_bias_table = nn.Parameter(torch.randn(9, 2))
        self.gamma = nn.Parameter(torch.ones(1, 1, width))
        self.gate = nn.Parameter(torch.zeros(width))
        self.w1 = nn.Parameter(torch.randn(width, 2 * width))
        self.fc = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        x = x + self.gamma * self.attention(normed, normed, normed)[0]
        return x + self.gate * self.fc(torch.relu(self.norm(x) @ self.w1))


class VisionTransformer(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 5, width))
        self.blocks = nn.ModuleList([Block(width), Block(width)])
        self.head = nn.Linear(width, 3)
        self.head_scale = nn.Parameter(torch.ones(3, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 0]) * self.head_scale[:, 0]


class Language(nn.Module):
    """Embeddings and a head that share their weight, as language models do."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 6)
        self.positions = nn.Embedding(5, 6)
        self.body = nn.GRU(6, 6, batch_first=True)
        self.head = nn.Linear(6, 11, bias=False)
        if tied:
            self.head.weight = self.tokens.weight


class Conv1D(nn.Module):
    """A linear layer with its weight transposed, as GPT-2 has it."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))


class SharedScaleLinear(nn.Module):
    """Called linear, but with a parameter more than a weight and a bias: who knows what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(4, 1))


def residual_network() -> nn.Module:
    def convolution(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())

    return nn.Sequential(convolution(3, 4), convolution(4, 4), nn.Flatten(), nn.LazyLinear(3))


def operated_on(model: nn.Module, **patterns: Any) -> set[str]:
    method = patterns.pop("method", WEIGHTS_ONLY)
    stages = select(model, Plan.of(Stage(method=method, **patterns))).stages
    return {name for layer in stages[0] for name in layer.tensors}


def left_alone(model: nn.Module, **patterns: Any) -> dict[str, Reason]:
    method = patterns.pop("method", CUT)
    return {alone.name: alone.reason for alone in select(model, Plan.of(Stage(method=method, **patterns))).left_alone}


def test_every_parameter_of_every_model_is_either_operated_on_or_left_alone() -> None:
    network = residual_network()
    network(torch.zeros(1, 3, 4, 4))
    for model in (VisionTransformer(), Language(tied=True), Language(tied=False), network, nn.LSTM(3, 4, proj_size=2)):
        for method in (CUT, WEIGHTS_ONLY):
            used, unused = operated_on(model, method=method), left_alone(model, method=method)
            assert used | set(unused) == {name for name, _ in model.named_parameters()}
            assert not used & set(unused)


def test_tokens_positions_gates_scales_and_raw_matrices_of_a_vision_transformer_are_left_alone() -> None:
    model = VisionTransformer()
    block = {"attention.in_proj_weight", "attention.out_proj.weight", "fc.weight"}
    layers = {"patches.weight", "head.weight", *(f"blocks.{index}.{name}" for index in (0, 1) for name in block)}
    assert operated_on(model) == layers
    alone = left_alone(model)
    for name in ("cls_token", "pos_embed", "head_scale"):
        assert alone[name] is Reason.RAW
    for name in ("relative_position_bias_table", "gamma", "w1"):
        assert alone[f"blocks.1.{name}"] is Reason.RAW
    for name in ("attention.bias_k", "attention.bias_v"):  # (1, 1, n): keys and values that are learned, not biases
        assert alone[f"blocks.0.{name}"] is Reason.RAW
    assert alone["blocks.0.gate"] is Reason.VECTOR
    assert alone["blocks.0.norm.weight"] is alone["blocks.0.norm.bias"] is Reason.NORM


def test_training_a_vision_transformer_leaves_its_tokens_and_positions_whole() -> None:
    torch.manual_seed(0)
    model = VisionTransformer()
    for block in model.blocks:
        nn.init.constant_(block.get_parameter("gate"), 0.1)  # at 0 the loss wouldn't feel what lies behind the gate
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=6, interval=1))
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    operation.finish()
    for parameter in (model.cls_token, model.pos_embed, model.head_scale, model.blocks[0].gamma, model.blocks[1].w1):
        assert int(parameter.count_nonzero()) == parameter.numel()
    assert int(model.blocks[0].fc.weight.count_nonzero()) < model.blocks[0].fc.weight.numel()


@pytest.mark.parametrize("pattern", ["blocks.0.w1", "blocks.0.w?", "blocks.[0].w1", "*0.w1"])
def test_a_raw_matrix_is_operated_on_where_a_pattern_names_it(pattern: str) -> None:
    assert operated_on(VisionTransformer(), layers=(pattern,)) == {"blocks.0.w1"}
    (layers,) = select(VisionTransformer(), Plan.of(Stage(method=CUT, layers=("*", pattern)))).stages
    assert "blocks.0.w1" in {layer.name for layer in layers}


def test_a_raw_matrix_that_was_named_is_pruned_and_packs_as_zeros() -> None:
    model = VisionTransformer()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, Stage(method=ns.NaiveCut(density=0.25), layers=("*.w1",)))
    assert set(operation.masks) == {"blocks.0.w1", "blocks.1.w1"}
    assert sum(int(block.w1.count_nonzero()) for block in model.blocks) == 64
    assert operation.density == 0.25


@pytest.mark.parametrize("pattern", ["*", "blocks.*", "blocks.0*", "b*", "*.*", "????????*"])
def test_a_pattern_that_only_happens_to_match_names_no_raw_parameter(pattern: str) -> None:
    found = operated_on(VisionTransformer(), layers=(pattern, "head"))
    assert not found & {"cls_token", "pos_embed", "blocks.0.w1", "blocks.0.gamma"}


def test_what_a_pattern_names_but_is_never_operated_on_is_refused_with_the_reason() -> None:
    model = VisionTransformer()
    model.head.requires_grad_(False)
    for pattern, reason in (
        ("blocks.0.norm", "normalisation"),
        ("blocks.0.gate", "no matrix"),
        ("head", "frozen"),
        ("blocks.0", "operated on if `layers` names it"),
    ):
        with pytest.raises(LayerNotFoundError, match=rf"^layers pattern '{re.escape(pattern)}' matches no.*{reason}"):
            operated_on(model, layers=(pattern,))


def test_embeddings_are_operated_on_by_choice_only() -> None:
    model = Language(tied=False)
    body = {"body.weight_ih_l0", "body.weight_hh_l0"}
    assert operated_on(model) == body | {"head.weight"}
    assert left_alone(model)["tokens.weight"] is Reason.EMBEDDING
    assert operated_on(model, layers=("*", "tokens")) == body | {"head.weight", "tokens.weight"}
    assert operated_on(model, layers=("positions",)) == {"positions.weight"}
    assert operated_on(model, types=("Embedding",)) == {"tokens.weight", "positions.weight"}
    assert operated_on(model, types=("Emb*", "Linear")) == {"tokens.weight", "positions.weight", "head.weight"}
    assert operated_on(model, types=("*",)) == body | {"head.weight"}
    assert operated_on(nn.EmbeddingBag(4, 3), types=("EmbeddingBag",)) == {"weight"}
    assert operated_on(nn.Embedding(4, 3), layers=("",)) == {"weight"}


def test_a_weight_that_an_embedding_shares_with_a_linear_layer_is_the_linear_layers() -> None:
    model = Language(tied=True)
    assert "tokens.weight" in operated_on(model)
    assert operated_on(model, types=("Linear",)) == operated_on(model, layers=("head",)) == {"tokens.weight"}
    assert "tokens.weight" not in operated_on(model, skip=("head",))
    assert "tokens.weight" not in operated_on(model, skip=("tokens",))


def test_recurrent_layers_and_cells_give_all_their_matrices() -> None:
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    assert operated_on(lstm) == {name for name, _ in lstm.named_parameters() if name.startswith("weight_")}
    assert operated_on(lstm, method=CUT) == {name for name, _ in lstm.named_parameters()}
    for cell in (nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.RNNCell(3, 4), nn.GRU(3, 4), nn.RNN(3, 4)):
        assert {name[:9] for name in operated_on(cell)} == {"weight_ih", "weight_hh"}


def test_attention_with_sizes_of_its_own_gives_each_projection() -> None:
    attention = nn.MultiheadAttention(4, 2, kdim=3, vdim=5)
    assert operated_on(attention) == {"q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"}


def test_every_layer_of_a_transformer_encoder_and_no_norm_is_operated_on() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False)
    names = ("self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight")
    assert operated_on(model) == {f"layers.{index}.{name}" for index in (0, 1) for name in names}
    assert set(left_alone(model).values()) == {Reason.NORM}


def test_types_match_every_class_that_a_layer_is_derived_from() -> None:
    model = nn.Sequential(nn.MultiheadAttention(4, 2), nn.Conv2d(1, 1, 1))
    assert operated_on(model, types=("Linear",)) == {"0.out_proj.weight"}
    assert operated_on(model, types=("NonDynamically*",)) == {"0.out_proj.weight"}
    assert operated_on(model, types=("_ConvNd",)) == {"1.weight"}
    with pytest.raises(LayerNotFoundError, match="types pattern 'Module'"):
        operated_on(model, types=("Module",))


def test_only_convolutions_and_the_head_of_a_residual_network_are_operated_on() -> None:
    model = residual_network()
    model(torch.zeros(1, 3, 4, 4))
    assert operated_on(model, method=CUT) == {"0.0.weight", "1.0.weight", "3.weight", "3.bias"}
    assert set(left_alone(model).values()) == {Reason.NORM}


@pytest.mark.parametrize("kind", ["convolution", "linear"])
def test_every_class_of_the_table_gives_its_weight(kind: str) -> None:
    for cls in KINDS[kind].classes:
        arguments = {nn.Linear: (3, 2), nn.Bilinear: (3, 4, 2)}.get(cls, (3, 2, 1))  # type: ignore[call-overload]
        assert operated_on(cls(*arguments)) == {"weight"}
        assert operated_on(cls(*arguments), method=CUT) == {"weight", "bias"}


def test_every_normalisation_is_left_alone_whatever_names_it() -> None:
    norms = [nn.BatchNorm1d(3), nn.SyncBatchNorm(3), nn.InstanceNorm2d(3, affine=True), nn.LayerNorm((3, 4))]
    foreign = type("LayerNorm2d", (nn.Module,), {})()
    foreign.weight = nn.Parameter(torch.ones(3, 1, 1))
    for norm in [*norms, nn.GroupNorm(1, 3), foreign]:
        for pattern in ("*", "0", "0.weight"):
            with pytest.raises(LayerNotFoundError, match="normalisation"):
                operated_on(nn.Sequential(norm), layers=(pattern,))


def test_linear_layers_of_other_libraries_are_known_by_their_name_and_what_they_hold() -> None:
    assert operated_on(nn.Sequential(Conv1D(4, 3)), method=CUT) == {"0.weight", "0.bias"}
    assert operated_on(nn.Sequential(Conv1D(4, 3)), types=("Conv1D",)) == {"0.weight"}
    for name, known in (("ScaledLinear", True), ("Mixer", False), ("LinearAttention", False)):
        cls = type(name, (nn.Module,), {})
        module = cls()
        module.weight = nn.Parameter(torch.randn(4, 3))
        assert (kind_of(module) == "linear") == known
    assert kind_of(SharedScaleLinear()) is None
    assert class_names(nn.LSTM(2, 2)) == ("LSTM", "RNNBase")


def test_a_bias_of_another_shape_is_not_cut_by_default() -> None:
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Conv2d(1, 2, 1))
    model[0].register_parameter("bias", nn.Parameter(torch.zeros(1, 1, 4)))
    assert operated_on(model, method=CUT) == {"0.weight", "1.weight", "1.bias"}
    assert left_alone(model)["0.bias"] is Reason.BIAS_SHAPE
    assert operated_on(model, method=CUT, layers=("0.bias",)) == {"0.bias"}


def test_biases_that_the_method_leaves_alone_are_said() -> None:
    assert left_alone(nn.Linear(3, 2), method=WEIGHTS_ONLY) == {"bias": Reason.BIAS_UNWANTED}


def test_a_bias_beside_a_frozen_weight_is_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    model[0].weight.requires_grad_(False)
    assert left_alone(model) == {"0.weight": Reason.FROZEN, "0.bias": Reason.BIAS_ALONE}


@pytest.mark.parametrize("method", [ns.NaiveCut(0.5, biases=False), ns.ThresholdSurgery(0.5, biases=False)])
def test_a_tied_weight_beside_biases_that_nothing_wants_leaves_no_empty_layer(method: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), method)
    assert set(operation.masks) == {"0.weight"}
    assert {alone.reason for alone in operation.left_alone} == {Reason.BIAS_UNWANTED}
    assert 0 < operation.density < 1


def test_a_quantized_or_empty_weight_is_left_alone() -> None:
    model = nn.Sequential(*(nn.Linear(3, 2, bias=False) for _ in range(3)))
    model[1].weight = nn.Parameter(torch.empty(2, 0))
    model[0].weight = nn.Parameter(torch.ones(2, 3, dtype=torch.int8), requires_grad=False)
    assert left_alone(model) == {"0.weight": Reason.NOT_FLOATING, "1.weight": Reason.NOT_FLOATING}


class TestDescription:
    def test_each_reason_is_one_line_with_a_few_names_and_their_number(self) -> None:
        alone = [LeftAlone(f"layer{index}.norm", Reason.NORM) for index in range(12)]
        lines = describe([*alone, LeftAlone("cls", Reason.RAW)])
        assert lines[0] == "left alone: layer0.norm, layer1.norm, layer2.norm and 9 more (normalisation)"
        assert lines[1].startswith("left alone: cls (not the weight of a known layer")

    def test_lines_fit_a_terminal(self) -> None:
        model = VisionTransformer()
        lines = Plan.of(CUT).describe(model).splitlines()
        assert max(map(len, lines)) <= LINE_WIDTH
        operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), CUT)
        assert [line for line in lines if line.startswith("left")] == [
            line for line in str(operation).splitlines() if line.startswith("left")
        ]

    def test_a_plan_says_what_it_would_do_and_changes_nothing(self) -> None:
        model = VisionTransformer()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        text = Plan((Stage(method=CUT, layers=("head",)), Stage(method=WEIGHTS_ONLY, types=("Conv*",)))).describe(model)
        assert text.splitlines()[0] == "stage 0: 27 connections in 2 parameters of head"
        assert text.splitlines()[1] == "stage 1: 384 connections in 1 parameter of patches"
        assert "cls_token, pos_embed" in text
        assert "not selected by layers, types and skip" in text
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    def test_nothing_is_said_where_nothing_is_left_alone(self) -> None:
        assert Plan.of(CUT).describe(nn.Linear(3, 2)) == "stage 0: 8 connections in 2 parameters of (the model itself)"


class TestWrappedWeights:
    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    def test_torchscript_modules_are_left_alone_and_the_reason_is_said(self) -> None:
        traced = torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3))
        with pytest.raises(LayerNotFoundError, match="TorchScript module: attach to the Python module"):
            operated_on(traced)
        model = nn.Sequential(traced, nn.Linear(2, 2))
        assert operated_on(model, method=CUT) == {"1.weight", "1.bias"}
        assert left_alone(model)["0.weight"] is Reason.SCRIPTED
        ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), CUT)

    @pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no torch.distributed")
    def test_dtensors_are_operated_on_where_processes_hold_parts_and_not_where_they_hold_terms(self) -> None:
        distributed = pytest.importorskip("torch.distributed.tensor")
        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        try:
            mesh = torch.distributed.init_device_mesh("cpu", (1,))
            model = distributed.distribute_module(nn.Sequential(nn.Linear(3, 2)), mesh)
            ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), CUT).detach()
            terms = distributed.DTensor.from_local(torch.ones(2, 3), mesh, [distributed.Partial()])
            model[0].weight = nn.Parameter(terms)
            with pytest.raises(AttachmentError, match=r"^0\.weight is a DTensor with the placements Partial: .* Shard"):
                ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), CUT)
        finally:
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize("class_name", ["PreNormFFN", "NormalizingFlow"])
def test_raw_matrices_of_a_class_that_is_called_after_a_norm_are_operated_on_where_they_are_named(
    class_name: str,
) -> None:
    block = type(class_name, (nn.Module,), {})()
    block.w1, block.gain = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.ones(4))
    model = nn.Sequential(nn.Linear(4, 4), block)
    assert [layer.name for layer in select(model, Plan.of(WEIGHTS_ONLY)).stages[0]] == ["0"]
    (layers,) = select(model, Plan.of(Stage(method=WEIGHTS_ONLY, layers=("*", "1.w1")))).stages
    assert [layer.name for layer in layers] == ["0", "1.w1"]
    with pytest.raises(LayerNotFoundError, match="normalisation"):
        select(model, Plan.of(Stage(method=WEIGHTS_ONLY, layers=("1.gain",))))


def test_a_model_without_numbers_is_refused() -> None:
    model = nn.Linear(4, 4, device="meta")
    with pytest.raises(AttachmentError, match=r"meta device.*to_empty"):
        ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), CUT)


def test_a_model_that_torch_lets_nobody_change_is_refused() -> None:
    with torch.inference_mode():
        model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(AttachmentError, match=r"weight was made under torch\.inference_mode.*outside of it"):
        ns.attach(model, optimizer, ns.Surgery(density=0.5, steps=4))
