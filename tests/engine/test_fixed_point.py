"""Networks in fixed point give the same bits everywhere: in NumPy, on every instruction set, thread and batch."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.fixed_networks import in_fixed_point, inputs_of

from netsurgery import _native
from netsurgery.errors import SettingError
from netsurgery.graph.fixed_point import EXACT, grids, same_everywhere
from netsurgery.graph.ir import Graph
from netsurgery.packed.writer import encode
from netsurgery.runtime import reference
from netsurgery.runtime.session import Session
from netsurgery.timing.instruction_sets import instructions

SEEDS = range(40)


def network(seed: int) -> Graph:
    try:
        return in_fixed_point(seed).graph
    except SettingError:
        pytest.skip("no layer of this network has powers of two")


@pytest.mark.parametrize("lanes", ["whole", "floats"])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_instruction_set_number_of_threads_and_batch_gives_the_bits_of_the_reference(
    seed: int, lanes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSURGERY_FIXED", lanes)
    graph = network(seed)
    if not same_everywhere(graph).issuperset(graph.outputs):
        pytest.skip("what this network gives isn't on a grid")
    content = encode(graph)
    for name in _native.available_instructions():
        with instructions(name):
            for threads in (1, 3):
                session = Session(content, threads=threads)
                for batch in (1, 2, 17, 33):
                    x = inputs_of(graph, batch, seed)
                    given = session(x)
                    wanted = reference.run(graph, {graph.inputs[0].name: x})
                    for one, other in zip(given if isinstance(given, tuple) else (given,), wanted, strict=True):
                        assert np.array_equal(one, other), f"{name}, {threads} threads, batch {batch}"


@pytest.mark.parametrize("seed", SEEDS)
def test_every_value_lies_on_its_grid(seed: int) -> None:
    graph = network(seed)
    known = grids(graph)
    whole = graph.replaced(outputs=tuple(made.output for made in graph.nodes))
    x = inputs_of(graph, 3, seed)
    for name, values in zip(whole.outputs, reference.run(whole, {graph.inputs[0].name: x}), strict=True):
        if name in known:
            counts = np.ldexp(values.astype(np.float64), -known[name].exponent)
            assert (counts == np.rint(counts)).all(), name
            assert known[name].low <= counts.min(), name
            assert counts.max() <= known[name].high < EXACT, name


def test_nothing_but_a_few_random_networks_gives_floats() -> None:
    """Else the tests above would compare less and less, and nobody would see it."""
    kept = 0
    for seed in SEEDS:
        try:
            graph = in_fixed_point(seed).graph
        except SettingError:
            continue
        kept += same_everywhere(graph).issuperset(graph.outputs)
    assert kept > 0.85 * len(SEEDS)
