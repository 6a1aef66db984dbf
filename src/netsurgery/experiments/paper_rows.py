"""What was published of the networks on ImageNet, as records have it: errors on its validation pictures, in percent."""

from __future__ import annotations

from netsurgery.planning.published import PublishedRow, rows_of
from netsurgery.records.record import PaperRow

_INQ_SOURCE = "Zhou et al. 2017"
_INQ_NETWORKS = ("alexnet", "vgg16", "googlenet", "resnet18", "resnet50")
_RISES = {5: (-0.08, -0.03), 4: (0.52, 0.20), 3: (1.47, 0.96)}
"""AlexNet, surgery and INQ: bits -> by how much top-1 and top-5 errors rise from those of INQ's reference."""


def _alexnet() -> PaperRow:
    row = rows_of("alexnet")[0]
    after, _ = row.errors_percent or (0.0, 0.0)
    shares = {layer: round(100 * share, 1) for layer, share in row.densities.items()}
    return PaperRow("Guo, Yao, Chen 2016", 43.42, after, 3_450_000, row.compression, shares)


def _inq(row: PublishedRow) -> PaperRow | None:
    """None where the row isn't one of INQ alone."""
    if row.before_percent is None or row.errors_percent is None:
        return None
    (before, before5), (after, after5) = row.before_percent, row.errors_percent
    return PaperRow(_INQ_SOURCE, before, after, None, None, further_errors_percent={"test, top-5": [before5, after5]})


def _surgery_inq(row: PublishedRow) -> PaperRow:
    reference = INQ_ROWS["alexnet", 5]
    before, before5 = reference.test_error_before_percent, reference.further_errors_percent["test, top-5"][0]
    top1, top5 = _RISES[row.bits]
    fives = {"test, top-5": [before5, round(before5 + top5, 2)]}
    after = round(before + top1, 2)
    return PaperRow(_INQ_SOURCE, before, after, None, None, further_errors_percent=fives, file_ratio=row.compression)


SURGERY_ALEXNET = _alexnet()
INQ_ROWS = {
    (name, row.bits): made for name in _INQ_NETWORKS for row in rows_of(name) if (made := _inq(row)) is not None
}
"""(network, bits) -> the row."""
SURGERY_INQ_ROWS = {
    ("alexnet", row.bits): _surgery_inq(row)
    for row in rows_of("alexnet")
    if row.bits in _RISES and row.compression is not None
}
"""(network, bits) -> the row."""
