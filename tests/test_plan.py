"""Plans: what is written is read back, what is wrong is named, and patterns select what they say."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import LayerNotFoundError, PlanError, SettingError
from netsurgery.layers.selecting import select
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Method
from netsurgery.plan import Plan
from netsurgery.stage import Stage

SHARES = st.floats(0, 1)
DENSITIES = st.floats(0, 1, exclude_min=True) | st.just(1)
COUNTS = st.integers(1, 1 << 40)
POSITIVE = st.floats(0, 1e300) | st.integers(0, 1 << 70)
METHODS: dict[str, st.SearchStrategy[Method[Any]]] = {
    "surgery": st.tuples(SHARES, SHARES).flatmap(
        lambda pair: st.builds(
            ns.Surgery,
            density=DENSITIES,
            steps=COUNTS,
            ramp=st.just(min(pair)),
            splicing=st.just(max(pair)),
            interval=COUNTS,
            hysteresis=st.floats(1, 1e300),
            latent_speed=SHARES,
            biases=st.booleans(),
        )
    ),
    "threshold-surgery": st.builds(
        ns.ThresholdSurgery,
        c_rate=st.floats(-1e300, 1e300) | st.integers(-9, 9),
        gamma=POSITIVE,
        power=POSITIVE,
        iter_stop=COUNTS,
        margin=SHARES,
        biases=st.booleans(),
    ),
    "naive-cut": st.builds(ns.NaiveCut, density=DENSITIES, biases=st.booleans()),
    "keep-zeros": st.builds(ns.KeepZeros, biases=st.booleans()),
    "han-pruning": st.builds(ns.HanPruning, quality=POSITIVE, rounds=COUNTS, round_steps=COUNTS, biases=st.booleans()),
    "inq": st.builds(
        ns.INQ,
        bits=st.integers(2, 8),
        steps=st.integers(9, 1 << 40),
        portions=st.sets(st.floats(0, 1, exclude_min=True, exclude_max=True), max_size=5).map(
            lambda shares: (*sorted(shares), 1)
        )
        | st.just(()),
        order=st.sampled_from(["largest", "random"]),
        biases=st.booleans(),
    ),
    "sketching": st.builds(
        ns.Sketching,
        planes=st.integers(1, 8),
        refined=st.booleans(),
        steps=COUNTS,
        interval=COUNTS,
        sharing=COUNTS,
    ),
}
PATTERNS = st.lists(st.text(max_size=8), max_size=3).map(tuple)
STAGES = st.builds(
    Stage,
    method=st.one_of(*METHODS.values()),
    layers=st.lists(st.text(max_size=8), min_size=1, max_size=3).map(tuple),
    types=PATTERNS,
    skip=PATTERNS,
    start=st.integers(0, 1 << 40),
)
PLANS = st.builds(Plan, st.lists(STAGES, min_size=1, max_size=4).map(tuple), st.integers(0, (1 << 47) - 1))
CUT = ns.NaiveCut(density=0.5)


def test_every_method_is_tested_here() -> None:
    assert METHODS.keys() == ALL_METHODS.keys()


@given(plan=PLANS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_a_plan_is_read_back_from_its_toml(plan: Plan) -> None:
    found = Plan.from_toml(plan.to_toml())
    assert found == plan
    assert found.to_dict() == plan.to_dict()
    assert [type(stage.method) for stage in found.stages] == [type(stage.method) for stage in plan.stages]


@pytest.mark.parametrize("name", ALL_METHODS)
@given(data=st.data())
@settings(max_examples=10)
def test_every_method_is_read_back_from_its_toml(name: str, data: st.DataObject) -> None:
    plan = Plan.of(data.draw(METHODS[name]))
    fields = {field.name for field in dataclasses.fields(ALL_METHODS[name])}  # type: ignore[arg-type]
    assert plan.to_dict()["stage"][0].keys() == fields | {"method", "layers", "types", "skip", "start"}
    assert json.loads(json.dumps(plan.to_dict())) == plan.to_dict()
    assert f'method = "{name}"' in plan.to_toml()
    assert Plan.from_toml(plan.to_toml()) == plan


def test_a_plan_is_read_back_from_its_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    plan = Plan((Stage(method=CUT, layers=("conv*",)), Stage(method=ns.Surgery(density=0.1), start=7)), seed=3)
    path = tmp_path / "plan.toml"
    plan.write(path)
    assert Plan.read(path) == Plan.of(path) == Plan.of(str(path)) == plan
    assert list(path.parent.iterdir()) == [path]


def test_what_a_file_leaves_out_is_as_in_the_records() -> None:
    plan = Plan.from_toml('[[stage]]\nmethod = "surgery"\ndensity = 0.25\n')
    assert plan == Plan((Stage(method=ns.Surgery(density=0.25)),))


def stage_toml(lines: str) -> str:
    return f'[[stage]]\nmethod = "han-pruning"\n\n[[stage]]\nmethod = "surgery"\n{lines}\n'


REFUSALS = {
    "not TOML": ("seed = = 1", ["not valid TOML", "line 1"]),
    "no stages": ("seed = 1", ["has no stage", "[[stage]]"]),
    "empty stages": ("stage = []", ["has no stage"]),
    "stages no list": ("stage = 1", ["has no stage"]),
    "one stage as a table": ('[stage]\nmethod = "surgery"', ["has no stage", "[[stage]]"]),
    "a stage that is no table": ("stage = [1]", ["Stage 0", "1", "[[stage]]"]),
    "unknown key of the plan": (stage_toml("density = 1") + "\n[stages]\n", ["The plan", "'stages'", "'stage'"]),
    "wrong seed": ('seed = "x"\n' + stage_toml("density = 1"), ["seed='x'"]),
    "endless seed": (f"seed = {2**47}\n" + stage_toml("density = 1"), ["seed=140737488355328", "140737488355327"]),
    "negative seed": ("seed = -1\n" + stage_toml("density = 1"), ["seed=-1"]),
    "unknown key of a stage": (stage_toml("density = 1\nsteps_ = 3"), ["Stage 1", "'steps_'", "'steps'"]),
    "key of another method": (stage_toml("density = 1\nc_rate = 3"), ["Stage 1", "'c_rate'"]),
    "unknown method": ('[[stage]]\nmethod = "surgry"', ["Stage 0", "'surgry'", *ALL_METHODS]),
    "no method": ("[[stage]]\ndensity = 1", ["Stage 0", "method=None", *ALL_METHODS]),
    "no density": (stage_toml(""), ["Stage 1", "'surgery'", "'density'"]),
    "density out of range": (stage_toml("density = 2"), ["Stage 1", "density=2"]),
    "density of a wrong type": (stage_toml('density = "0.1"'), ["Stage 1", "density='0.1'"]),
    "density not finite": (stage_toml("density = nan"), ["Stage 1", "density=nan"]),
    "steps of a wrong type": (stage_toml("density = 1\nsteps = 1.5"), ["Stage 1", "steps=1.5"]),
    "layers of a wrong type": (stage_toml('density = 1\nlayers = "fc*"'), ["Stage 1", "layers='fc*'", '("conv*",)']),
    "types of a wrong type": (stage_toml("density = 1\ntypes = [1]"), ["Stage 1", "types=[1]"]),
    "skip of a wrong type": (stage_toml("density = 1\nskip = true"), ["Stage 1", "skip=True"]),
    "no pattern": (stage_toml("density = 1\nlayers = []"), ["Stage 1", "layers=()"]),
    "negative start": (stage_toml("density = 1\nstart = -1"), ["Stage 1", "start=-1"]),
    "start of a wrong type": (stage_toml("density = 1\nstart = true"), ["Stage 1", "start=True"]),
}


@pytest.mark.parametrize(("text", "names"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_wrong_plan_is_refused_with_the_stage_and_the_key(tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(PlanError) as from_text:
        Plan.from_toml(text)
    with pytest.raises(PlanError) as from_file:
        Plan.read(path)
    for name in names:
        assert name in str(from_text.value)
    assert str(from_file.value) == f"{path}: {from_text.value}"


def test_a_file_that_is_missing_or_no_text_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    with pytest.raises(PlanError, match=re.escape(str(path))):
        Plan.read(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match=re.escape(str(path))):
        Plan.read(path)
    with pytest.raises(PlanError, match=re.escape(str(tmp_path))):
        Plan.read(tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("method", 1),
        ("method", "surgery"),
        ("method", ns.Surgery),
        ("layers", "conv*"),
        ("layers", (1,)),
        ("layers", ()),
        ("types", "Conv*"),
        ("skip", None),
        ("start", -1),
        ("start", 0.5),
    ],
)
def test_a_wrong_setting_of_a_stage_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"^{setting}=.* is not allowed"):
        Stage(**{"method": CUT, setting: value})


@pytest.mark.parametrize("stages", [(), CUT, (CUT,), Stage(method=CUT), None])
def test_a_plan_needs_a_tuple_of_stages(stages: Any) -> None:
    with pytest.raises(SettingError, match=r"^stages=.* is not allowed"):
        Plan(stages)


def test_lists_become_tuples_so_that_plans_stay_hashable() -> None:
    plan = Plan([Stage(method=CUT, layers=["a"], types=["b"], skip=["c"])])  # type: ignore[arg-type]
    assert plan == Plan((Stage(method=CUT, layers=("a",), types=("b",), skip=("c",)),))
    assert len({plan, plan}) == 1


def test_a_plan_is_made_of_what_the_user_gives() -> None:
    plan = Plan((Stage(method=CUT),))
    assert Plan.of(plan) is plan
    assert Plan.of(Stage(method=CUT)) == plan
    assert Plan.of(CUT) == plan


@pytest.mark.parametrize("given", [None, 0.1, ns.Surgery, [CUT]])
def test_what_is_not_a_plan_is_refused(given: Any) -> None:
    with pytest.raises(PlanError, match="is not a plan"):
        Plan.of(given)


def test_active_steps_are_those_of_the_stage_that_ends_last() -> None:
    early = Stage(method=ns.Surgery(density=0.5, steps=100, splicing=0.8))
    late = Stage(method=ns.ThresholdSurgery(iter_stop=50), start=40)
    assert Plan((early,)).active_steps == 80
    assert Plan((early, late)).active_steps == Plan((late, early)).active_steps == 90


class Kernel(nn.Module):
    """Weights with names of their own; `offset` is no bias, `in_bias` is one."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(3, 2))
        self.offset = nn.Parameter(torch.ones(3))
        self.in_bias = nn.Parameter(torch.ones(3))
        self.counts = nn.Parameter(torch.ones(2, 2, dtype=torch.int64), requires_grad=False)


