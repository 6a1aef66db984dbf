"""The stages of a plan at work: the layers that each selected and, once it has begun, its method's state.

What an operation says of itself comes from here; when its steps are taken is none of this module's business.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from netsurgery.attachment.operation_report import followed_by
from netsurgery.attachment.succession import Claim, Held, together
from netsurgery.errors import StateError
from netsurgery.layers.parts import Parts, full, is_spread, part
from netsurgery.methods import exchange
from netsurgery.methods.base import Layer, Method, TensorReport, tensors_of
from netsurgery.methods.encoded import Encoded, says
from netsurgery.methods.shards import Along, whole
from netsurgery.methods.soundness import check_finite
from netsurgery.methods.state import of_all_parts, report
from netsurgery.plan import Plan
from netsurgery.stage import Stage


@contextmanager
def _ordinary_tensors() -> Iterator[None]:
    """Without gradients, but not in torch.inference_mode: nobody could change its tensors in a step outside of it."""
    with torch.inference_mode(False), torch.no_grad():
        yield


_STAGE_SEEDS = 65_537  # so that stages of neighbouring seeds draw differently


@dataclass(eq=False)
class RunningStage:
    """A stage with the layers it selected and, once it has begun, its state."""

    stage: Stage
    seed: int
    layers: list[Layer]
    followers: list[RunningStage]
    """Later stages that share a tensor with this one."""
    state: Any = None

    def __post_init__(self) -> None:
        self._parts = Parts(self.layers)
        self.method.check_parts(self.parts)

    @property
    def parts(self) -> list[Layer]:
        """The layers as the method sees them: what this process holds of each tensor."""
        return self._parts.layers()

    @property
    def method(self) -> Method[Any]:
        return self.stage.method

    @property
    def is_spread(self) -> bool:
        """True if this process holds parts of some tensors alone."""
        return self._parts.are_spread

    def hook_gradients(self) -> list[RemovableHandle]:
        """Have gradients made what the method wants, in backward; nothing is called where it wants them as they are."""
        if type(self.method).felt is Method.felt:
            return []
        return [
            tensor.register_post_accumulate_grad_hook(partial(self._bound, layer, name))
            if is_spread(tensor)  # fully_shard calls no other hook, and here the parts of a gradient have been summed
            else tensor.register_hook(partial(self._felt, layer, name))
            for layer in self.layers
            for name, tensor in layer.tensors.items()
        ]

    def _felt(self, layer: Layer, name: str, gradient: Tensor) -> Tensor | None:
        """The gradient as the method wants it; None: as it is."""
        return None if self.state is None else self.method.felt(self.state, layer, name, gradient)

    @torch.no_grad()
    def _bound(self, layer: Layer, name: str, _: Tensor) -> None:
        """The same in place, of what has been accumulated."""
        if self.state is not None:
            here = self._parts.of(layer)
            gradient = here.gradient(name)
            if gradient is not None:
                felt = self.method.felt(self.state, here, name, gradient)
                if felt is not gradient:
                    gradient.copy_(felt)

    @property
    def is_followed(self) -> bool:
        """True once a follower has begun: this stage's declared set is final then."""
        return any(follower.state is not None for follower in self.followers)


