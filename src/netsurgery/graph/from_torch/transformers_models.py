"""What Hugging Face's models do by default that no network does: they give caches, and sort words by their experts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_SORTING, _AT_ONCE = "grouped_mm", "batched_mm"
CACHE_LEFT_OUT = (
    "The model also gives its cache of keys and values (use_cache=True), which is no output of the packed network: it "
    "was captured with use_cache=False."
)


def is_cache(leaf: Any) -> bool:
    """Whether an output is a cache of keys and values, which holds tensors and is none."""
    kind = type(leaf)
    return kind.__module__.startswith("transformers.") and kind.__name__.endswith("Cache")


def tells_of_cache(error: Exception) -> bool:
    """Whether torch.export stopped at a cache among the outputs."""
    return "transformers.cache_utils" in str(error) and "in output" in str(error)


@contextmanager
def cache_left_out(model: nn.Module) -> Iterator[None]:
    """With use_cache=False wherever a part of the model has a configuration that says otherwise."""
    configurations = {id(one): one for module in model.modules() if (one := getattr(module, "config", None))}
    caching = [one for one in configurations.values() if getattr(one, "use_cache", None) is True]
    for one in caching:
        one.use_cache = False
    try:
        yield
    finally:
        for one in caching:
            one.use_cache = True


@contextmanager
def experts_at_once(model: nn.Module) -> Iterator[None]:
    """Each word by the weights of its own experts, not words sorted by expert: the same, in operators of torch."""
    changed: list[tuple[Any, Any]] = []
    for module in model.modules():
        told = getattr(module, "get_experts_implementation", None)
        before = told() if callable(told) else {}
        if _SORTING in before.values():  # the outermost sees to all within it
            changed.append((module, before))
            module.set_experts_implementation(_AT_ONCE)  # type: ignore[operator]
    try:
        yield
    finally:
        for module, before in reversed(changed):
            module.set_experts_implementation(before)
