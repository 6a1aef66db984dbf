"""A loss that a trained network has a say in: Hinton, Vinyals, Dean 2015, arXiv 1503.02531.

Who makes a network small has the large one. Its outputs say of each image how much it is like every class, which is
more than a label says, and the small network learns it in the same number of steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def frozen(teacher: nn.Module) -> nn.Module:
    """The network, in place, in evaluation mode and without gradients."""
    return teacher.eval().requires_grad_(False)


def distilled(loss: Tensor, outputs: Tensor, taught: Tensor, share: float, temperature: float) -> Tensor:
    """(1 - share) * loss + share * T² * KL(softmax(taught / T), softmax(outputs / T)), the mean over the batch.

    loss: (), the cross-entropy with the labels. outputs, taught: logits (b, classes) of the network that learns and of
        its teacher. share: in [0, 1]. temperature: T > 0; T² keeps gradients as large as at T = 1.
    """
    wanted = torch.log_softmax(taught.to(torch.float32) / temperature, dim=1)
    given = torch.log_softmax(outputs.to(torch.float32) / temperature, dim=1)
    divergence = F.kl_div(given, wanted, reduction="batchmean", log_target=True)
    return loss * (1 - share) + divergence * (share * temperature**2)
