"""Zeros around a picture become the padding of the convolution that reads it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.passes import simplify
from netsurgery.graph.passes.padding import fold_padding
from netsurgery.runtime.reference import run, run_node


def convolved(pads: tuple[int, ...], reads_twice: bool = False, own: tuple[int, ...] = (), **given: Any) -> Graph:
    rng, builder, axes = np.random.default_rng(0), GraphBuilder(), len(pads) // 2 - 2
    x = builder.input("x", ("batch", 2, *(5,) * axes))
    x = builder.node("Pad", [x], pads=pads, **given)
    channels = 2 + pads[1] + pads[axes + 3]
    weight = builder.constant(rng.normal(size=(3, channels, *(3,) * axes)))
    made = builder.node("Conv", [x, weight], pads=own, strides=(2,) * axes)
    return builder.graph([made, x] if reads_twice else [made])


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("reads_twice", [False, True])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_convolution_pads_by_itself_and_gives_the_same_bits(axes: int, reads_twice: bool, own: bool) -> None:
    pads = (0, 0, *range(axes), 0, 0, *range(3, 3 + axes))
    graph = convolved(pads, reads_twice, (1,) * 2 * axes if own else ())
    folded = simplify(graph, run_node)
    assert [node.operator for node in folded.nodes] == (["Pad", "Conv"] if reads_twice else ["Conv"])
    of_conv = folded.nodes[-1].attributes["pads"]
    assert of_conv == tuple(size + own for size in (*range(axes), *range(3, 3 + axes)))
    x = np.random.default_rng(1).normal(size=(2, 2, *(5,) * axes)).astype(np.float32)
    for before, after in zip(run(graph, {"x": x}), run(folded, {"x": x}), strict=True):
        assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(
    "graph",
    [
        convolved((0, 0, 1, 1, 0, 0, 1, 1), value=1.0),
        convolved((0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"),
        convolved((0, 1, 1, 1, 0, 0, 1, 1)),
        convolved((1, 0, 0, 0, 0, 0, 0, 0)),
        convolved((0, 0, 1, 1, 0, 0, 1, -1)),
    ],
    ids=["another number", "reflections", "channels", "images", "pixels that are cut off"],
)
def test_what_else_a_pad_does_stays(graph: Graph) -> None:
    assert fold_padding(graph) is graph
