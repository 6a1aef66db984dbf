"""The file of a row, packed for the purpose: how large it is, and where its bytes are."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from netsurgery.analysis.summary import summary_of
from netsurgery.deployment.packing import pack
from netsurgery.planning.drawn_weights import Spread, drawn_network
from netsurgery.planning.published import PublishedRow
from netsurgery.runtime.session import read_packed
from netsurgery.zoo.table import ZOO


@dataclass(frozen=True)
class MeasuredFile:
    """size_bytes: the whole file, graph included; dense_bytes: the network's parameters as float32.

    connections: entries of its tensors other than 0; tensor_bits: place of a tensor in the file -> bits that it takes;
    structure_bits: what the graph takes.
    """

    size_bytes: int
    dense_bytes: int
    connections: int
    tensor_bits: dict[str, float]
    structure_bits: float

    @property
    def compression(self) -> float:
        """Dense bytes / bytes of the file."""
        return self.dense_bytes / self.size_bytes


def measured_file(row: PublishedRow, spread: Spread, seed: int = 0) -> MeasuredFile:
    """Draws, packs and verifies the row's network. Takes minutes and some GB of memory for large ones."""
    architecture = ZOO[row.network]
    model = drawn_network(row, spread, seed)
    images = torch.rand(1, *architecture.shape, generator=torch.Generator().manual_seed(seed))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.nsm"
        report = pack(model, path, example_inputs=images)
        summary = summary_of(read_packed(path))
    bits = {tensor.name: round(tensor.bits, 1) for tensor in summary.tensors}
    return MeasuredFile(
        report.size_bytes, 4 * architecture.parameters, summary.kept, bits, round(summary.structure_bits, 1)
    )
