"""The one call: the smallest or the fastest network that loses no more than a limit.

user's model, loader, evaluate, loss
   │ reference judged, packed, timed; threads, optimizer and learning rate probed
   ▼
search ──trial──▶ workshop: load a candidate's weights, train under a plan, judge on held-out data, pack
   ▲                  │ candidate, recorded in the folder
   └──────────────────┘ until the budget is spent ──▶ the best one, its file, the frontier, a page
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netsurgery.checks import require, require_choice, require_count, require_flag, require_takes
from netsurgery.compression.budget import Budget
from netsurgery.compression.calls import Loss
from netsurgery.compression.candidate import Objective
from netsurgery.compression.course import Course
from netsurgery.compression.feed import generators_of, random_state, require_loader, restore_random_state
from netsurgery.compression.folder import SearchFolder
from netsurgery.compression.rates import OptimizerFactory
from netsurgery.compression.result import Compression, Progress
from netsurgery.compression.score import Rule
from netsurgery.compression.teaching import PRECISIONS, Precision
from netsurgery.compression.workshop import Evaluate, Workshop
from netsurgery.files import alone_in, made_folder
from netsurgery.graph.from_torch import exported_once
from netsurgery.layers.candidates import survey
from netsurgery.timing.machine import versions

METHODS = ("surgery", "inq")
_MOST_SEED = 2**31 - 1
"""Passes over the data draw with seeds that are made from it, and generators take 64 bits."""
PACK_OPTIONS = {"example_inputs", "names", "open_axes"}
"""Of `ns.pack`: what says what a file takes. Numbers are the search's own business."""


