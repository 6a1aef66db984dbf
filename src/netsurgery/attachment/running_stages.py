"""The stages of a plan at work: the layers that each selected and, once it has begun, its method's state.

What an operation says of itself comes from here; when its steps are taken is none of this module's business.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor

from netsurgery.attachment.operation_report import followed_by
from netsurgery.attachment.succession import Claim, Held, together
from netsurgery.errors import StateError
from netsurgery.methods import exchange
from netsurgery.methods.base import Layer, Method, TensorReport, tensors_of
from netsurgery.methods.encoded import Encoded, says
from netsurgery.methods.soundness import check_finite
from netsurgery.methods.state import report
from netsurgery.plan import Plan
from netsurgery.stage import Stage

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

    @property
    def method(self) -> Method[Any]:
        return self.stage.method

    def felt(self, name: str, tensor: Tensor, gradient: Tensor) -> Tensor | None:
        """The gradient as the method wants it; None: as it is."""
        return None if self.state is None else self.method.felt(self.state, name, tensor, gradient)

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
            check_finite(running.layers, when)
        # A stage reads what the one before it has left, so they can't all be prepared before the first is applied.
        first = [tensor for running in new[:-1] for _, tensor in tensors_of(running.layers)]
        before = [(tensor, tensor.detach().clone()) for tensor in first]
        states = []
        try:
            for running in new:
                state = running.method.init(running.layers, running.seed)
                running.method.update(state, running.layers, 0)
                exchange.hide(running.method, state, running.layers)
                states.append(state)
        except BaseException:
            for tensor, values in reversed(before):
                tensor.copy_(values)
            raise
        for running, state in zip(new, states, strict=True):
            for earlier in self.begun:
                if running in earlier.followers:
                    exchange.settle(earlier.method, earlier.state, earlier.layers)
            running.state = state
            advice = running.method.advice(running.layers)
            if advice is not None:
                warnings.warn(advice, stacklevel=5)

    def hide(self) -> None:
        """Latent -> effective, in every stage."""
        for running in self.begun:
            exchange.hide(running.method, running.state, running.layers)

    def hide_written(self, finished: bool) -> None:
        """Make effective again what another optimizer has written to.

        Where every weight belongs to the declared set, as in a sketch, a write is what trains on, unless `finished`.
        """
        for running in self.begun:
            if finished or running.method.shares_tensors:
                exchange.hide(running.method, running.state, running.layers)

    def advance(self, step: int) -> None:
        """Latent -> effective in all stages, after `step` steps."""
        for running in self.begun:
            if not running.is_followed:
                running.method.update(running.state, running.layers, step - running.stage.start)
            exchange.hide(running.method, running.state, running.layers)

    def settle(self) -> None:
        """Make every declared set final."""
        for running in self.begun:
            exchange.settle(running.method, running.state, running.layers)

    def save(self) -> list[dict[str, Any] | None]:
        """The state of each stage, None of those that haven't begun."""
        return [
            None if running.state is None else exchange.save(running.state, running.layers) for running in self._stages
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
                exchange.check(running.method, running.layers, state)
        for running, state in pairs:
            running.state = None if state is None else exchange.load(running.method, running.layers, state)

    def rows(self) -> list[TensorReport]:
        """One row per tensor; that of the latest stage on it, with the prunes and splices of all."""
        before = self._kept_before()
        masks = self.masks() if before or any(running.is_followed for running in self._stages) else {}
        rows: dict[str, TensorReport] = {}
        for running in self._stages:
            if running.state is not None:
                for row in report(running.state, running.layers):
                    rows[row.name] = row if row.name not in rows else followed_by(rows[row.name], row, masks[row.name])
            else:
                for layer in running.layers:
                    for name, tensor in layer.tensors.items():
                        rows.setdefault(name, TensorReport(layer.name, name, tuple(tensor.shape), tensor.numel(), 0, 0))
        for name in before:
            rows[name] = dataclasses.replace(rows[name], kept=int(masks[name].count_nonzero()))
        return list(rows.values())

    def masks(self) -> dict[str, Tensor]:
        """Parameter name -> bool tensor, True = kept by all stages, and by those of earlier operations."""
        return together([*((one.name, one.kept) for one in self.held()), *self._kept_before().items()])

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
            Held(name, tensor, running.state.kept(name))
            for running in self.begun
            for name, tensor in tensors_of(running.layers)
        ]

    def forms(self) -> Iterator[tuple[str, Tensor, Encoded]]:
        """(name, parameter, exact form) where a stage knows one; of several that know one the latest comes last.

        Also where a parameter has been moved to another device since, or to another shape, of which nothing is known.
        """
        for running in self.begun:
            for name, tensor in tensors_of(running.layers):
                kept = running.state.kept(name)
                if kept.shape == tensor.shape:
                    shown = tensor.detach().to(kept.device)
                    form = running.method.encode(running.state, name, shown)
                    if form is not None and says(form, shown):
                        yield name, tensor, form

    def declared(self) -> Iterator[tuple[str, Tensor]]:
        """What has to be the same in every process that trains the same model."""
        for running in self.begun:
            for name, tensor in tensors_of(running.layers):
                own = running.state.own(name)
                yield f"{name}: homes", torch.zeros_like(tensor, dtype=torch.bool) if own is None else own
                yield f"{name}: shown", tensor if own is None else tensor.masked_fill(own, 0)

    def revived(self) -> dict[str, int]:
        """Parameter name -> pruned connections that hold values. NaN is none: it is what 0 times infinity gives."""
        tensors = dict(self.named())
        counts = {
            name: int(tensors[name].detach()[~mask.to(tensors[name].device)].nan_to_num(0.0).count_nonzero())
            for name, mask in self.masks().items()
            if mask.shape == tensors[name].shape  # the model may have been changed, or moved, since
        }
        return {name: count for name, count in counts.items() if count}

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """(parameter name, parameter), once for each stage that operates on it."""
        return (pair for running in self._stages for pair in tensors_of(running.layers))

    def _kept_before(self) -> dict[str, Tensor]:
        """Parameter name -> what finished operations keep of it, for those of which they hold some."""
        names = {id(tensor): name for name, tensor in self.named()}
        held = [one for other in self.earlier if other.is_attached for one in other.held() if id(one.tensor) in names]
        return together((names[id(one.tensor)], one.kept) for one in held)
