"""`ns.compress` from end to end, on small networks: what it finds is real, what it refuses it says."""

from __future__ import annotations

import copy
import errno
import importlib.util
import inspect
import itertools
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.compression.networks import Given, pictures, sequences
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import netsurgery as ns
from netsurgery.compression import workshop
from netsurgery.compression.course import Course
from netsurgery.compression.folder import SearchFolder
from netsurgery.compression.rates import Rate
from netsurgery.compression.result import Compression, Moment
from netsurgery.compression.training import DivergedError, Trainer
from netsurgery.errors import DataError, LayerNotFoundError, SettingError, UnpackedWarning
from netsurgery.timing.turns import Pace

KINDS = {"pictures": pictures, "sequences": sequences}
STEPS = 450
KILLED_STEPS = 180


def compressed(given: Given, out: Path, **more: Any) -> Compression:
    settings = {"loss": given.loss, "max_loss": 0.02, "budget": STEPS, "out": out, **more}
    return ns.compress(given.model, given.batches, given.evaluate, **settings)


@pytest.fixture(autouse=True)
def _timed_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "_PACE", Pace(rounds=2, turn_s=0.003, pause_s=0))


@pytest.fixture(scope="module", params=KINDS)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Given, Compression]:
    given = KINDS[request.param]()
    return given, compressed(given, tmp_path_factory.mktemp("search") / "out")


def metric(given: Given, model: Any) -> float:
    with torch.no_grad():
        return float(given.evaluate(model).mean())


def test_a_much_smaller_network_holds_the_limit(found: tuple[Given, Compression]) -> None:
    _, result = found
    assert result.met
    assert result.best.compression > 3
    assert result.best.size_bytes < result.reference.size_bytes / 8
    assert result.best.drop <= 0.02
    assert not result.interrupted


def test_model_file_and_record_are_the_same_network(found: tuple[Given, Compression]) -> None:
    given, result = found
    assert result.model is given.model
    assert metric(given, result.model.eval()) == pytest.approx(result.best.value, abs=1e-7)
    assert result.path.stat().st_size == result.best.size_bytes
    packed = ns.load(result.path)
    inputs = list(given.held_out.values())[:2] if isinstance(given.held_out, dict) else [given.held_out[0]]
    with torch.no_grad():
        wanted = result.model(*inputs).numpy()
    np.testing.assert_allclose(packed(*(one.numpy() for one in inputs)), wanted, rtol=1e-3, atol=1e-4)


def test_connections_that_are_counted_are_there(found: tuple[Given, Compression]) -> None:
    _, result = found
    weights = torch.load(result.folder / "best.pt", weights_only=True)
    operated = [name for name in weights if "norm" not in name and "other" not in name and "embedding" not in name]
    assert sum(int(weights[name].count_nonzero()) for name in operated) == result.best.kept
    if result.best.bits < 32:
        some = weights["head.weight"][weights["head.weight"] != 0].abs().log2()
        assert torch.equal(some, some.round())


def test_an_embedding_and_norms_are_left_alone(found: tuple[Given, Compression]) -> None:
    _, result = found
    for module in result.model.modules():
        if isinstance(module, nn.Embedding | nn.BatchNorm2d):
            assert bool((module.weight != 0).all())


def test_the_curve_begins_with_the_best_metric_and_holds_the_best(found: tuple[Given, Compression]) -> None:
    _, result = found
    assert result.curve[0].value == max(one.value for one in result.candidates if not one.failed)
    assert all(
        one.cost("size") > other.cost("size") for one, other in zip(result.curve, result.curve[1:], strict=False)
    )


def test_the_page_shows_every_trial(found: tuple[Given, Compression]) -> None:
    _, result = found
    page = result.report.read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    for one in result.candidates[1:]:
        assert f"{one.number}: from {one.trial.start}: {one.trial.words}" in page
    assert f"{result.best.size_bytes:,}" in page