class OnlyBias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(3))


class Tied(nn.Module):
    """A language model's habit: the decoder's weight is the encoder's; `copy` is the encoder itself."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(5, 4)
        self.middle = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 5)
        self.decoder.weight = self.encoder.weight
        self.copy = self.encoder


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Sequential(nn.Conv1d(2, 3, 1, bias=False), nn.LayerNorm(3), nn.Linear(3, 4)),
        nn.Linear(4, 2),
    )


def selected(model: nn.Module, *stages: Stage) -> list[dict[str, list[str]]]:
    """For each stage: layer name -> parameter names."""
    return [{layer.name: list(layer.tensors) for layer in layers} for layers in select(model, Plan(stages)).stages]


def test_the_whole_model_is_selected_without_norms() -> None:
    assert selected(network(), Stage(method=CUT)) == [
        {
            "0": ["0.weight", "0.bias"],
            "2.0": ["2.0.weight"],
            "2.2": ["2.2.weight", "2.2.bias"],
            "3": ["3.weight", "3.bias"],
        }
    ]


def test_selected_tensors_are_the_models_own_parameters() -> None:
    model = network()
    parameters = dict(model.named_parameters())
    for layer in select(model, Plan.of(CUT)).stages[0]:
        assert all(tensor is parameters[name] for name, tensor in layer.tensors.items())


def test_biases_are_left_out_where_the_method_does_not_want_them() -> None:
    (found,) = selected(network(), Stage(method=ns.NaiveCut(density=0.5, biases=False)))
    assert found == {"0": ["0.weight"], "2.0": ["2.0.weight"], "2.2": ["2.2.weight"], "3": ["3.weight"]}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ({"layers": ("0",)}, ["0"]),
        ({"layers": ("2.*",)}, ["2.0", "2.2"]),
        ({"layers": ("[03]",)}, ["0", "3"]),
        ({"layers": ("?",)}, ["0", "3"]),
        ({"layers": ("3", "0", "0")}, ["0", "3"]),
        ({"types": ("Linear",)}, ["2.2", "3"]),
        ({"types": ("Conv*",)}, ["0", "2.0"]),
        ({"types": ("Conv2d", "Linear")}, ["0", "2.2", "3"]),
        ({"skip": ("2.*",)}, ["0", "3"]),
        ({"types": ("Linear",), "layers": ("2.*",)}, ["2.2"]),
        ({"types": ("Linear",), "skip": ("3",)}, ["2.2"]),
        ({"layers": ("2.*",), "skip": ("2.0",)}, ["2.2"]),
    ],
)
def test_patterns_select_by_name_and_type_and_skip(patterns: dict[str, Any], names: list[str]) -> None:
    assert list(selected(network(), Stage(method=CUT, **patterns))[0]) == names


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"layers": ("4",)}, r"^layers pattern '4' matches no layer.*There are: 0 \(Conv2d\), 2\.0 \(Conv1d\)"),
        ({"layers": ("0", "2.3")}, r"^layers pattern '2\.3' matches no layer.*Did you mean '2\.[02]'\?"),
        ({"layers": ("1",)}, "^layers pattern '1' matches no layer"),
        ({"types": ("BatchNorm2d",)}, r"^types pattern 'BatchNorm2d' .*There are: Conv1d, Conv2d, Linear\."),
        ({"types": ("linear",)}, "Did you mean 'Linear'"),
        ({"skip": ("norm",)}, "^skip pattern 'norm' matches no layer"),
        ({"skip": ("*",)}, r"^Stage 0 selects no layer: .*skip=\('\*',\)"),
        ({"layers": ("0",), "types": ("Linear",)}, "^Stage 0 selects no layer"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused_with_what_there_is(patterns: dict[str, Any], message: str) -> None:
    with pytest.raises(LayerNotFoundError, match=message):
        selected(network(), Stage(method=CUT, **patterns))


def test_two_stages_that_want_one_tensor_at_the_same_time_are_refused() -> None:
    cut_all, cut_later = Stage(method=ns.Surgery(density=0.1, steps=100)), Stage(method=CUT, layers=("0",), start=69)
    message = r"^Stages 0 and 1 both operate on 0\.weight.*start at step 70 or later, and has start=69"
    with pytest.raises(PlanError, match=message):
        selected(network(), cut_all, cut_later)
    with pytest.raises(PlanError, match=r"^Stages 0 and 1 both"):
        selected(network(), Stage(method=CUT, start=1), Stage(method=CUT))


def test_stages_may_follow_each_other_on_a_tensor() -> None:
    first = Stage(method=ns.Surgery(density=0.1, steps=100), start=5)
    second = Stage(method=ns.NaiveCut(density=0.05), types=("Linear",), start=75)
    third = Stage(method=ns.INQ(bits=5, steps=60), layers=("3",), start=76)
    everything, linear, last = selected(network(), first, second, third)
    assert everything.keys() > linear.keys() > last.keys()
    assert last["3"] == ["3.weight"]
    with pytest.raises(PlanError, match=r"^Stages 1 and 2 both operate on 3\.weight.*step 75"):
        selected(network(), first, second, dataclasses.replace(third, start=74))


def test_convolutions_come_first_and_fully_connected_layers_from_the_switch_on() -> None:
    first, second = ns.Surgery(density=0.1), ns.Surgery(density=0.2)
    plan = Plan.convolutions_first(first, second, switch=500)
    assert [(stage.method, stage.start) for stage in plan.stages] == [(first, 0), (second, 500)]
    assert [list(layers) for layers in selected(network(), *plan.stages)] == [["0", "2.0"], ["2.2", "3"]]


def test_a_bare_layer_is_a_model_whose_layer_has_no_name() -> None:
    for stage in (Stage(method=CUT), Stage(method=CUT, layers=("",)), Stage(method=CUT, types=("Linear",))):
        assert selected(nn.Linear(3, 2), stage) == [{"": ["weight", "bias"]}]


def test_a_matrix_of_a_module_that_is_not_known_is_selected_by_its_own_name_only() -> None:
    model = nn.Sequential(Kernel(), nn.Linear(2, 2))
    assert selected(model, Stage(method=CUT)) == [{"1": ["1.weight", "1.bias"]}]
    for pattern in ("0.kernel", "*.kernel", "0.k*", "*kernel"):
        assert selected(model, Stage(method=CUT, layers=(pattern,))) == [{"0.kernel": ["0.kernel"]}]
    for pattern in ("0", "0.*", "0.*.kernel"):
        with pytest.raises(LayerNotFoundError, match="matches no layer"):
            selected(model, Stage(method=CUT, layers=(pattern,)))


@pytest.mark.parametrize("model", [OnlyBias(), nn.BatchNorm1d(3), nn.ReLU()])
def test_a_model_without_weights_of_two_dimensions_is_refused(model: nn.Module) -> None:
    with pytest.raises(LayerNotFoundError, match="There are: none"):
        selected(model, Stage(method=CUT))


def test_a_module_with_nothing_but_a_bias_is_not_selected() -> None:
    assert selected(nn.Sequential(OnlyBias(), nn.Linear(3, 2)), Stage(method=CUT)) == [{"1": ["1.weight", "1.bias"]}]


def test_attention_is_selected_with_all_its_weights_and_biases() -> None:
    assert selected(nn.Sequential(nn.MultiheadAttention(4, 2)), Stage(method=CUT)) == [
        {
            "0": ["0.in_proj_weight", "0.in_proj_bias"],
            "0.out_proj": ["0.out_proj.weight", "0.out_proj.bias"],
        }
    ]


def test_tied_weights_count_once_under_their_first_name() -> None:
    (found,) = selected(Tied(), Stage(method=CUT))
    assert found == {
        "encoder": ["encoder.weight"],
        "middle": ["middle.weight", "middle.bias"],
        "decoder": ["decoder.bias"],  # its weight is the encoder's
    }


@pytest.mark.parametrize("name", ["encoder", "decoder", "copy"])
def test_any_name_of_tied_weights_selects_and_skips_them(name: str) -> None:
    (found,) = selected(Tied(), Stage(method=CUT, layers=(name,)))
    assert found["encoder"] == ["encoder.weight"]
    assert ("decoder" in found) == (name == "decoder")
    (found,) = selected(Tied(), Stage(method=CUT, skip=(name,)))
    assert "encoder" not in found
    assert ("decoder" in found) == (name != "decoder")


def test_frozen_parameters_are_left_alone() -> None:
    model = network()
    model[0].requires_grad_(False)
    model[3].bias.requires_grad_(False)
    (found,) = selected(model, Stage(method=CUT))
    assert list(found) == ["2.0", "2.2", "3"]
    assert found["3"] == ["3.weight"]


def test_a_lazy_module_is_refused_until_it_has_a_shape() -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(LayerNotFoundError, match=r"^0\.weight has no shape yet"):
        selected(model, Stage(method=CUT))
    model(torch.zeros(2, 5))
    assert selected(model, Stage(method=CUT)) == [{"0": ["0.weight", "0.bias"]}]


def test_selecting_changes_nothing() -> None:
    model = network()
    before: dict[str, Tensor] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    select(model, Plan.of(CUT))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class TestSurgeryThenINQ:
    """One plan, and the learning rate that goes with it."""

    def test_the_learning_rate_begins_again_with_each_round_and_falls_to_nothing_in_it(self) -> None:
        plan = Plan.surgery_then_inq(density=0.2, bits=3, steps=90)
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.5)
        scheduler = plan.scheduler(optimizer)
        rates = []
        for _ in range(90):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        starts = plan.round_starts
        assert starts[:2] == (0, 50)
        assert len(starts) == 1 + len(ns.INQ(bits=3, steps=40).round_starts)
        assert all(rates[start] == 0.5 for start in starts)
        rises = [step for step in range(1, 90) if rates[step] > rates[step - 1]]
        assert tuple(rises) == starts[1:]
        assert optimizer.param_groups[0]["lr"] == 0

    def test_a_scheduler_of_ones_own_begins_again_at_the_same_steps(self) -> None:
        plan = Plan.surgery_then_inq(density=0.2, bits=5, steps=90)
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.5)
        own = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
        restarts = ns.Restarts(own, plan.round_starts)
        for step in range(1, 90):
            optimizer.step()
            restarts.step()
            assert (optimizer.param_groups[0]["lr"] == 0.5) == (step in plan.round_starts)

    def test_a_model_ends_sparse_and_of_powers_and_the_scheduler_resumes(self) -> None:
        def run(stop: int | None) -> dict[str, Tensor]:
            def begun() -> tuple[Any, ...]:
                torch.manual_seed(0)
                model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
                plan = Plan.surgery_then_inq(density=0.2, bits=3, steps=60)
                return model, optimizer, ns.attach(model, optimizer, plan), plan.scheduler(optimizer)

            parts = begun()
            for step in range(60):
                model, optimizer, _, scheduler = parts
                x = torch.randn(8, 8, generator=torch.Generator().manual_seed(step))
                optimizer.zero_grad()
                (model(x) - x[:, :4]).square().mean().backward()
                optimizer.step()
                scheduler.step()
                if step == stop:
                    saved = copy.deepcopy([part.state_dict() for part in parts])
                    parts = begun()
                    for part, state in zip(parts, saved, strict=True):
                        part.load_state_dict(state)
            parts[2].finish()
            assert parts[2].density <= 0.2
            for parameter in parts[0].parameters():
                assert bool((torch.frexp(parameter.detach()[parameter != 0])[0].abs() == 0.5).all())
            return dict(parts[0].state_dict())

        straight, resumed = run(None), run(41)
        assert all(torch.equal(straight[name], resumed[name]) for name in straight)

    def test_sizes_between_powers_are_those_of_inq(self) -> None:
        plan = Plan.surgery_then_inq(density=0.2, bits=6, steps=90, mantissa_bits=2)
        assert plan.stages[1].method == ns.INQ(6, steps=40, biases=True, mantissa_bits=2)
        with pytest.raises(SettingError, match="mantissa_bits=5"):
            Plan.surgery_then_inq(density=0.2, bits=6, mantissa_bits=5)

    def test_a_list_of_optimizers_is_refused_as_each_gets_a_scheduler_of_its_own(self) -> None:
        plan: Any = Plan.surgery_then_inq(density=0.2, steps=90)
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.5)
        with pytest.raises(SettingError, match=r"optimizer='list'.*each of several gets a scheduler of its own"):
            plan.scheduler([optimizer])
        with pytest.raises(SettingError, match=r"optimizer='dict'.*must be a torch.optim.Optimizer"):
            plan.scheduler(optimizer.state_dict())

    def test_too_few_steps_are_refused(self) -> None:
        with pytest.raises(SettingError, match="steps=19"):
            Plan.surgery_then_inq(density=0.1, steps=19)
        plan = Plan.surgery_then_inq(density=0.1, steps=90)
        with pytest.raises(SettingError, match=f"must be a whole number >= {plan.round_starts[-1] + 1}"):
            plan.scheduler(torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.5), steps=50)
