"""What it costs to say where a connection is: little in a crowd, much where it stands alone.

A packed file holds masks, and its coder learns how dense each row and each column of them is (docs/format.md). With
r_i kept connections of output i, c_j from input j and n of the tensor, (i, j) is kept with a probability of about
r_i c_j / n, and saying so costs log2(n / (r_i c_j)) bits. A unit with few connections is expensive, and slow to run.
"""

from __future__ import annotations

from torch import Tensor

from netsurgery.methods.shards import Shard, summed

_VALUE_BITS = 2.0  # sign and size of a quantized weight, wherever it is
_UNSEEN = 0.5  # connections of an output or input that has none: it may get one


class PlaceCosts:
    """Bits for each connection of a tensor, kept per output and per input position only."""

    def __init__(self, mask: Tensor, shard: Shard | None = None) -> None:
        """mask: bool (n, ...), or (n,) of a bias, whose entries all cost the same; or the part of it that is here."""
        rest = tuple(range(1, mask.dim()))
        counts = [mask.sum()]
        groups = [shard.across() if shard else ()]
        if rest:
            counts += [mask.sum(dim=rest, keepdim=True), mask.sum(dim=0)]
            groups += [shard.across(rest), shard.across({0})] if shard else [(), ()]
        total, *by_place = summed(counts, groups)
        total = total.clamp(min=1).log2()
        self._inputs: Tensor | None = None
        if rest:
            outputs, inputs = by_place
            self._outputs = total - (outputs + _UNSEEN).log2()
            self._inputs = -(inputs + _UNSEEN).log2()
        else:
            length = shard.shape[0] if shard else len(mask)
            self._outputs = total.new_tensor(length).log2().sub(total).expand(len(mask))

    def bits(self, rows: slice) -> Tensor:
        """float32, of the shape of those rows of the tensor or one that broadcasts to it; _VALUE_BITS at least."""
        place = self._outputs[rows]
        if self._inputs is not None:
            place = place + self._inputs
        return place.clamp(min=0) + _VALUE_BITS
