"""A value that is the same whatever the input becomes a constant where arithmetic reads it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netsurgery.graph.ir import Graph
from netsurgery.graph.passes.constant_edits import ConstantEdits
from netsurgery.graph.passes.constant_folding import Evaluate
from netsurgery.graph.passes.known_channels import KnownChannels
from netsurgery.graph.passes.units import BROADCAST, map_units
from netsurgery.graph.weights import Dense


def replace_known_operands(graph: Graph, evaluate: Evaluate) -> Graph:
    """Where pruning has emptied a whole branch, a sum or product reads one number for each channel instead of it.

    The other operand has to have the shape of the result already. Outputs stay the same for finite activations.
    """
    units = map_units(graph)
    numbers = KnownChannels(graph, units, evaluate).numbers
    known = {name: channels for name, channels in numbers.items() if np.isfinite(channels).all()}
    shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()]
    edits = ConstantEdits(graph)
    nodes = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        for place, name in enumerate(inputs):
            other = inputs[1 - place] if node.operator in BROADCAST else None
            if other is None or name not in known or other in edits.constants:
                continue
            if all(shape[other] == shape[node.output] for shape in shapes):
                behind = len(shapes[0][name]) - units.axes[name] - 1
                inputs[place] = edits.add(f"{name}.known", Dense(known[name].reshape(-1, *[1] * behind)))
        nodes.append(replace(node, inputs=tuple(inputs)))
    return graph if tuple(nodes) == graph.nodes else graph.replaced(nodes=tuple(nodes), constants=edits.constants)