def test_the_bytes_on_the_page_add_up_to_the_file(found: tuple[Given, Compression]) -> None:
    _, result = found
    table = result.report.read_text(encoding="utf-8").partition("Bytes of the file")[2].partition("</table>")[0]
    cells = re.findall(r"<td>([0-9.,]+)</td></tr>", table)
    *parts, whole = (float(cell.replace(",", "")) for cell in cells)
    assert whole == result.best.size_bytes
    assert sum(parts) == pytest.approx(whole, abs=0.05 * len(parts))


def test_a_limit_that_nothing_holds_gives_the_network_back(tmp_path: Path) -> None:
    given = pictures()
    before = {name: value.clone() for name, value in given.model.state_dict().items()}
    result = compressed(given, tmp_path / "out", max_loss=0.0, baseline=2.0, budget=200)
    assert not result.met
    assert (result.best.number, result.best.compression) == (0, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in result.model.state_dict().items())
    assert result.path.exists()
    assert "no smaller network holds the limit" in str(result)


def test_only_what_is_asked_for_is_done(tmp_path: Path) -> None:
    result = compressed(pictures(), tmp_path / "out", methods=["inq"], budget=200)
    assert all(one.trial.density is None for one in result.candidates[1:])
    result = compressed(pictures(), tmp_path / "other", methods="surgery", objective="latency", budget=200)
    assert all(one.trial.bits is None for one in result.candidates[1:])
    assert result.best.latency_us == min(one.latency_us for one in result.candidates if one.held)


def test_an_optimizer_of_ones_own_is_used_and_flags_come_back(tmp_path: Path) -> None:
    given, made = pictures(), []

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        made.append(torch.optim.RMSprop(parameters, lr=1e-3))
        return made[-1]

    given.model.head.weight.requires_grad_(False)
    frozen = given.model.head.weight.clone()
    given.model.train()
    given.model.norm.eval()
    threads = torch.get_num_threads()
    compressed(given, tmp_path / "out", optimizer=optimizer, budget=200)
    assert len(made) > 3
    assert torch.equal(given.model.head.weight, frozen)
    assert (given.model.training, given.model.norm.training, torch.get_num_threads()) == (True, False, threads)


def test_networks_train_in_the_precision_asked_for_and_are_judged_in_float32(tmp_path: Path) -> None:
    given, trained, judged = pictures(), set(), set()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        trained.add(torch.is_autocast_enabled("cpu"))
        return given.loss(model, batch)

    def evaluate(model: nn.Module) -> Tensor:
        judged.add(torch.is_autocast_enabled("cpu"))
        return given.evaluate(model)

    settings = {"loss": loss, "max_loss": 0.02, "budget": 200, "out": tmp_path / "out", "precision": "bfloat16"}
    result = ns.compress(given.model, given.batches, evaluate, **settings)
    assert judged == {False}
    assert True in trained
    assert result.met
    assert result.path.exists()
    assert all(value.dtype == torch.float32 for value in given.model.parameters())


def test_a_model_that_autocast_leaves_alone_is_refused_in_bfloat16(tmp_path: Path) -> None:
    given, settings = pictures(), {"precision": "bfloat16", "out": tmp_path / "out"}
    with pytest.raises(SettingError, match=r"precision='bfloat16' is not allowed: .* a model without float32 weights"):
        ns.compress(given.model.double(), given.batches, given.evaluate, loss=given.loss, **settings)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_with_the_best_so_far(tmp_path: Path) -> None:
    def stop(moment: Moment) -> None:
        if moment.best is not None and moment.best.number > 0:
            raise KeyboardInterrupt

    result = compressed(pictures(), tmp_path / "out", progress=stop, budget=240)
    assert result.interrupted
    assert result.met
    assert result.path.exists()
    again = compressed(pictures(), tmp_path / "out", resume=True, budget=240)
    assert not again.interrupted
    assert len(again.candidates) > len(result.candidates)


