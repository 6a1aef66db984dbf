"""What is no argument of a public function is refused by an error of this library that names it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.each_case import each_case
from torch import nn

import netsurgery as ns
from netsurgery.errors import DataError, InputError, NetsurgeryError, OptimizerError, PlanError, SettingError

ODD: list[Any] = [
    None, 3, -1, True, float("nan"), "x", b"x", [], (), {}, [3], [None], ["x"], {"x": 1}, object(), lambda *_: None,
    np.zeros(3), torch.zeros(2),
]  # fmt: skip


def model() -> nn.Module:
    """(n, 20) -> (n, 3); its weights are powers of two."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 3)).eval()
    with torch.no_grad():
        for name, weight in layers.named_parameters():
            if "weight" in name:
                weight.copy_(torch.randint(2, weight.shape) - 0.5)
    return layers


def optimizer(of: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(of.parameters(), lr=0.1)


X = torch.randn(5, 20, generator=torch.Generator().manual_seed(0))


def pack(**settings: Any) -> ns.PackReport:
    return ns.pack(model(), "b.nsm", **{"example_inputs": X, **settings})


def fixed(**settings: Any) -> ns.PackReport:
    return pack(**{"activations": "fixed", "calibration": [X], **settings})


def attached() -> ns.Operation:
    one = model()
    return ns.attach(one, optimizer(one), ns.NaiveCut(density=0.5))


def of(function: Callable[..., Any], name: str, **others: Any) -> Callable[[Any], Any]:
    """The function of this one argument."""
    return lambda given: function(**{**others, name: given})


def settings_of(function: Callable[..., Any]) -> list[str]:
    return [*inspect.signature(function).parameters]


PLAN = ns.Plan.of(ns.NaiveCut(density=0.5))
NAMES = {
    **{f"pack {name}": of(pack, name) for name in settings_of(ns.pack) if name not in ("model", "path")},
    **{f"fixed {name}": of(fixed, name) for name in ("calibration", "grids", "ends", "evaluate", "weights", "names")},
    "pack model": lambda given: ns.pack(given, "b.nsm", example_inputs=X),
    "pack path": lambda given: ns.pack(model(), given, example_inputs=X),
    "a batch": lambda given: fixed(calibration=[given]),
    "an input of a batch": lambda given: fixed(calibration=[[given]]),
    "a grid": lambda given: fixed(grids={"0.weight": given}),
    "what evaluate gives": lambda given: fixed(evaluate=lambda _: given),
    "load path": ns.load,
    **{f"load {name}": of(ns.load, name, path="a.nsm") for name in ("threads", "engine", "limits")},
    **{f"Limits {name}": of(ns.Limits, name) for name in ("elements", "value_elements")},
    "Session": ns.Session,
    "call": lambda given: ns.load("a.nsm")(given),
    "call by name": lambda given: ns.load("a.nsm")(input=given),
    "run": lambda given: ns.load("a.nsm").run(given),
    "run input": lambda given: ns.load("a.nsm").run({"input": given}),
    "prepare": lambda given: ns.load("a.nsm").prepare(batch=given),
    "profile": lambda given: ns.load("a.nsm").profile(given),
    "attach model": lambda given: ns.attach(given, optimizer(model()), PLAN),
    "attach optimizer": lambda given: ns.attach(model(), given, PLAN),
    "attach plan": lambda given: (lambda one: ns.attach(one, optimizer(one), given))(model()),
    "Plan": ns.Plan,
    "a stage": lambda given: ns.Plan((given,)),
    **{f"Plan.{name}": getattr(ns.Plan, name) for name in ("of", "from_dict", "from_toml", "read")},
    **{f"Plan.{name}": getattr(PLAN, name) for name in ("describe", "write", "scheduler")},
    **{f"Operation.{name}": (lambda given, name=name: getattr(attached(), name)(given))
       for name in ("apply", "load_state_dict", "is_on")},
    **{f"FixedActivations {name}": (lambda given, name=name: ns.FixedActivations(**{"model": model(), name: given}))
       for name in settings_of(ns.FixedActivations)},
    "recalibrate model": lambda given: ns.recalibrate(given, [X]),
    "recalibrate batches": lambda given: ns.recalibrate(nn.BatchNorm1d(20), [X], given),
    "steps_of": lambda given: ns.steps_of(given, epochs=3),
    "with_fastfood model": ns.with_fastfood,
    "with_fastfood layers": lambda given: ns.with_fastfood(model(), given),
    **{f"INQ {name}": of(ns.INQ, name, **({"bits": 5} if name != "bits" else {}))
       for name in settings_of(ns.INQ)},
    **{f"ThresholdSurgery {name}": of(ns.ThresholdSurgery, name) for name in settings_of(ns.ThresholdSurgery)},
    **{f"Stage {name}": of(ns.Stage, name, **({"method": ns.NaiveCut(density=0.5)} if name != "method" else {}))
       for name in settings_of(ns.Stage)},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ns.pack(model(), "a.nsm", example_inputs=X)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_an_odd_argument_is_taken_or_refused_by_an_error_of_this_library(name: str) -> None:
    for odd in ODD:
        with suppress(NetsurgeryError, OSError):  # the latter of paths that are folders
            NAMES[name](odd)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: fixed(calibration=5), "calibration is a int: give a list of batches, such as [X]"),
        (lambda: fixed(calibration=X), "calibration is one tensor: give a list of batches, such as [X]"),
        (lambda: fixed(calibration=X.numpy()), "calibration is one array: give"),
        (lambda: fixed(grids=3), "grids is a int; it must be a dict of grids"),
        (lambda: fixed(evaluate=lambda _: "93 %"), "evaluate gave '93 %', a str, and has to give a finite number"),
        (lambda: fixed(evaluate=lambda _: float("nan")), "evaluate gave nan, a float"),
        (lambda: pack(names="yes"), "names='yes' is not allowed: names must be True or False"),
        (lambda: pack(weights=np.zeros(2)), "weights must be 'exact', 'float16' or 'bfloat16'"),
        (lambda: ns.load("a.nsm", limits=3), "limits=3 is not allowed: limits must be netsurgery.Limits, or None"),
        (lambda: ns.Limits(elements="1 GB"), "elements='1 GB' is not allowed: elements must be a number, or None"),
        (lambda: ns.Session("a.nsm"), "netsurgery.load takes its path"),
        (lambda: PLAN.describe(3), "model='int' is not allowed: model must be a torch.nn.Module"),
        (lambda: ns.FixedActivations(model(), skip="head"), 'for one pattern write ("head*",)'),
    ],
)
def test_a_setting_that_is_none_is_named_with_what_it_may_be(call: Callable[[], Any], told: str) -> None:
    with pytest.raises(SettingError) as caught:
        call()
    assert told in str(caught.value)


