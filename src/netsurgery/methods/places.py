"""What it costs to say where a connection is: little in a crowd, much where it stands alone.

A packed file holds masks, and its coder learns how dense each row and each column of them is (docs/format.md). With
r_i kept connections of output i, c_j from input j and n of the tensor, (i, j) is kept with a probability of about
r_i c_j / n, and saying so costs log2(n / (r_i c_j)) bits. A unit with few connections is expensive, and slow to run.
"""

from __future__ import annotations

from torch import Tensor

_VALUE_BITS = 2.0  # sign and size of a quantized weight, wherever it is
_UNSEEN = 0.5  # connections of an output or input that has none: it may get one


class PlaceCosts:
    """Bits for each connection of a tensor, kept per output and per input position only."""

    def __init__(self, mask: Tensor) -> None:
        """mask: bool (n, ...), or (n,) of a bias, whose entries all cost the same."""
        total = mask.sum().clamp(min=1).log2()
        if mask.dim() == 1:
            self._outputs, self._inputs = total.new_tensor(len(mask)).log2().sub(total).expand(len(mask)), None
        else:
            outputs = mask.sum(dim=tuple(range(1, mask.dim())), keepdim=True)
            self._outputs = total - (outputs + _UNSEEN).log2()
            self._inputs = -(mask.sum(dim=0) + _UNSEEN).log2()

    def bits(self, rows: slice) -> Tensor:
        """float32, of the shape of those rows of the tensor or one that broadcasts to it; _VALUE_BITS at least."""
        place = self._outputs[rows]
        if self._inputs is not None:
            place = place + self._inputs
        return place.clamp(min=0) + _VALUE_BITS
