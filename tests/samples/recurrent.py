"""What goes from step to step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.samples.case import GATES, Case, Draw, Shape
from tests.samples.sample import STEPS, TWO_STEPS, Constant, Numbers, Sample, Samples, Value, sample

from netsurgery.graph.operators.recurrent import ACTIVATIONS, activations
from netsurgery.graph.value_types import ValueType

BOUNDED = ("sigmoid", "tanh", "hard_sigmoid", "softsign")
"""Activations whose outputs are between -1 and 1, so that steps don't grow beyond all bounds."""


def in_each_activation(operator: str) -> list[Sample]:
    operands = STEPS, Constant((12, 12 // GATES[operator]))
    return [sample(*operands, **dict.fromkeys(activations(operator), activation)) for activation in ACTIVATIONS]


def recurrent(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        time, batch, size, width = (draw(st.integers(1, high)) for high in (3, 4, 5, 4))
        attributes: dict[str, Any] = {name: draw(st.booleans()) for name in ("batch_first", "reverse")}
        attributes |= {name: draw(st.sampled_from(BOUNDED)) for name in activations(operator)}
        results = ("steps", "hidden", "cell")[: 3 if operator == "Lstm" else 2]
        attributes |= {"result": draw(st.sampled_from(results)), "clip": draw(st.sampled_from([np.inf, 0.5, 0.0]))}
        flags = {"Lstm": ("coupled",), "Gru": ("reset_after",)}.get(operator, ())
        attributes |= {name: draw(st.booleans()) for name in flags}
        gates = GATES[operator] * size
        projects = operator == "Lstm" and draw(st.booleans())
        width = width if projects else size
        maybe = [(gates,), *([(3, size)] if operator == "Lstm" else [])]
        operands: list[Shape | None] = [shape if draw(st.booleans()) else None for shape in maybe]
        if operator == "Lstm":
            operands.append((width, size) if projects else None)
        states = [(batch,), (batch, width), *([(batch, size)] if operator == "Lstm" else [])]
        operands += [shape if draw(st.booleans()) else None for shape in states]
        if operands[-len(states)] is None and draw(st.booleans()):
            attributes["fixed_lengths"] = tuple(draw(st.integers(0, time)) for _ in range(batch))
        while operands and operands[-1] is None:
            operands.pop()
        first = (batch, time) if attributes["batch_first"] else (time, batch)
        return Case(operator, ((*first, gates), (gates, width), *operands), attributes)

    return made


RECURRENT: dict[str, Samples] = {
    "Lstm": Samples(
        files=[
            sample(STEPS, Constant((12, 3)), Constant((12,))),
            sample(
                *(STEPS, Constant((12, 2)), None, Constant((3, 3)), Constant((2, 3))),
                *(Numbers(()), Value((2,)), Value((3,))),
                batch_first=True,
                result="cell",
                coupled=True,
                reverse=True,
                clip=1.5,
            ),
            sample(STEPS, Constant((12, 3)), result="hidden", fixed_lengths=(1, 0, 1)),
            sample(STEPS, Constant((12, 3)), cell_activation="hard_sigmoid", alphas=(0, 0, 0.5), betas=(0, 0, 0.25)),
            *in_each_activation("Lstm"),
        ],
        drawn=recurrent("Lstm"),
        more=[
            sample(TWO_STEPS, Constant((12, 3)), Constant((12,))),
            sample(
                TWO_STEPS,
                Constant((12, 3)),
                None,
                Constant((3, 3)),
                reverse=True,
                result="cell",
                coupled=True,
                clip=0.5,
            ),
            sample(TWO_STEPS, Constant((12, 3)), batch_first=True, cell_activation="elu"),
        ],
        large=[Case("Lstm", ((3, 7, 80), (80, 20), (80,)), {})],
    ),
    "Gru": Samples(
        files=[
            sample(STEPS, Constant((12, 4)), Constant((12,)), None, Value((4,)), batch_first=True),
            sample(STEPS, Constant((12, 4)), None, Numbers((), ValueType.INT32), batch_first=True, result="hidden"),
            sample(
                STEPS,
                Constant((12, 4)),
                reset_after=False,
                clip=0.5,
                alphas=(0, 2),
                betas=(0, 1),
                fixed_lengths=(1, 1, 1),
            ),
            sample(STEPS, Constant((12, 4)), reverse=True),
            *in_each_activation("Gru"),
        ],
        drawn=recurrent("Gru"),
        more=[
            sample(TWO_STEPS, Constant((12, 4)), Constant((12,)), batch_first=True),
            sample(
                TWO_STEPS, Constant((12, 4)), reset_after=False, result="hidden", reverse=True, fixed_lengths=(1, 2)
            ),
        ],
        large=[Case("Gru", ((5, 3, 60), (60, 20), (60,)), {"batch_first": True})],
    ),
    "Rnn": Samples(
        files=[
            sample(STEPS, Constant((12, 12)), Constant((12,)), None, Value((12,)), batch_first=True, reverse=True),
            sample(STEPS, Constant((12, 12)), None, Numbers(()), batch_first=True, result="hidden"),
            sample(STEPS, Constant((12, 12)), alphas=(0.5,), betas=(0.25,), clip=0.5, fixed_lengths=(0, 1, 1)),
            *in_each_activation("Rnn"),
        ],
        drawn=recurrent("Rnn"),
        more=[
            sample(TWO_STEPS, Constant((12, 12))),
            sample(TWO_STEPS, Constant((12, 12)), candidate_activation="affine", alphas=(0.5,), betas=(0.25,)),
        ],
        large=[Case("Rnn", ((3, 9, 20), (20, 20)), {"reverse": True})],
    ),
}
