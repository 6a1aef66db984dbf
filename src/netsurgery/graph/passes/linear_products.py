"""A matrix product with a constant matrix is a Linear, which other passes and executors know more about."""

from __future__ import annotations

from netsurgery.graph.ir import Graph, node
from netsurgery.graph.passes.constant_edits import ConstantEdits


def matmul_to_linear(graph: Graph) -> Graph:
    """MatMul(x, b) with a constant b (I, O) that nothing else reads becomes Linear with the weight bᵀ (O, I)."""
    edits = ConstantEdits(graph)
    nodes = []
    for made in graph.nodes:
        matrix = graph.constants.get(made.given[-1]) if made.operator == "MatMul" else None
        if matrix is None or matrix.ndim != 2 or edits.shared(made.given[-1]):
            nodes.append(made)
        else:
            edits.overwrite(made.given[-1], matrix.transposed())
            nodes.append(node("Linear", made.inputs, made.output, made.place))
    return graph if tuple(nodes) == graph.nodes else graph.replaced(nodes=tuple(nodes), constants=edits.constants)
