"""Functions of one entry that take attributes; those that take none are made in table.py."""

from __future__ import annotations

from tests.samples.drawing import finite, unary
from tests.samples.sample import ROW, Samples, sample

ELEMENTARY: dict[str, Samples] = {
    "Elu": Samples(
        files=[sample(ROW, alpha=0.5, scale=2.0, input_scale=0.25)],
        drawn=unary("Elu", alpha=finite, scale=finite, input_scale=finite),
        more=[
            sample(ROW),
            sample(ROW, alpha=0.5, scale=2.0),
            *(sample(ROW, alpha=0.5, scale=2.0, input_scale=inner) for inner in (0.25, 0.0, -0.5)),
        ],
    ),
    "ThresholdedRelu": Samples(
        files=[sample(ROW, alpha=0.25)],
        drawn=unary("ThresholdedRelu", alpha=finite),
        more=[sample(ROW, alpha=0.2)],
    ),
    "Shrink": Samples(
        files=[sample(ROW, threshold=0.25, bias=0.5)],
        drawn=unary("Shrink", threshold=finite, bias=finite),
        more=[sample(ROW, threshold=-0.5, bias=-0.25)],
    ),
}