class RunningStages(Sequence[RunningStage]):
    """All stages of a plan, in its order.

    selection: the layers of each stage. earlier: stages of finished operations that hold some of the same tensors: what
    they have pruned stays pruned, for as long as they are attached.
    """

    def __init__(self, plan: Plan, selection: Sequence[list[Layer]], earlier: Sequence[RunningStages]) -> None:
        self.is_attached = True
        self.earlier = earlier
        self._stages: list[RunningStage] = []
        for index in reversed(range(len(selection))):  # the last stage first: it has no followers
            layers = selection[index]
            held = {id(tensor) for _, tensor in tensors_of(layers)}
            followers = [r for r in self._stages if any(id(tensor) in held for _, tensor in tensors_of(r.layers))]
            seed = plan.seed * _STAGE_SEEDS + index
            self._stages.insert(0, RunningStage(plan.stages[index], seed, layers, followers))
        self.tensors = list({id(tensor): tensor for _, tensor in self.named()}.values())
        """What is operated on; a tensor on which stages follow each other stands there once."""

    @property
    def parts(self) -> list[Tensor]:
        """What this process holds of each of `tensors`."""
        return [part(tensor) for tensor in self.tensors]

    @overload
    def __getitem__(self, index: int) -> RunningStage: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RunningStage]: ...
    def __getitem__(self, index: int | slice) -> RunningStage | Sequence[RunningStage]:
        return self._stages[index]

    def __len__(self) -> int:
        return len(self._stages)

    @property
    def begun(self) -> list[RunningStage]:
        """Those that have a state."""
        return [running for running in self._stages if running.state is not None]

    @torch.no_grad()
    def begin(self, step: int) -> None:
        """Begin every stage whose step has come, all or none; the weights are as before if one can't begin."""
        new = [running for running in self._stages if running.state is None and running.stage.start <= step]
        when = "while training" if step else "before training"
        for running in new:
            check_finite(running.parts, when)
        # A stage reads what the one before it has left, so they can't all be prepared before the first is applied.
        first = [tensor for running in new[:-1] for _, tensor in tensors_of(running.parts)]
        before = [(tensor, tensor.detach().clone()) for tensor in first]
        states = []
        try:
            with _ordinary_tensors():
                for running in new:
                    state = running.method.init(running.parts, running.seed)
                    running.method.update(state, running.parts, 0)
                    exchange.hide(running.method, state, running.parts)
                    states.append(state)
        except BaseException:
            for tensor, values in reversed(before):
                tensor.copy_(values)
            raise
        for running, state in zip(new, states, strict=True):
            for earlier in self.begun:
                if running in earlier.followers:
                    exchange.settle(earlier.method, earlier.state, earlier.parts)
            running.state = state
            advice = running.method.advice(running.parts)
            if advice is not None:
                warnings.warn(advice, stacklevel=5)

    def hide(self) -> None:
        """Latent -> effective, in every stage."""
        for running in self.begun:
            exchange.hide(running.method, running.state, running.parts)

    def hide_written(self, finished: bool) -> None:
        """Make effective again what another optimizer has written to.

        Where every weight belongs to the declared set, as in a sketch, a write is what trains on, unless `finished`.
        """
        for running in self.begun:
            if finished or running.method.shares_tensors:
                exchange.hide(running.method, running.state, running.parts)

    def advance(self, step: int) -> None:
        """Latent -> effective in all stages, after `step` steps."""
        for running in self.begun:
            if not running.is_followed:
                running.method.update(running.state, running.parts, step - running.stage.start)
            exchange.hide(running.method, running.state, running.parts)

    def settle(self) -> None:
        """Make every declared set final."""
        with _ordinary_tensors():
            for running in self.begun:
                exchange.settle(running.method, running.state, running.parts)

    def save(self) -> list[dict[str, Any] | None]:
        """The state of each stage, None of those that haven't begun."""
        with _ordinary_tensors():
            return [
                None if running.state is None else exchange.save(running.method, running.state, running.parts)
                for running in self._stages
            ]

    def load(self, saved: Sequence[Any], step: int) -> None:
        """What `save` gave after `step` steps. Raises StateError if it doesn't fit, and nothing is changed then."""
        pairs = list(zip(self._stages, saved, strict=True))
        for index, (running, state) in enumerate(pairs):
            if (state is None) != (running.stage.start > step):
                has = "lacks" if state is None else "has"
                raise StateError(
                    f"The saved state is damaged: stage {index} begins at step {running.stage.start}, and after {step} "
                    f"steps it {has} a state. Load what Operation.state_dict() returned."
                )
            if state is not None:
                exchange.check(running.method, running.parts, state)
        with _ordinary_tensors():
            for running, state in pairs:
                running.state = None if state is None else exchange.load(running.method, running.parts, state)

    def rows(self) -> list[TensorReport]:
        """One row per tensor; that of the latest stage on it, with the prunes and splices of all."""
        before = self._kept_before()
        kept = self._kept_counts() if before or any(running.is_followed for running in self._stages) else {}
        rows: dict[str, TensorReport] = {}
        for running in self._stages:
            if running.state is not None:
                for row in report(running.state, running.parts):
                    rows[row.name] = row if row.name not in rows else followed_by(rows[row.name], row, kept[row.name])
            else:
                for layer in running.layers:
                    for name, tensor in layer.tensors.items():
                        rows.setdefault(name, TensorReport(layer.name, name, tuple(tensor.shape), tensor.numel(), 0, 0))
        for name in before:
            rows[name] = dataclasses.replace(rows[name], kept=kept[name])
        return list(rows.values())

    def masks(self) -> dict[str, Tensor]:
        """Parameter name -> bool tensor, True = kept by all stages, and by those of earlier operations; copies."""
        homes = {name: layer for running in self._stages for layer in running.parts for name in layer.tensors}
        return {
            name: whole(mask, homes[name].shards.get(name), [Along(dim) for dim in range(mask.dim())])
            for name, mask in self._masks_here().items()
        }

    def _masks_here(self) -> dict[str, Tensor]:
        """The same of what is here of each parameter; not copied."""
        return together([*((one.name, one.kept) for one in self.held()), *self._kept_before().items()])

    def _kept_counts(self) -> dict[str, int]:
        """Parameter name -> connections of the whole of it that all keep."""
        return self._of_all({name: int(mask.count_nonzero()) for name, mask in self._masks_here().items()})

    def _of_all(self, counts: dict[str, int]) -> dict[str, int]:
        """Parameter name -> the sum of such counts over all processes that hold parts of it."""
        return of_all_parts(counts, [layer for running in self._stages for layer in running.parts])

    def unreached(self, seen: Collection[int]) -> set[str]:
        """Names of parameters of stages that have begun, no part of which was seen, if another one's was.

        seen: ids of parameters, the parts of which that are here have had a gradient.
        """
        counts = self._of_all({one.name: int(id(one.tensor) in seen) for one in self.held()})
        return {name for name, count in counts.items() if not count} if any(counts.values()) else set()

    def names(self) -> dict[str, None]:
        """Names of the parameters, in the plan's order."""
        return dict.fromkeys(name for name, _ in self.named())

    def claims(self, finished: bool) -> list[Claim]:
        """Each tensor that a stage operates on, or will."""
        running = self.begun if finished else self._stages
        return [Claim(name, tensor, one.method) for one in running for name, tensor in tensors_of(one.layers)]

    def held(self) -> list[Held]:
        """What each stage that has begun keeps of each of its tensors."""
        return [
            Held(name, layer.tensors[name], tensor, running.state.kept(name))
            for running in self.begun
            for layer, here in zip(running.layers, running.parts, strict=True)
            for name, tensor in here.tensors.items()
        ]

    def forms(self) -> Iterator[tuple[str, Tensor, Encoded]]:
        """(name, parameter, exact form) where a stage knows one; of several that know one the latest comes last.

        Also where a parameter has been moved to another device since, or to another shape, of which nothing is known.
        """
        for running in self.begun:
            state = running.state
            if running.is_spread:
                state, _ = exchange.gathered(running.method, state, running.parts)
            for name, tensor in tensors_of(running.layers):
                kept = state.kept(name)
                if kept.shape == tensor.shape:
                    shown = full(tensor).to(kept.device)
                    form = running.method.encode(state, name, shown)
                    if form is not None and says(form, shown):
                        yield name, tensor, form

    def declared(self) -> Iterator[tuple[str, Tensor]]:
        """What has to be the same in every process that holds the same part of the same model."""
        for running in self.begun:
            for layer in running.parts:
                for name, tensor in layer.tensors.items():
                    own = running.state.own(name)
                    which = f"{name} from {layer.shards[name].offset}" if name in layer.shards else name
                    yield f"{which}: homes", torch.zeros_like(tensor, dtype=torch.bool) if own is None else own
                    yield f"{which}: shown", tensor if own is None else tensor.masked_fill(own, 0)

    def revived(self) -> dict[str, int]:
        """Parameter name -> pruned connections that hold values. NaN is none: it is what 0 times infinity gives."""
        tensors = {name: tensor for running in self._stages for name, tensor in tensors_of(running.parts)}
        counts = {
            name: int(tensors[name].detach()[~mask.to(tensors[name].device)].nan_to_num(0.0).count_nonzero())
            for name, mask in self._masks_here().items()
            if mask.shape == tensors[name].shape  # the model may have been changed, or moved, since
        }
        return {name: count for name, count in self._of_all(counts).items() if count}

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """(parameter name, parameter), once for each stage that operates on it."""
        return (pair for running in self._stages for pair in tensors_of(running.layers))

    def _kept_before(self) -> dict[str, Tensor]:
        """Parameter name -> what finished operations keep of it, for those of which they hold some."""
        names = {id(tensor): name for name, tensor in self.named()}
        held = [one for other in self.earlier if other.is_attached for one in other.held() if id(one.tensor) in names]
        return together((names[id(one.tensor)], one.kept) for one in held)
