"""The rows of the papers' tables on ImageNet: what was done to a network, and what was reported of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FLOAT_BITS = 32

_SURGERY = "Guo, Yao, Chen 2016, table 4"
_INQ = "Zhou et al. 2017"

ALEXNET_DENSITIES: Mapping[str, float] = {
    "conv1": 0.538,
    "conv2": 0.406,
    "conv3": 0.290,
    "conv4": 0.323,
    "conv5": 0.325,
    "fc1": 0.037,
    "fc2": 0.066,
    "fc3": 0.046,
}
"""What dynamic network surgery leaves of each layer's weights (Guo, Yao, Chen 2016, table 4)."""


@dataclass(frozen=True)
class PublishedRow:
    """What was done to a network, and what was reported.

    network: its name in the zoo. bits: of a kept weight, zero or a power of two; 32 is float32. densities: name of a
    layer -> kept / all of its weights, for the layers that lose any; density: of all others. compression: dense float32
    bytes / bytes, as reported. errors_percent: top-1 and top-5 error of the result, before_percent: of the dense
    network. source: where; empty where the
    row is nobody's.
    """

    network: str
    title: str
    bits: int = FLOAT_BITS
    densities: Mapping[str, float] = field(default_factory=dict)
    density: float = 1.0
    compression: float | None = None
    before_percent: tuple[float, float] | None = None
    errors_percent: tuple[float, float] | None = None
    source: str = ""

    def density_of(self, layer: str) -> float:
        """Kept / all weights of a layer."""
        return self.densities.get(layer, self.density)


def _inq(network: str, bits: int, before: tuple[float, float], after: tuple[float, float]) -> PublishedRow:
    title = f"INQ, {bits} bits"
    return PublishedRow(network, title, bits, before_percent=before, errors_percent=after, source=_INQ)


def _surgery_and_inq(bits: int, compression: float) -> PublishedRow:
    return PublishedRow(
        "alexnet", f"surgery and INQ, {bits} bits", bits, ALEXNET_DENSITIES, compression=compression, source=_INQ
    )


ROWS = (
    PublishedRow(
        "alexnet",
        "surgery",
        densities=ALEXNET_DENSITIES,
        compression=17.7,
        errors_percent=(43.09, 19.99),
        source=_SURGERY,
    ),
    _surgery_and_inq(5, 53),
    _surgery_and_inq(4, 71),
    _surgery_and_inq(3, 89),
    _inq("alexnet", 5, (42.76, 19.77), (42.61, 19.54)),
    _inq("vgg16", 5, (31.46, 11.35), (29.18, 9.70)),
    _inq("googlenet", 5, (31.11, 10.97), (30.98, 10.72)),
    _inq("resnet18", 5, (31.73, 11.31), (31.02, 10.90)),
    _inq("resnet18", 4, (31.73, 11.31), (31.11, 10.99)),
    _inq("resnet18", 3, (31.73, 11.31), (31.92, 11.64)),
    _inq("resnet18", 2, (31.73, 11.31), (33.98, 12.87)),
    _inq("resnet50", 5, (26.78, 8.76), (25.19, 7.55)),
    PublishedRow("resnet50", "90 % zero and 4 bits", 4, density=0.1),
)
"""In the order of the papers."""


def rows_of(network: str) -> tuple[PublishedRow, ...]:
    """The rows of a network of the zoo; none where no paper has it."""
    return tuple(row for row in ROWS if row.network == network)
