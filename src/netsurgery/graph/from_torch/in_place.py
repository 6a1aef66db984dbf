"""In-place operators that are read as those that give a new tensor, where nobody looks at what they overwrote.

`nn.ReLU(inplace=True)` behind a batch norm and `out += identity` are of this kind. torch has a pass that sees to all of
them (`run_decompositions`), which takes longer than exporting the model did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Graph, Node

Functional: TypeAlias = Mapping[Node, OpOverload]
"""Calls that work in place -> the overload that gives the same as a new tensor."""

_NEW_TENSORS = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d add addmm avg_pool1d avg_pool2d "
    "avg_pool3d baddbmm batch_norm bmm cat clamp clone conv1d conv2d conv3d conv_transpose1d conv_transpose2d "
    "conv_transpose3d convolution div elu embedding exp gelu group_norm hardsigmoid hardswish hardtanh instance_norm "
    "layer_norm leaky_relu lift_fresh_copy linear matmul max_pool1d max_pool2d max_pool3d mean mish mm mul neg relu "
    "relu6 rms_norm rsqrt rsub scaled_dot_product_attention sigmoid silu softmax sqrt stack sub sum tanh"
)
"""Operators of ATen whose result never shares memory with what they take."""


def functional_targets(graph: Graph) -> Functional:
    """The calls that may be read so: what they overwrite was made for them, and nothing reads it, or a view, later."""
    places = {node: place for place, node in enumerate(graph.nodes)}
    found: dict[Node, OpOverload] = {}
    for node in graph.nodes:
        overwritten = node.args[0] if works_in_place(node) and node.args else None
        functional = _functional(node.target)
        if functional is None or not isinstance(overwritten, Node):
            continue
        others = [user for user in overwritten.users if user is not node]
        seen_later = any(places[user] > places[node] or not _gives_new(user, found) for user in others)
        if _gives_new(overwritten, found) and not seen_later:
            found[node] = functional
    return found


def leave_out_dropout(program: ExportedProgram) -> None:
    """Take what drops nothing out of a program that works in place somewhere, in the program itself.

    In eval mode a dropout gives the very tensor that it was given; torch's own pass takes the two for different ones.
    """
    if not any(map(works_in_place, program.graph.nodes)):
        return
    for node in list(program.graph.nodes):
        idle = str(node.target) in _DROPOUTS and node.args[2:3] == (False,) and isinstance(node.args[0], Node)
        if idle and all(user.op != "output" for user in node.users):
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)


_DROPOUTS = ("aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default")


def works_in_place(node: Node) -> bool:
    """Whether a call writes to one of its arguments."""
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def _gives_new(node: Node, functional: Functional) -> bool:
    """Whether what a call gives shares no memory with what it takes, those calls read as functional ones."""
    return node in functional or (
        isinstance(node.target, OpOverload)
        and node.target.namespace == "aten"
        and node.target._schema.name.split("::")[1] in _NEW_TENSORS.split()
        and not node.target._schema.is_mutable
    )


def _functional(target: object) -> OpOverload | None:
    """The overload of the same name without its underscore, if there is one that takes the same."""
    if not isinstance(target, OpOverload) or target.namespace != "aten":
        return None
    name, overload = target._schema.name.split("::")[1], target._overloadname
    packet = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
    other = getattr(packet, overload, None) if packet is not None and overload in packet.overloads() else None
    if other is None:
        return None
    taken = [[argument.name for argument in one._schema.arguments] for one in (target, other)]
    return other if taken[0] == taken[1] else None