def test_ctrl_c_that_ends_the_workers_of_a_loader_ends_with_the_best_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, before = pictures(), signal.getsignal(signal.SIGINT)

    def stopped(moment: Moment) -> None:
        if "density" in moment.what:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            raise RuntimeError("DataLoader worker (pid 7) exited unexpectedly")  # in the place of the interruption

    monkeypatch.setattr(Course, "_finish", raising_at(1, Course._finish))  # and the other worker's end, a moment later
    result = compressed(given, tmp_path / "out", progress=stopped)
    assert result.interrupted
    assert (tmp_path / "out" / "best.nsm").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_that_somebody_catches_ends_the_search_all_the_same(tmp_path: Path) -> None:
    trials: list[str] = []

    def caught(moment: Moment) -> None:
        trials.append(moment.what)
        if "density" in moment.what:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    assert compressed(pictures(), tmp_path / "out", progress=caught).interrupted
    assert "density" in trials[-1]
    assert "density" not in trials[-2]


def test_time_that_is_left_when_all_steps_are_spent_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elapsed_s(course: Course) -> float:
        """As if a step took a hundredth of a second, and nothing else took any time."""
        return 0.01 * sum(one["trial"]["steps"] for one in course._state["candidates"] if one["trial"])

    monkeypatch.setattr(Course, "_elapsed_s", property(elapsed_s))
    monkeypatch.setattr(Course, "_terms", lambda _: (60, 0))
    told: list[Moment] = []
    result = compressed(pictures(), tmp_path / "out", budget="2s", methods="surgery", progress=told.append)
    added = json.loads((tmp_path / "out" / "state.json").read_text())["added_steps"]
    assert added
    spent = sum(one.trial.steps for one in result.candidates if one.trial)
    assert 60 < spent <= 60 + sum(added)
    shares = [moment.spent for moment in told]
    assert shares == sorted(shares)  # though there were more steps than had been planned
    assert shares[-1] <= spent * 0.01 / 2


def test_of_a_budget_of_steps_what_is_told_to_be_spent_rises_to_all_of_it_probes_too(tmp_path: Path) -> None:
    told: list[Moment] = []
    compressed(pictures(), tmp_path / "out", progress=told.append, methods="surgery")
    shares = [moment.spent for moment in told]
    probing = [moment.spent for moment in told if moment.what.startswith("trying")]
    assert shares == sorted(shares)
    assert 0 < probing[-1] < shares[-1] <= 1


def test_a_training_that_diverges_at_once_says_nothing_of_how_long_steps_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Trainer.train

    def diverging(self: Trainer, plan: Any, rate: Rate, *given: Any, **more: Any) -> Any:
        if (rate.kind == "sgd" and rate.value > 0.05) or more.get("taught"):
            raise DivergedError("The loss became infinite or NaN.")
        return train(self, plan, rate, *given, **more)

    monkeypatch.setattr(Trainer, "train", diverging)
    monkeypatch.setattr(Course, "_elapsed_s", 0.1)
    monkeypatch.setattr(Course, "_try_out", lambda _: None)
    compressed(pictures(), tmp_path / "out", budget="3s", methods="surgery")
    state = json.loads((tmp_path / "out" / "state.json").read_text())
    probes = state["probes"]
    assert probes[0]["value"] is None
    assert state["steps"] <= 3 / min(one["step_s"] for one in probes if one["loss"] is not None)


def test_no_probe_begins_when_half_of_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Course, "_elapsed_s", property(lambda course: 0.6 * len(course._state["probes"])))
    monkeypatch.setattr(Course, "_try_out", lambda _: None)
    compressed(pictures(), tmp_path / "out", budget="1s", methods="surgery")
    state = json.loads((tmp_path / "out" / "state.json").read_text())
    (probe,) = state["probes"]
    assert state["rate"] == {"kind": probe["kind"], "value": probe["rate"]}


RUN = """
import os, sys, torch
torch.set_num_threads(1)
from tests.compression.networks import pictures
import netsurgery as ns
import netsurgery.compression.folder as folder
original = folder.Checkpoint
folder.Checkpoint = lambda path, identity: original(path, identity, 0.0)
out, stop = sys.argv[1], int(sys.argv[2])
seen = [0]
def progress(moment):
    seen[0] += 1
    if seen[0] == stop:
        os._exit(9)  # as kill -9: nothing is cleaned up
def search():
    given = pictures()
    ns.compress(given.model, given.batches, given.evaluate, loss=given.loss, max_loss=0.02, budget=KILLED_STEPS,
                out=out, resume=True, progress=progress)
"""
GO_ON = "search()"
FULL_DISK = """
import resource, shutil, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write that is too long fails, as on a disk that is full
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, unlimited[1]))
try:
    search()
except OSError as error:
    assert "File too large" in str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    shutil.copytree(out, out + " that was full")
    search()
"""


