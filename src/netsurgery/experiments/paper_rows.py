"""What was published of the networks on ImageNet: errors on its validation pictures, in percent."""

from __future__ import annotations

from netsurgery.records.record import PaperRow

SURGERY_ALEXNET = PaperRow(
    source="Guo, Yao, Chen 2016",
    test_error_before_percent=43.42,
    test_error_percent=43.09,
    kept=3_450_000,
    compression=17.7,
    density_percent={
        "conv1": 53.8,
        "conv2": 40.6,
        "conv3": 29.0,
        "conv4": 32.3,
        "conv5": 32.5,
        "fc1": 3.7,
        "fc2": 6.6,
        "fc3": 4.6,
    },
)

_INQ_SOURCE = "Zhou et al. 2017"
_INQ = {
    ("alexnet", 5): (42.76, 42.61, 19.77, 19.54),
    ("vgg16", 5): (31.46, 29.18, 11.35, 9.70),
    ("googlenet", 5): (31.11, 30.98, 10.97, 10.72),
    ("resnet18", 5): (31.73, 31.02, 11.31, 10.90),
    ("resnet50", 5): (26.78, 25.19, 8.76, 7.55),
    ("resnet18", 4): (31.73, 31.11, 11.31, 10.99),
    ("resnet18", 3): (31.73, 31.92, 11.31, 11.64),
    ("resnet18", 2): (31.73, 33.98, 11.31, 12.87),
}
"""(network, bits) -> top-1 before and after, top-5 before and after."""
_SURGERY_INQ = {5: (53, -0.08, -0.03), 4: (71, 0.52, 0.20), 3: (89, 1.47, 0.96)}
"""AlexNet: bits -> float32 / file, and by how much top-1 and top-5 errors rise from those of the same reference."""

INQ_ROWS = {
    key: PaperRow(_INQ_SOURCE, before, after, None, None, further_errors_percent={"test, top-5": [before5, after5]})
    for key, (before, after, before5, after5) in _INQ.items()
}
"""(network, bits) -> the row."""


def _surgery_inq(ratio: float, top1: float, top5: float) -> PaperRow:
    before, _, before5, _ = _INQ["alexnet", 5]
    fives = [before5, round(before5 + top5, 2)]
    after = round(before + top1, 2)
    return PaperRow(
        _INQ_SOURCE, before, after, None, None, further_errors_percent={"test, top-5": fives}, file_ratio=ratio
    )


SURGERY_INQ_ROWS = {("alexnet", bits): _surgery_inq(*row) for bits, row in _SURGERY_INQ.items()}
"""(network, bits) -> the row."""
