"""Activations that most networks have."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.samples.case import Case
from tests.samples.drawing import finite, numbers, unary
from tests.samples.sample import IMAGE, PICTURE, ROW, Samples, sample

FUNCTIONS: dict[str, Samples] = {
    "Relu": Samples(
        files=[sample(IMAGE)],
        drawn=unary("Relu"),
        more=[sample(PICTURE), sample(ROW)],
        large=[Case("Relu", ((5, 11, 997),), {})],
    ),
    "Clip": Samples(
        files=[sample(ROW, minimum=-0.5, maximum=6.0), sample(ROW, minimum=-0.0)],
        drawn=unary("Clip", minimum=numbers, maximum=numbers),
        more=[sample(ROW, minimum=0, maximum=6), sample(ROW, minimum=-0.5), sample(ROW, maximum=0.5), sample(ROW)],
    ),
    "HardSigmoid": Samples(
        files=[sample(ROW, alpha=0.2, beta=0.25)],
        drawn=unary("HardSigmoid", alpha=finite, beta=finite),
        more=[sample(ROW), sample(ROW, alpha=0.2, beta=0.4)],
    ),
    "Gelu": Samples(
        files=[sample(ROW, approximate="tanh"), sample(ROW)],
        drawn=unary("Gelu", approximate=st.sampled_from(["none", "tanh"])),
        large=[Case("Gelu", ((70001,),), {})],
    ),
    "LeakyRelu": Samples(
        files=[sample(ROW, alpha=0.25)],
        drawn=unary("LeakyRelu", alpha=finite),
        more=[sample(PICTURE, alpha=0.2)],
    ),
}