@pytest.mark.parametrize("odd", [None, 3, np.float32(3), np.array(3), "x", {"input": X}, object()])
def test_what_gives_no_batches_recalibrates_nothing(odd: Any) -> None:
    with pytest.raises(DataError, match="give a list of batches, or a loader"):
        ns.recalibrate(nn.BatchNorm1d(20), odd)


def test_numbers_of_any_library_are_metrics() -> None:
    for number in (1, np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor([0.5])):
        assert fixed(evaluate=lambda _, number=number: number).metric_after in (0.5, 1.0)


def test_inputs_by_name_are_for_run() -> None:
    with pytest.raises(InputError, match=r"input=\.\.\. is given by name.*run\(\{'input': \.\.\.\}\)"):
        ns.load("a.nsm")(input=X)


def test_a_plan_of_another_type_is_told_what_reads_it() -> None:
    with pytest.raises(PlanError, match=r"it must be TOML in a str\. Plan\.read takes a path"):
        ns.Plan.from_toml(Path("plan.toml"))


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_masked_arrays_are_refused(engine: Any) -> None:
    network = ns.load("a.nsm", engine=engine)
    masked = np.ma.masked_array(X.numpy(), np.zeros((5, 20), bool))
    for call in (network, network.profile) if engine == "native" else (network,):
        with pytest.raises(InputError, match=r"masked array, and a network has no mask: .*x\.filled\(0\)"):
            call(masked)
    with pytest.raises(InputError, match="is a masked array"):
        network.run({"input": masked})
    for settings in ({"example_inputs": masked}, {"activations": "fixed", "calibration": [masked]}):
        with pytest.raises(InputError, match="hold a masked array"):
            pack(**settings)


@each_case("kind", [np.float64, np.longdouble])
def test_numbers_beyond_float32_are_refused_and_infinity_is_not(kind: type) -> None:
    network = ns.load("a.nsm")
    x = X.numpy().astype(kind)
    x[0, 3] = -1e39
    with pytest.raises(InputError, match=r"holds -1e\+39, which is beyond float32: give numbers within ± 3\.4e\+38"):
        network(x)
    for settings in ({"example_inputs": x}, {"activations": "fixed", "calibration": [x]}):
        with pytest.raises(InputError, match=r"hold -1e\+39, which is beyond float32"):
            pack(**settings)
    x[0, 3] = np.inf
    assert np.isfinite(network(x)[1:]).all()
    x[0, 3] = np.finfo(np.float32).max
    assert np.array_equal(network(x), network(x.astype(np.float32)))


def test_the_type_of_a_tensor_that_holds_no_real_numbers_is_named() -> None:
    with pytest.raises(InputError, match=r"calibration batches hold a Tensor of complex64; .* of real numbers"):
        fixed(calibration=[X.to(torch.complex64)])


def test_sparse_adam_is_for_embeddings_alone() -> None:
    parts = nn.ModuleDict({"words": nn.Embedding(50, 8, sparse=True), "head": nn.Linear(8, 3)})
    sparse = torch.optim.SparseAdam(parts["words"].parameters())
    dense = torch.optim.Adam(parts["head"].parameters())
    plan = ns.Stage(method=ns.NaiveCut(density=0.5), layers=("words", "head"))
    ns.attach(parts, [sparse, dense], plan).detach()
    with pytest.raises(
        OptimizerError, match=r"SparseAdam takes sparse gradients alone, .* head\.weight gets dense ones"
    ):
        ns.attach(parts, torch.optim.SparseAdam(parts.parameters()), ns.NaiveCut(density=0.5))