def run(out: Path, stop: int, what: str = GO_ON) -> int:
    """The exit status of a process that searches, or goes on with a search, and is killed on the way."""
    command = [sys.executable, "-c", RUN.replace("KILLED_STEPS", str(KILLED_STEPS)) + what, str(out), str(stop)]
    return subprocess.run(command, check=False, capture_output=True).returncode


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_search_that_was_killed_or_whose_disk_was_full_ends_with_the_bits_of_one_that_wasn_t(tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    compressed(pictures(), straight, budget=KILLED_STEPS)
    assert [run(killed, stop) for stop in (4, 40)] == [9, 9]
    if importlib.util.find_spec("resource"):
        before = contents(killed)
        assert run(killed, 0, FULL_DISK) == 0
        # Nothing that was written is harmed, and no temporary file is left.
        assert contents(tmp_path / "killed that was full") == before
    else:
        assert run(killed, 0) == 0
    for name in ("best.nsm", "best.pt"):
        assert (straight / name).read_bytes() == (killed / name).read_bytes()
    kept = [json.loads((path / "state.json").read_text())["candidates"] for path in (straight, killed)]
    for one in (*kept[0], *kept[1]):
        one.pop("latency_us")
    assert kept[0] == kept[1]


def raising_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which raises when it is called for that time."""
    calls = itertools.count(1)

    def called(*given: Any) -> Any:
        if next(calls) == call:
            raise RuntimeError("out of memory, say")
        return function(*given)

    return called


@pytest.mark.parametrize("name", ["loss", "evaluate"])
def test_what_the_users_functions_raise_leaves_the_model_as_it_was_given(name: str, tmp_path: Path) -> None:
    given = pictures()
    before = copy.deepcopy(given.model.state_dict())
    given.model.head.weight.grad = gradient = torch.ones_like(given.model.head.weight)
    given.model.train()
    functions = {"loss": given.loss, "evaluate": given.evaluate}
    functions[name] = raising_at({"loss": 40, "evaluate": 5}[name], functions[name])
    with pytest.raises(RuntimeError, match="out of memory, say"):
        ns.compress(given.model, given.batches, **functions, budget=200, out=tmp_path / "out")
    after = given.model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert given.model.training
    assert given.model.head.weight.grad is gradient
    assert bool((gradient == 1).all())


def test_gradients_are_those_that_there_were(tmp_path: Path) -> None:
    given = pictures()
    compressed(given, tmp_path / "out", budget=200)
    assert all(parameter.grad is None for parameter in given.model.parameters())


class Exhausted:
    """A loader of somebody's own, which is empty."""

    def __iter__(self) -> Iterator[Any]:
        return iter(())


@pytest.mark.parametrize("batches", [[], Exhausted()])
def test_a_loader_without_batches_is_refused(batches: Any, tmp_path: Path) -> None:
    given = pictures()
    with pytest.raises(SettingError, match=r"train_loader.* a loader with at least one batch"):
        ns.compress(given.model, batches, given.evaluate, loss=given.loss, budget=200, out=tmp_path / "out")


@pytest.mark.parametrize("batches", [None, 3, "x", {"x": 1}, object(), len])
def test_what_gives_no_batches_is_refused(batches: Any, tmp_path: Path) -> None:
    given = pictures()
    with pytest.raises(SettingError, match=r"train_loader=.* a loader, or a list of batches as `loss` takes them"):
        ns.compress(given.model, batches, given.evaluate, loss=given.loss, budget=200, out=tmp_path / "out")


def test_trainings_that_all_diverge_are_said(tmp_path: Path) -> None:
    given = pictures()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return given.loss(model, batch) * (math.nan if model is given.model and model.training else 1)

    result = ns.compress(given.model, given.batches, given.evaluate, loss=loss, budget=200, out=tmp_path / "out")
    assert not result.met
    assert re.search(r"none of [0-9]+ trainings gave one: .* (holds|became) .*NaN", str(result))


def test_a_network_without_a_metric_is_one_that_failed_and_the_search_goes_on(tmp_path: Path) -> None:
    given = pictures()
    calls = itertools.count(1)

    def evaluate(model: nn.Module) -> Any:  # as a correlation, which outputs that are all alike don't have
        return given.evaluate(model) * (math.nan if next(calls) in (3, 4, 5, 6) else 1)

    result = ns.compress(given.model, given.batches, evaluate, loss=given.loss, budget=STEPS, out=tmp_path / "out")
    failed = [one.failed for one in result.candidates if one.failed]
    assert failed
    assert all(re.fullmatch(r"The metric became nan for [0-9]+ of [0-9]+ examples\.", why) for why in failed)
    assert any(not one.failed for one in result.candidates[1:])
    assert failed[0] in result.report.read_text(encoding="utf-8")


def test_a_folder_that_can_t_be_made_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    seen: list[Moment] = []
    with pytest.raises(OSError, match="file"):
        compressed(pictures(), tmp_path / "file" / "out", progress=seen.append)
    assert not seen
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"max_loss": -1}, "max_loss=-1 is not allowed"),
        ({"budget": "soon"}, "budget='soon' is not allowed"),
        ({"objective": "energy"}, "objective='energy' is not allowed: objective must be 'size' or 'latency'"),
        ({"methods": ["magic"]}, "methods=.*at least one of 'surgery' and 'inq'"),
        ({"methods": []}, "methods="),
        ({"methods": 3}, "methods="),
        ({"methods": [[]]}, "methods="),
        ({"objective": ["size"]}, r"objective=\['size'\] is not allowed"),
        ({"pack_options": 3}, "pack_options=3 is not allowed"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**31}, "seed=2147483648 is not allowed"),
        ({"progress": 3}, "progress=3 is not allowed: progress must be a function of a Moment"),
        ({"progress": lambda: None}, r"can't be called as progress\(moment\)"),
        ({"precision": "float16"}, "precision='float16' is not allowed: precision must be 'float32' or 'bfloat16'"),
        ({"certainty": 1.0}, "certainty=1.0"),
        ({"loss": lambda _model, _batch: 3.0}, "loss returned float; loss"),
        ({"loss": lambda model, batch: model(batch[0])}, r"loss returned a tensor of shape \(16, 4\)"),
        ({"loss": lambda _model, _batch: torch.tensor(1.0)}, "without a gradient.* Don't detach it"),
        ({"loss": lambda model, batch: model(batch[0]).mean().item()}, "loss returned float"),
        ({"loss": lambda _model, _batch: None}, "loss returned None"),
        ({"loss": lambda model, batch: (model(batch[0]).mean(), 1)}, "loss returned tuple"),
        ({"loss": lambda model, batch: model(batch[0]).mean() * 1j}, r"shape \(\) and type torch.complex64"),
        ({"loss": lambda _model, _batch: torch.tensor(3)}, r"shape \(\) and type torch.int64"),
        ({"loss": torch.no_grad()(lambda model, batch: model(batch[0]).mean())}, "without a gradient"),
        (
            {"loss": lambda _outputs, _targets, _more: 0},
            r"loss=<lambda>\(_outputs, .*can't be called as loss\(model, b",
        ),
        ({"loss": nn.CrossEntropyLoss()}, "loss can't be called with the model and a batch: .* is a tuple of a tensor"),
        ({"loss": nn.functional.cross_entropy}, "loss can't be called with the model and a batch"),
        ({"loss": lambda model, batch: model(batch).mean()}, "loss can't be called with the model and a batch"),
        ({"optimizer": lambda _: "Adam"}, "optimizer='str' is not allowed"),
        (
            {"optimizer": torch.optim.SGD([torch.zeros(1)], lr=0.1)},
            "optimizer='SGD' is not allowed.* a function of par",
        ),
        ({"optimizer": lambda: None}, r"can't be called as optimizer\(parameters\)"),
        ({"budget": "10 parsecs"}, "budget='10 parsecs' is not allowed"),
        ({"budget": math.nan}, "budget=nan is not allowed"),
        ({"budget": f"1{'0' * 400} steps"}, "budget='1000"),
        ({"out": ""}, "out='' is not allowed"),
        ({"pack_options": {"weights": "float16"}}, r"pack_options=\['weights'\] is not allowed: .* open_axes"),
        ({"loss": lambda model, batch: model(batch[0]).mean() * math.nan}, "loss returned nan for the first batch"),
        ({"pack_options": {"open_axes": {"zz": {0: "batch"}}}}, "open_axes='zz' is not allowed"),
    ],
)
def test_arguments_that_won_t_do_are_refused_before_anything_is_judged_or_trained(
    more: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    given, seen = pictures(), list[Moment]()
    settings = {"loss": given.loss, "budget": STEPS, "out": tmp_path / "out", "progress": seen.append, **more}
    with pytest.raises(SettingError, match=sentence):
        ns.compress(given.model, given.batches, given.evaluate, **settings)
    begun = {moment.what for moment in seen}
    assert begun <= ({"choosing threads", "judging the network as it is"} if "pack_options" in more else set())
    assert not (tmp_path / "out" / "state.json").exists()


@pytest.mark.parametrize(
    ("evaluate", "sentence"),
    [
        (lambda _: "good", "evaluate returned 'good'"),
        (lambda _: None, "evaluate returned None"),
        (lambda _: torch.tensor([1, math.nan]), "evaluate returned nan for 1 of 2 examples; it must return a finite"),
        (lambda _: math.inf, "evaluate returned inf; it must return a finite number"),
        (lambda _: (0.3, 0.9), "evaluate returned a tuple of 2; .* such as a loss and an accuracy"),
        (lambda _: {"accuracy": 0.9}, "evaluate returned {'accuracy': 0.9}"),
        (lambda _: [[1.0], [2.0, 3.0]], "evaluate returned a list that is none of numbers"),
        (lambda _: torch.ones(3, 2), r"evaluate returned float32 of shape \(3, 2\)"),
        (lambda: 1.0, r"evaluate=<lambda>\(\) can't be called as evaluate\(model\)"),
    ],
)
def test_a_metric_that_is_none_is_refused(evaluate: Callable[[nn.Module], Any], sentence: str, tmp_path: Path) -> None:
    given = pictures()
    with pytest.raises(SettingError, match=sentence):
        ns.compress(given.model, given.batches, evaluate, loss=given.loss, budget=200, out=tmp_path / "out")


def iterators() -> dict[str, Any]:
    batches = list(pictures().batches)
    every = {"generator": (one for one in batches), "zip": zip(batches, batches, strict=True), "iter": iter(batches)}
    return every | {"map": map(tuple, batches), "count": itertools.cycle(batches)}


@pytest.mark.parametrize("kind", iterators())
def test_a_loader_that_ends_for_good_is_refused_before_a_batch_is_taken_of_it(kind: str, tmp_path: Path) -> None:
    given, loader = pictures(), iterators()[kind]
    with pytest.raises(SettingError, match="iterated over again and again; a generator ends for good: give a DataLoad"):
        ns.compress(given.model, loader, given.evaluate, loss=given.loss, budget=200, out=tmp_path / "out")
    assert torch.equal(next(loader)[0][0], next(iterators()[kind])[0][0])


class Again:
    """As loaders of others are that begin again by themselves: an iterator of itself."""

    def __init__(self, batches: Any) -> None:
        self.batches, self.place = list(batches), 0

    def __iter__(self) -> Again:
        return self

    def __next__(self) -> Any:
        if self.place == len(self.batches):
            self.place = 0
            raise StopIteration
        self.place += 1
        return self.batches[self.place - 1]


def test_a_loader_that_begins_again_by_itself_will_do_but_not_for_epochs(tmp_path: Path) -> None:
    given = pictures()
    begun = Given(given.model, Again(given.batches), given.held_out)
    assert compressed(begun, tmp_path / "out", budget=120).candidates
    seen: list[Moment] = []
    with pytest.raises(SettingError, match=r"budget='2 epochs' is not allowed: .* how many batches a pass has"):
        compressed(begun, tmp_path / "other", budget="2 epochs", progress=seen.append)
    assert not seen


def normalised() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.Linear(6, 4))


