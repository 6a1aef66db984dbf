"""Training that feels the rounding of activations: the grids that `pack(activations="fixed")` then puts them on.

    x ─▶ Conv             x ─▶ rounded ─▶ Conv            the gradient passes straight through, but not where the grid
    └──▶ Add              └──▶ rounded ─▶ Add             ends: Bengio, Léonard, Courville 2013, arXiv 1308.3432

What a layer with weights reads is rounded, and whatever reads the same value after it gets the rounded one, as in the
packed network. Outputs of layers are sums there, which keep 16 bits or more: they stay as they are here.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from netsurgery.attachment.copies import is_part_of_a_copied_module
from netsurgery.attachment.other_optimizers import uncompiled
from netsurgery.checks import require, require_count
from netsurgery.errors import AttachmentError, LayerNotFoundError, NonFiniteWeightsError, StateError
from netsurgery.graph.grid_choice import FARTHEST_UNIT, FEWEST_BITS, MOST_BITS, Choice, least_error
from netsurgery.methods.saved_state import check_keys
from netsurgery.train.rounded_forward import Forward, Seen, rounded

OBSERVED = 16
"""Batches that grids are chosen on, or fewer where `start` comes earlier."""
_VERSION = 1
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_attached: weakref.WeakSet[FixedActivations] = weakref.WeakSet()


class FixedActivations:
    """Rounds what linear layers and convolutions read to fixed point, while a network trains on and when it evaluates.

    Use it where `pack(activations="fixed")` alone costs accuracy, as with few bits or narrow layers: over the last
    round of INQ, when most weights are what they will be. Not in the place of INQ: it leaves weights alone. The model
    stays a plain module with its own keys; until `remove`, its forward rounds.

    model: any module, not compiled yet; layers that are called, and functions of torch that are given its weights.
    bits: 8 .. 12 of each rounded value, its sign included. More than 8 only where layers have few connections: pack
        refuses sums that 24 bits don't hold.
    start: forward passes in training mode before the first that rounds, >= 1: where gradients of several batches make
        one step, that many for each step. Grids are chosen on the last 16 of them, one for each layer, with the least
        squared error, and stay.
    skip: patterns of the layers whose inputs stay as they are, such as ("conv1", "head.*").

    grids: name of the weight of each layer -> the grid of what it reads; empty before `start`. `pack` takes them.

    A copy of the model, such as a moving average, is rounded to the same grids until `remove`, and what it is shown in
    training mode counts for nothing. To train it on, give it fixed activations of its own, and load the state there.

    In distributed training process 0 says the grids, so each process has to train on as many batches. Under fully_shard
    only inputs of layers that are called as modules are rounded; tensor parallel layers are refused. What is read
    before the first layer reads it, and what torch recomputes in backward (checkpointing) but layers, isn't rounded.
    Raises SettingError for a number outside its range, LayerNotFoundError if there is no layer, or nothing that a
    pattern matches, and at `start` if forward has called none; AttachmentError if the model's activations are rounded
    already, it is compiled, or a layer is tensor parallel; NonFiniteWeightsError if what a layer reads isn't finite
    when grids are chosen.

    >>> method = ns.INQ(bits=3, steps=60)
    >>> operation = ns.attach(model, optimizer, method)
    >>> rounding = ns.FixedActivations(model, start=method.round_starts[-1])
    >>> for inputs, labels in loader:  # your loop, unchanged
    ...     optimizer.zero_grad()
    ...     loss_of(model(inputs), labels).backward()
    ...     optimizer.step()
    >>> operation.finish()
    >>> rounding.remove()
    >>> report = ns.pack(
    ...     model.eval(), "network.nsm", example_inputs=images,
    ...     activations="fixed", calibration=[images], grids=rounding.grids,
    ... )
    """

    def __init__(self, model: nn.Module, bits: int = 8, *, start: int = OBSERVED, skip: tuple[str, ...] = ()) -> None:
        require(isinstance(model, nn.Module), "model", type(model).__name__, "a torch.nn.Module")
        patterns = isinstance(skip, list | tuple) and all(isinstance(one, str) for one in skip)
        require(patterns, "skip", skip, "a tuple of patterns of layers' names", 'for one pattern write ("head*",)')
        require_count("bits", bits, minimum=FEWEST_BITS, maximum=MOST_BITS)
        require_count("start", start)
        if hasattr(model, "_orig_mod"):
            raise AttachmentError("The model is compiled, and compiled code calls no hooks: give the model itself.")
        self._model = model
        if any(_share(other._model, model) for other in _attached):
            raise AttachmentError(
                "The model's activations are rounded already. Call remove() of what rounds them first."
            )
        self.bits, self.start = bits, start
        self.passes = 0
        """Forward passes in training mode so far."""
        self.grids: dict[str, Choice] = {}
        self._seen: dict[str, Seen] = {}
        self._of_thread = threading.local()
        self._removed = False
        layers = {name: module for name, module in model.named_modules() if isinstance(module, _LAYERS)}
        chosen = {name: module for name, module in layers.items() if not any(fnmatchcase(name, one) for one in skip)}
        unmatched = [one for one in skip if not any(fnmatchcase(name, one) for name in layers)]
        if unmatched or not chosen:
            wrong = f"matches no layer with {unmatched[0]!r}" if unmatched else "leaves no layer to round for"
            there = ", ".join(name or "(the model itself)" for name in layers) or "no linear layer and no convolution"
            raise LayerNotFoundError(f"skip={skip!r} {wrong}. There is {there}.")
        _refuse_parallel(chosen)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        skipped = {id(module.weight) for name, module in layers.items() if name not in chosen}
        self._names = {one: name for one, name in names.items() if one not in skipped}
        called = {  # or computed from others
            layer: names.get(id(module.weight), f"{layer}.weight".removeprefix(".")) for layer, module in chosen.items()
        }
        self._known = {*self._names.values(), *called.values()}
        _remove_hooks(model.modules())  # of a copy: those that came with it, so that it isn't rounded twice
        model.register_forward_pre_hook(_Hook(self, self._begin, model), prepend=True)
        model.register_forward_hook(_Hook(self, self._end, model), always_call=True)
        for layer, module in chosen.items():
            hook = _Hook(self, partial(self._round_input, called[layer]), module)
            module.register_forward_pre_hook(hook, with_kwargs=True)
        self._hooked = weakref.WeakSet([model, *chosen.values()])
        """Modules with hooks, those of copies too."""
        _attached.add(self)

    def remove(self) -> None:
        """Round no more, in copies of the model neither; `grids` stay. May be called again."""
        self._end()
        self._removed = True
        _remove_hooks(self._hooked, self)
        _attached.discard(self)

    def __enter__(self) -> FixedActivations:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs: tensors, numbers, strings and dicts only."""
        return {
            "version": _VERSION,
            "bits": self.bits,
            "start": self.start,
            "passes": self.passes,
            "grids": {name: {"exponent": grid.exponent, "signed": grid.signed} for name, grid in self.grids.items()},
            "seen": {name: seen.saved() for name, seen in self._seen.items()},
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume on the same model with the same settings. Raises StateError if `saved` is of others, or damaged."""
        advice = "Load the state of fixed activations of the same model with the same settings."
        known = set(self.state_dict())
        check_keys(saved, known, "The saved state of fixed activations", "FixedActivations", advice)
        ours = {"version": _VERSION, "bits": self.bits, "start": self.start}
        theirs = {name: saved[name] for name in ours}
        if any(type(theirs[name]) is not int or theirs[name] != one for name, one in ours.items()):
            raise StateError(f"The saved state of fixed activations is of {theirs}, and {ours} is set. Set the same.")
        try:
            grids = {
                str(name): Choice(int(grid["exponent"]), self.bits, bool(grid["signed"]))
                for name, grid in saved["grids"].items()
            }
            seen = {str(name): Seen.loaded(dict(one)) for name, one in saved["seen"].items()}
            passes = saved["passes"]
            if (
                type(passes) is not int
                or passes < 0
                or any(abs(grid.exponent) > FARTHEST_UNIT for grid in grids.values())
            ):
                raise ValueError("numbers lie outside of their range")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StateError(
                f"The saved state of fixed activations is damaged: {error}. Load what state_dict() returned."
            ) from error
        foreign = sorted({*grids, *seen} - self._known)
        if foreign:
            raise StateError(
                f"The saved state of fixed activations is of {', '.join(foreign[:3])}"
                f"{' and others' if len(foreign) > 3 else ''}, which this model lacks or skip leaves out. {advice}"
            )
        self.passes, self.grids, self._seen = passes, grids, seen

    def __deepcopy__(self, memo: dict[int, Any]) -> FixedActivations:
        """Itself inside of a model that is copied, as averages are, and rounded alike. Else raises AttachmentError."""
        if is_part_of_a_copied_module(inspect.currentframe()):
            return self
        return self.__reduce__()  # type: ignore[no-any-return]

    def __reduce__(self) -> Any:
        """Raises AttachmentError: hooks are of this process."""
        raise AttachmentError(
            "Fixed activations can't be copied or pickled by themselves: they are hooks on a model of this process. "
            "Save the state_dict() of both, or remove() them first. A copy of the model is rounded alike, by its own "
            "hooks."
        )

    @property
    def _forward(self) -> Forward | None:
        """What this thread computes of the model now."""
        return getattr(self._of_thread, "forward", None)

    @_forward.setter
    def _forward(self, forward: Forward | None) -> None:
        self._of_thread.forward = forward

    def _begin(self, module: nn.Module, *_: object) -> None:
        self._end()  # of a forward that something broke off
        trains = module.training and (module is self._model or getattr(module, "_is_replica", False))  # of DataParallel
        if trains:
            if self.passes == self.start and not self.grids:
                self._choose()
            self.passes += 1
        looks = trains and self.start - OBSERVED < self.passes <= self.start
        if looks or self.grids:
            self._forward = Forward(self._read, self._names, looks)
            self._forward.__enter__()

    def _end(self, *_: object) -> None:
        forward, self._forward = self._forward, None
        if forward is not None:
            forward.__exit__(None, None, None)

    def _choose(self) -> None:
        if not self._seen:
            names = ", ".join(name for name in self._names.values() if not name.endswith("bias"))
            raise LayerNotFoundError(f"Forward multiplies nothing by {names} as they are: there is nothing to round.")
        for name, seen in self._seen.items():
            if not np.isfinite(seen.largest):
                raise NonFiniteWeightsError(f"What is multiplied by {name} isn't finite: training has diverged.")
        grids = {
            name: least_error(torch.cat(seen.sample).double().numpy(), seen.largest, self.bits, seen.negative)
            for name, seen in self._seen.items()
        }
        if distributed.is_available() and distributed.is_initialized():
            agreed = [grids]
            distributed.broadcast_object_list(agreed, src=0)
            grids = agreed[0]
        self.grids, self._seen = grids, {}

    def _read(self, name: str, x: Tensor) -> Tensor:
        """What the layer with that weight reads in the place of x."""
        forward = self._forward
        if forward is not None and forward.looks:
            if (name, id(x)) not in forward.looked_at:
                forward.looked_at[name, id(x)] = x
                self._seen.setdefault(name, Seen()).look(x.detach())
            return x
        if name not in self.grids or not x.is_floating_point():
            return x
        if forward is None:
            return rounded(x, self.grids[name])
        if id(x) not in forward.rounded:
            found = rounded(x, self.grids[name])
            forward.rounded[id(x)], forward.rounded[id(found)] = (x, found), (found, found)
        return forward.rounded[id(x)][1]

    def _round_input(self, name: str, _: nn.Module, args: Any, kwargs: Any) -> Any:
        """A layer's arguments with a rounded input."""
        if args:
            return (self._read(name, args[0]), *args[1:]), kwargs
        return args, {**kwargs, "input": self._read(name, kwargs["input"])}


class _Hook:
    """A hook of fixed activations: compilers don't trace it, copies of a model have it too, and no file holds it."""

    def __init__(self, owner: FixedActivations, call: Callable[..., Any], module: nn.Module) -> None:
        self.owner = owner
        self._given, self._call = call, uncompiled(call)
        self._module = weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return None if self.owner._removed else self._call(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Hook:
        copied = memo.get(id(self._module()))
        if not isinstance(copied, nn.Module):  # of a module that copies itself in a way of its own
            return self
        self.owner._hooked.add(copied)
        return _Hook(self.owner, self._given, copied)

    def __reduce__(self) -> Any:
        raise AttachmentError(
            "A model whose activations FixedActivations rounds can't be pickled, nor a copy of it: hooks are of this "
            "process. Save its state_dict() and that of the fixed activations, or remove() them first."
        )


def _refuse_parallel(layers: Mapping[str, nn.Module]) -> None:
    """Raise AttachmentError for layers of which processes compute parts: what they read may be spread, too."""
    parallel = [name for name, layer in layers.items() if getattr(layer, "_distribute_module_applied", False)]
    if parallel:
        raise AttachmentError(
            f"{parallel[0]} is tensor parallel: what it reads may be spread over processes, which fixed activations "
            "can't round. Leave such layers out with skip=..., or round after training by pack(activations='fixed') "
            "alone; under fully_shard and DistributedDataParallel it works."
        )


def check_removed(model: object) -> None:
    """Raise AttachmentError if a model's activations are being rounded: what it gives isn't what its weights say."""
    if isinstance(model, nn.Module) and (any(_share(other._model, model) for other in _attached) or _is_hooked(model)):
        raise AttachmentError(
            "The model's activations are being rounded by FixedActivations, or it is a copy of one whose are. Call "
            "remove() first, which ends both, and give what it found as grids: "
            "pack(..., activations='fixed', grids=rounding.grids)."
        )


def _share(one: nn.Module, other: nn.Module) -> bool:
    return any(module is one for module in other.modules()) or any(module is other for module in one.modules())


def _hooks_of(module: nn.Module) -> list[tuple[dict[int, Any], int, _Hook]]:
    """(where torch keeps it, its key there, hook) of each hook of fixed activations on the module itself."""
    kept = (module._forward_pre_hooks, module._forward_hooks)
    return [(hooks, key, one) for hooks in kept for key, one in hooks.items() if isinstance(one, _Hook)]


def _is_hooked(model: nn.Module) -> bool:
    return any(not hook.owner._removed for module in model.modules() for *_, hook in _hooks_of(module))


def _remove_hooks(modules: Iterable[nn.Module], owner: FixedActivations | None = None) -> None:
    """Those of one owner, or of all."""
    for module in modules:
        for hooks, key, hook in _hooks_of(module):
            if owner is None or hook.owner is owner:
                del hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
                module._forward_hooks_always_called.pop(key, None)
