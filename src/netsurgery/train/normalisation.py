"""Batch-norm statistics, estimated again for the weights that a network has now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeGuard

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netsurgery.attachment.other_optimizers import uncompiled
from netsurgery.checks import gives_items, require, require_count
from netsurgery.errors import DataError, LayerNotFoundError
from netsurgery.evaluation_mode import evaluating


@torch.no_grad()
def recalibrate(model: nn.Module, inputs: Iterable[Any], batches: int | None = None) -> int:
    """Estimate the running mean and variance of every batch norm again, from the inputs of the weights as they are.

    Of every one: those that you froze on purpose, as fine-tuned detectors do, get new statistics too.

    While a network trains, its batch norms average what they see with a fading memory. Where weights change at once and
    training doesn't follow, those averages are of another network. Use it after NaiveCut without training, and after
    the weights of a checkpoint were rounded, cut or averaged. There is no need where training came last, as after
    Surgery, or where the last change was small, as INQ's last portion: docs/robustness.md has the figures.

    Statistics of the batches are pooled with equal weight for each value: the mean and the unbiased variance over all
    values that a channel sees, whatever the batches' sizes. Behind the first batch norm these are of activations that
    were normalised by their own batch, as in training, so give batches of the size that the network was trained with.
    Nothing else changes: parameters, gradients, momenta and training flags stay as they are, and all other modules,
    dropout among them, evaluate meanwhile. num_batches_tracked counts the batches of the new statistics. SyncBatchNorm
    pools over the processes of its group, each of which has to call this with as many batches.

    model: a network with batch norms that track statistics; those that forward doesn't reach keep theirs. A model that
        torch.compile has wrapped is run as it was before.
    inputs: batches as the model takes them, on its device: tensors, tuples or lists whose first entry is the input, as
        a DataLoader gives them, or mappings of keyword arguments. Training inputs, never those of the test, and shown
        as in evaluation: without augmentation. Several thousand values for each channel are enough.
    batches: how many are used at most, >= 1; all of them if left out, so that `inputs` has to end.

    Returns the number of batches. Raises LayerNotFoundError if the model has no such batch norm or reaches none,
    DataError if there is no batch or if statistics aren't finite, SettingError for `batches` outside its range. The old
    statistics are back after these and after whatever the model raises.

    Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3 (PreciseBN).

    >>> ns.attach(model, optimizer, ns.NaiveCut(density=0.5)).detach()  # cut, and not trained afterwards
    >>> ns.recalibrate(model, loader, batches=20)
    20
    """
    require(isinstance(model, nn.Module), "model", type(model).__name__, "a torch.nn.Module")
    if batches is not None:
        require_count("batches", batches)
    if isinstance(inputs, Tensor):
        raise DataError("inputs is one tensor, whose entries would be taken for batches: give [inputs], or a loader.")
    if not gives_items(inputs):
        raise DataError(f"inputs is a {type(inputs).__name__}: give a list of batches, or a loader.")
    model = getattr(model, "_orig_mod", model)  # compiled code doesn't call hooks that are registered later
    tracking = {name: layer for name, layer in model.named_modules() if _tracks(layer)}
    if not tracking:
        raise LayerNotFoundError(
            f"{type(model).__name__} has no batch norm that tracks statistics, so there is nothing to estimate again: "
            "leave the call out."
        )
    with evaluating(model), _observed(tracking) as pooled:
        count = 0
        for batch in islice(inputs, batches):
            try:
                _forward(model, batch, count + 1)
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise DataError(
                    f"Batch {count + 1} has one value for each channel, of which there is no variance. Give larger "
                    "batches (DataLoader: drop_last=True)."
                ) from error
            count += 1
    if not count:
        raise DataError("inputs gave no batch: give at least one. An iterator that was used before is empty.")
    reached = {name: moments for name, moments in pooled.items() if moments.calls}
    if not reached:
        raise LayerNotFoundError(
            f"{type(model).__name__}'s forward calls none of {', '.join(tracking)}: give the model whose forward does, "
            "not compiled."
        )
    for name, moments in reached.items():
        if not bool(torch.isfinite(moments.mean + moments.squares).all()):
            raise DataError(f"The statistics of {name} are not finite. Look for NaN in the inputs and in the weights.")
    for name, moments in reached.items():
        _adopt(tracking[name], moments)
    return count


@dataclass
class _Moments:
    """Mean, and sum of squared differences from it, (channels,) each, over `count` values of each channel."""

    mean: Tensor
    squares: Tensor
    count: int = field(default=0, init=False)
    calls: int = field(default=0, init=False)

    def add(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Pool with `count` more values, given their mean and unbiased variance: Chan, Golub and LeVeque 1979."""
        total = self.count + count
        difference = mean - self.mean
        self.mean += difference * (count / total)
        self.squares += variance * (count - 1) + difference.square() * (self.count * count / total)
        self.count = total
        self.calls += 1


def _tracks(module: nn.Module) -> TypeGuard[_BatchNorm]:
    return isinstance(module, _BatchNorm) and module.track_running_stats and module.running_mean is not None


def _forward(model: nn.Module, batch: Any, number: int) -> None:
    if isinstance(batch, tuple | list | Mapping) and not batch:
        raise DataError(f"Batch {number} is an empty {type(batch).__name__}: it holds no input.")
    if isinstance(batch, Mapping):
        model(**batch)
    else:
        model(batch[0] if isinstance(batch, tuple | list) else batch)


@contextmanager
def _observed(layers: Mapping[str, _BatchNorm]) -> Iterator[dict[str, _Moments]]:
    """Batch norms in training mode, and by name what their calls come to; their own statistics are put back at the end.

    At momentum 1 each call leaves the statistics of its batch in the buffers, of all processes if it is synchronised. A
    hook takes them from there, so that a layer which forward calls twice is right too.
    """
    pooled: dict[str, _Moments] = {}
    with ExitStack() as undo:
        for name, layer in layers.items():
            for buffer in layer.buffers(recurse=False):
                undo.callback(buffer.copy_, buffer.clone())
            undo.callback(setattr, layer, "momentum", layer.momentum)
            pooled[name] = _Moments(*torch.zeros(2, layer.num_features, dtype=torch.float64).unbind())
            observe = uncompiled(partial(_observe, pooled[name]))
            undo.callback(layer.register_forward_hook(observe).remove)
            layer.reset_running_stats()  # 0 * infinity is NaN, should a network have diverged
            layer.momentum = 1.0
            layer.training = True
        yield pooled


def _observe(moments: _Moments, layer: _BatchNorm, _: object, output: Tensor) -> None:
    synchronised = isinstance(layer, nn.SyncBatchNorm) and distributed.is_available() and distributed.is_initialized()
    group: Any = getattr(layer, "process_group", None)
    processes = distributed.get_world_size(group) if synchronised else 1
    buffers = (layer.running_mean, layer.running_var)
    mean, variance = (buffer.cpu().double() for buffer in buffers if buffer is not None)
    moments.add(mean, variance, processes * output.numel() // layer.num_features)


def _adopt(layer: _BatchNorm, moments: _Moments) -> None:
    for buffer, value in (
        (layer.running_mean, moments.mean),
        (layer.running_var, moments.squares / (moments.count - 1)),
        (layer.num_batches_tracked, torch.tensor(moments.calls)),
    ):
        if buffer is not None:
            buffer.copy_(value)