def one_each(given: Given) -> Any:
    return [(inputs[:1], targets[:1]) for inputs, targets in given.batches]


def one_at_the_end(given: Given) -> Any:
    return [*given.batches, one_each(given)[0]]


def one_left_over(given: Given) -> Any:
    inputs, targets = (torch.cat(parts)[:33] for parts in zip(*given.batches, strict=True))
    return DataLoader(TensorDataset(inputs, targets), 16, shuffle=True)


@pytest.mark.parametrize("loader", [one_each, one_at_the_end, one_left_over])
def test_batches_of_one_example_are_refused_at_once_where_batch_norms_can_t_be_trained_on_them(
    loader: Any, tmp_path: Path
) -> None:
    given, seen = pictures(), list[Moment]()
    settings: dict[str, Any] = {"loss": given.loss, "budget": 60}
    with pytest.raises(SettingError, match=r"train_loader gives a batch of one example, a .*drop_last=True"):
        ns.compress(normalised(), loader(given), given.evaluate, out=tmp_path / "out", progress=seen.append, **settings)
    assert not seen
    assert compressed(Given(given.model, loader(given), given.held_out), tmp_path / "mine", budget=60).candidates


def test_a_full_disk_is_told_before_the_network_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any, name: str, content: bytes) -> None:
        raise OSError(errno.ENOSPC, f"No space left on device, for {len(content)} bytes", name)

    given, judged = pictures(), []
    written = SearchFolder._write
    monkeypatch.setattr(
        SearchFolder,
        "_write",
        lambda self, name, content: (written if name == "state.json" else full)(self, name, content),
    )
    with pytest.raises(OSError, match="No space left"):
        ns.compress(given.model, given.batches, judged.append, loss=given.loss, budget=60, out=tmp_path / "out")
    assert not judged
    assert not list((tmp_path / "out").glob("*.pt"))


