"""What torch's export works out anew for each program, though it is always the same: a third of its time."""

from __future__ import annotations

import functools
import typing

import torch
import torch._export.utils


def remember() -> None:
    """Let torch keep its list of composite operators, and the types that its decorators are annotated with.

    Neither changes what is exported. Of a torch that has other insides nothing is changed.
    """
    utils = torch._export.utils
    if collect := getattr(utils, "_collect_all_valid_cia_ops_for_namespace", None):
        utils._collect_all_valid_cia_ops_for_namespace = functools.cache(collect)
    if hasattr(torch._ops, "Callable"):
        torch._ops.Callable = typing.Callable  # of which each use is remembered, other than collections.abc's