def compress(
    model: nn.Module,
    train_loader: Iterable[Any],
    evaluate: Evaluate,
    *,
    loss: Loss,
    max_loss: float = 0.0,
    budget: str | int | Budget = "30m",
    objective: Objective = "size",
    methods: Iterable[str] = METHODS,
    optimizer: OptimizerFactory | None = None,
    certainty: float = 0.5,
    baseline: float | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    out: str | Path | None = None,
    resume: bool = False,
    pack_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Compression:
    """Find the smallest or fastest network that loses no more than a limit. No density, bits or learning rate is asked.

    The model is pruned by surgery towards ever fewer connections, further where the limit holds, back and slower where
    it doesn't; what is left gets few bits. Every network is judged on held-out data, packed, and timed
    by the engine. What the search needs to know (threads, optimizer, learning rate, whether the network it began with
    helps as a teacher) it tries out first, on a part of the budget.

    model: a trained network, on its device. It has the best weights afterwards. What is frozen stays so, statistics of
        norms with frozen weights too, and embeddings and norms are left alone.
    train_loader: batches, as often as it is asked: a DataLoader, or a list.
    evaluate: evaluate(model) gives a metric on held-out data, more is better: a number, or better one for each example,
        in the same order each time, such as 1 where it is right and 0 where it is wrong. The mean counts, and both
        networks are compared example by example. Never let it see the test data, which is for the end. The packed file
        takes what `evaluate` first gives to the model, if that is tensors; else what `loss` gives to it.
    loss: loss(model, batch) gives what training makes small, a tensor of one number. The model is in training mode.
    max_loss: how much lower the metric may be than the given model's, in its own unit, >= 0: of one percent 0.01 where
        it is a share of examples, 1.0 where it is in percent.
    budget: "30m", "2h", "40 epochs", or optimizer steps. Steps and epochs give the same network each time.
    objective: "size" of the packed file, or "latency" of one example in the engine: connections that a run uses often
        go first then, and where weights are of few bits, activations in fixed point are tried too, judged by `evaluate`
        on the packed file.
    methods: of "surgery" and "inq", which may be used.
    optimizer: a function of parameters that makes your own optimizer; by default SGD and AdamW are tried.
    certainty: in [0.5, 1): how sure it has to be that the limit holds; above 0.5 `evaluate` has to give examples.
    baseline: the metric that drops are counted from, in the place of the given model's own: where it was trained on the
        held-out data, which flatters it, or where another value is wanted.
    seed: of batches and draws.
    precision: of products and convolutions while training, "float32" or "bfloat16", by torch.autocast: processors and
        graphics cards that have the latter take steps about twice as fast. Networks are judged in float32.
    out: a folder for all networks, packed files and the page; runs/compress-1, -2, ... by default.
    resume: go on with the search that is in `out`, which was begun with the same arguments, and with a model of the
        same weights, or with the one that it gave back when it ended early. A search in steps or epochs ends with the
        same bits as one that was never interrupted; so does one in time, once it has begun its trials.
    pack_options: for `ns.pack`: example_inputs, open_axes, names.
    progress: called now and then with a Moment.

    Ctrl-C ends the search with the best network so far. A limit that nothing smaller holds gives the model itself back,
    with `met` False.

    Raises SettingError for arguments that don't fit, LayerNotFoundError where the model has nothing to operate on,
    DataError where `out` holds another search, one that is at work now, or files that a search would overwrite, OSError
    where it can't be written; whatever `loss` and `evaluate` raise. The model has the weights then that it was given
    with. Its gradients, and sources of random numbers, are as they were in any case. Warns (UnpackedWarning) if the
    network can't be packed, and (LooseLimitWarning) if a tenth of all examples may be lost.

    >>> def loss(model, batch):
    ...     return loss_of(model(batch[0]), batch[1])
    >>> def evaluate(model):  # on held-out data, in percent: 100 where it is right, 0 where it is wrong
    ...     return 100.0 * (model(images).argmax(1) == 0)
    >>> result = ns.compress(model, loader, evaluate, loss=loss, max_loss=1.0, budget="300 steps", out="mine")
    >>> result.met, result.best.size_bytes < result.reference.size_bytes
    (True, True)
    """
    rule, amount = Rule(max_loss, certainty, baseline), Budget.of(budget)
    require_count("seed", seed, minimum=0, maximum=_MOST_SEED)
    require(out is None or (isinstance(out, str | Path) and out != ""), "out", out, "a folder's path, or left out")
    require(isinstance(model, nn.Module), "model", type(model).__name__, "a torch.nn.Module")
    require(callable(evaluate), "evaluate", evaluate, "a function of the model")
    require(callable(loss), "loss", loss, "a function of the model and a batch")
    require_takes("evaluate", evaluate, "evaluate(model)", 1)
    require_takes("loss", loss, "loss(model, batch)", 2)
    require_choice("objective", objective, "size", "latency")
    listed = isinstance(methods, str | list | tuple | set | frozenset)
    chosen: tuple[Any, ...] = (methods,) if isinstance(methods, str) or not listed else tuple(methods)
    known = bool(chosen) and all(isinstance(name, str) and name in METHODS for name in chosen)
    require(known, "methods", chosen, "at least one of 'surgery' and 'inq'")
    require_loader(train_loader)
    if amount.unit != "seconds":
        amount.steps(_length(train_loader))  # raises where that isn't known
    makes = "a function of parameters that makes a torch optimizer"
    require(optimizer is None or callable(optimizer), "optimizer", type(optimizer).__name__, makes)
    require_takes("optimizer", optimizer, "optimizer(parameters)", 1)
    require_choice("precision", precision, *PRECISIONS)
    require(progress is None or callable(progress), "progress", progress, "a function of a Moment, or left out")
    require_takes("progress", progress, "progress(moment)", 1)
    require_flag("resume", resume)
    require(not resume or out is not None, "resume", resume, "False without `out`", "name the folder of the search")
    require(any(True for _ in model.parameters()), "model", type(model).__name__, "one with parameters")
    cast = precision == "float32" or any(one.dtype == torch.float32 for one in model.parameters())
    allowed = "'float32' for a model without float32 weights"
    require(cast, "precision", precision, allowed, "autocast leaves others alone")
    require(isinstance(pack_options, Mapping | None), "pack_options", pack_options, "a dict of settings of pack")
    unknown = sorted(set(pack_options or {}) - PACK_OPTIONS)
    require(not unknown, "pack_options", unknown, f"of {', '.join(sorted(PACK_OPTIONS))}")
    survey(model)  # raises for weights without a shape
    identity = {
        "model": {name: list(getattr(value, "shape", ())) for name, value in model.state_dict().items()},
        "max_loss": rule.max_loss,
        "certainty": rule.certainty,
        "baseline": rule.baseline,
        "budget": str(amount),
        "objective": objective,
        "methods": list(chosen),
        "optimizer": optimizer is not None,
        "seed": int(seed),
        "pack_options": {name: _said(value) for name, value in sorted((pack_options or {}).items())},
        "precision": precision,
        "versions": versions(("netsurgery", "torch")),
    }
    threads = torch.get_num_threads()
    training = [(module, module.training) for module in model.modules()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    weights, random_numbers = copy.deepcopy(model.state_dict()), random_state()
    generators = [(generator, generator.get_state()) for generator in generators_of(train_loader)]
    buffers = [(buffer, buffer.clone()) for _, buffer in model.named_buffers()]
    path = made_folder(Path(out) if out is not None else _free_folder())
    with alone_in(path):  # two searches would take each other's networks for their own
        folder = SearchFolder(path, identity, resume=resume)
        for parameter, _ in gradients:
            parameter.grad = None  # a training would add to it, or empty it
        try:
            workshop = Workshop(
                model,
                train_loader,
                evaluate,
                loss,
                rule=rule,
                objective=objective,
                factory=optimizer,
                seed=int(seed),
                precision=precision,
                pack_options=pack_options or {},
                folder=folder,
            )
            with exported_once(model):
                return Course(
                    workshop, amount, objective, chosen, optimizer is not None, _length(train_loader), progress
                ).run()
        except BaseException:  # what a half-finished trial left isn't what the caller gave
            with suppress(Exception):  # which would hide what went wrong
                model.load_state_dict(weights)
                for buffer, value in buffers:  # those that a state_dict leaves out
                    buffer.copy_(value)
            with suppress(Exception):
                folder.remove_unless_begun()
            raise
        finally:
            torch.set_num_threads(threads)
            restore_random_state(random_numbers)
            for generator, where in generators:
                generator.set_state(where)
            for parameter, gradient in gradients:
                parameter.grad = gradient
            for module, flag in training:
                module.training = flag


def _said(value: Any) -> str:
    """An option of packing, as a search's folder keeps it: of tensors the shapes."""
    if isinstance(value, Mapping):
        return str({name: _said(one) for name, one in value.items()})
    if isinstance(value, list | tuple):
        return str([_said(one) for one in value])
    shape = getattr(value, "shape", None)
    return str(value) if shape is None else f"{value.dtype}{tuple(shape)}"


def _length(loader: Iterable[Any]) -> int | None:
    """Batches of a pass, where the loader says so."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        return None


def _free_folder() -> Path:
    """runs/compress-1, or the first number that is free."""
    number = 1
    while (Path("runs") / f"compress-{number}").exists():
        number += 1
    return Path("runs") / f"compress-{number}"