def test_weights_without_a_shape_are_named(tmp_path: Path) -> None:
    given = pictures()
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
    with pytest.raises(LayerNotFoundError, match=r"1\.weight has no shape yet .*Run one forward pass"):
        ns.compress(lazy, given.batches, given.evaluate, loss=given.loss, budget=200, out=tmp_path / "out")


def test_a_certainty_that_one_number_can_t_give_is_refused_and_the_folder_is_free_again(tmp_path: Path) -> None:
    given = pictures()
    settings = {"loss": given.loss, "budget": 60, "out": tmp_path / "out"}
    one_number = lambda model: float(given.evaluate(model).mean())  # noqa: E731
    with pytest.raises(SettingError, match=r"certainty=0\.9 is not allowed: .*let it return one for each example"):
        ns.compress(given.model, given.batches, one_number, certainty=0.9, **settings)
    assert contents(tmp_path / "out") == {}
    ns.compress(given.model, given.batches, one_number, **settings)


@pytest.mark.parametrize("name", ["best.pt", "network-003.nsm", "report.html"])
def test_a_folder_with_files_that_a_search_would_overwrite_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match=f"holds {name}, which no search wrote there"):
        compressed(pictures(), tmp_path, budget=60)
    assert contents(tmp_path) == {name: b"mine"}


