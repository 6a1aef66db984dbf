"""Passes: functions Graph -> Graph that keep what a network computes and make it smaller.

A pass that finds nothing to do returns the graph that it was given. Each says in its own words how exactly outputs
stay the same; all of them keep inputs, the names, order and shapes of outputs, and `place` of the nodes that remain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from netsurgery.graph.ir import Graph
from netsurgery.graph.passes.activations import join_activations
from netsurgery.graph.passes.canonical_zeros import canonical_zeros
from netsurgery.graph.passes.constant_folding import Evaluate, fold_constants
from netsurgery.graph.passes.constant_outputs import compute_constant_outputs
from netsurgery.graph.passes.dead_units import remove_dead_units
from netsurgery.graph.passes.identities import drop_identities
from netsurgery.graph.passes.known_operands import replace_known_operands
from netsurgery.graph.passes.linear_products import matmul_to_linear
from netsurgery.graph.passes.normalisations import join_normalisations
from netsurgery.graph.passes.padding import fold_padding
from netsurgery.graph.passes.rearranged import arithmetic_before_rearrangements
from netsurgery.graph.passes.scale_and_shift import fold_scale_and_shift
from netsurgery.graph.passes.tied_constants import merge_tied
from netsurgery.graph.passes.unit_order import order_units
from netsurgery.graph.passes.unused import remove_unused
from netsurgery.graph.recognition import recognise_weights

Pass: TypeAlias = Callable[[Graph, Evaluate], Graph]

ALL_PASSES: dict[str, Pass] = {
    "fold_constants": fold_constants,
    "matmul_to_linear": lambda graph, _: matmul_to_linear(graph),
    "drop_identities": lambda graph, _: drop_identities(graph),
    "join_activations": lambda graph, _: join_activations(graph),
    "join_normalisations": lambda graph, _: join_normalisations(graph),
    "recognise_weights": lambda graph, _: recognise_weights(graph),
    "fold_padding": lambda graph, _: fold_padding(graph),
    "arithmetic_before_rearrangements": lambda graph, _: arithmetic_before_rearrangements(graph),
    "fold_scale_and_shift": lambda graph, _: fold_scale_and_shift(graph),
    "canonical_zeros": lambda graph, _: canonical_zeros(graph),
    "remove_dead_units": remove_dead_units,
    "replace_known_operands": replace_known_operands,
    "remove_unused": lambda graph, _: remove_unused(graph),
    "order_units": lambda graph, _: order_units(graph),
    "merge_tied": lambda graph, _: merge_tied(graph),
}
"""Name -> pass, in the order in which `simplify` runs them."""


def simplify(graph: Graph, evaluate: Evaluate) -> Graph:
    """All passes until none finds anything to do; the same again changes nothing.

    Equal constants become one only then: a weight that two layers share is a weight that neither can change alone. And
    outputs that are constants are computed from then on.
    `evaluate` computes a node from its operands. Raises GraphError if the graph contradicts itself.
    """
    *changing, merging = ALL_PASSES.values()
    before = None
    while graph is not before:
        before = graph
        for run in changing:
            graph = run(graph, evaluate)
    return compute_constant_outputs(merging(graph, evaluate))