class _Killed(BaseException):
    pass


@pytest.mark.skipif(importlib.util.find_spec("fcntl") is None, reason="Windows has no such locks")
def test_a_folder_in_which_a_search_is_at_work_is_refused(tmp_path: Path) -> None:
    refused: list[str] = []

    def progress(_: Moment) -> None:
        if not refused:
            with pytest.raises(DataError, match="is in use: another process") as caught:
                compressed(pictures(), tmp_path / "out", budget=60, resume=True)
            refused.append(str(caught.value))

    result = compressed(pictures(), tmp_path / "out", budget=60, progress=progress)
    assert refused
    assert not result.interrupted


def test_nothing_is_deleted_that_a_search_did_not_write(tmp_path: Path) -> None:
    """It ended before its reference was judged; since then files have come that are called like its own."""
    given, out = pictures(), tmp_path / "out"
    folder = SearchFolder(out, {}, resume=False)
    folder.write_weights(0, given.model.state_dict())
    (out / "best.pt").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match=r"holds best\.pt, which no search wrote there"):
        SearchFolder(out, {}, resume=True)
    assert contents(out)["best.pt"] == b"mine"
    (out / "best.pt").unlink()
    SearchFolder(out, {}, resume=True).remove_unless_begun()
    assert contents(out) == {}


def test_what_evaluate_writes_into_the_folder_stays_there(tmp_path: Path) -> None:
    given, out = pictures(), tmp_path / "out"

    def evaluate(_: nn.Module) -> float:
        (out / "network-before.pt").write_text("mine", encoding="utf-8")
        raise _Killed

    with pytest.raises(_Killed):
        ns.compress(given.model, given.batches, evaluate, loss=given.loss, budget=60, out=out)
    assert contents(out) == {"network-before.pt": b"mine"}


@pytest.mark.parametrize("form", ["dict", "array"])
def test_example_inputs_may_be_named_or_arrays(form: str, tmp_path: Path) -> None:
    given = pictures()
    images = given.batches[0][0][:3].numpy()
    name = next(iter(inspect.signature(given.model.forward).parameters))
    examples = {name: images} if form == "dict" else images
    result = compressed(given, tmp_path / "out", budget=200, pack_options={"example_inputs": examples})
    assert result.path is not None


def test_a_budget_for_no_trial_is_told(tmp_path: Path) -> None:
    result = compressed(pictures(), tmp_path / "out", budget=1)
    assert not result.met
    assert str(result).startswith("nothing smaller was tried, as the budget is too small for a trial: metric")


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(NotADirectoryError, match="is a file: give the path of a folder"):
        compressed(pictures(), tmp_path / "out", budget=60)


def test_a_folder_of_another_search_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    compressed(pictures(), tmp_path / "out", budget=60)
    before = contents(tmp_path / "out")
    with pytest.raises(DataError, match=r"holds a search already\. Give resume=True"):
        compressed(pictures(), tmp_path / "out", budget=60)
    with pytest.raises(DataError, match=r"holds another search: its max_loss differs\."):
        compressed(pictures(), tmp_path / "out", budget=60, resume=True, max_loss=0.5)
    assert contents(tmp_path / "out") == before


def test_a_folder_whose_trials_this_search_would_not_try_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    compressed(pictures(), out, budget=KILLED_STEPS)
    state = json.loads((out / "state.json").read_text(encoding="utf-8"))
    state["candidates"][1]["trial"]["density"] = 0.123
    (out / "state.json").write_text(json.dumps(state), encoding="utf-8")
    before = contents(out)
    with pytest.raises(DataError, match=r"begun by another way of searching: its trial 1 .* Give another folder"):
        compressed(pictures(), out, budget=KILLED_STEPS, resume=True)
    after = contents(out)
    assert json.loads(after.pop("state.json"))["candidates"] == state["candidates"]
    assert after == {name: content for name, content in before.items() if name != "state.json"}


def test_a_network_that_can_t_be_packed_is_compressed_all_the_same(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.erfinv(torch.tanh(self.inner(x)) * 0.9)  # type: ignore[no-any-return]

    given = pictures()
    odd = Given(Odd(given.model), given.batches, given.held_out)
    with pytest.warns(UnpackedWarning, match="can't be packed: .*erfinv"):
        result = compressed(odd, tmp_path / "out", budget=200)
    assert result.met
    assert result.path is None
    assert "erfinv" in result.unpacked
    assert "not packed" in result.report.read_text(encoding="utf-8")
    assert "; not packed: " in str(result)
