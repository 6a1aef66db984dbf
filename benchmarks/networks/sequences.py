"""Networks over time: a TCN (Bai et al. 2018), convolutions in three dimensions, LSTM and GRU."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class CausalBlock(nn.Module):
    """Two dilated convolutions that see no future, and the input added: (n, channels, t) -> (n, width, t)."""

    def __init__(self, channels: int, width: int, dilation: int, size: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, width, size, dilation=dilation)
        self.second = nn.Conv1d(width, width, size, dilation=dilation)
        self.past = nn.Conv1d(channels, width, 1) if channels != width else nn.Identity()
        self.before = (size - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.first(F.pad(x, (self.before, 0))))
        out = F.relu(self.second(F.pad(out, (self.before, 0))))
        return F.relu(out + self.past(x))


class TCN(nn.Module):
    """(n, 32, t) -> (n, 40): what the last step says."""

    def __init__(self, channels: int = 32, width: int = 128, levels: int = 6) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *[CausalBlock(width if level else channels, width, 2**level) for level in range(levels)]
        )
        self.classifier = nn.Linear(width, 40)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.blocks(x)[:, :, -1])


class Conv3dNet(nn.Module):
    """(n, 3, 16, 56, 56) -> (n, 101): convolutions over time, height and width (as in Tran et al. 2015, smaller)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, pool in ((32, (1, 2, 2)), (64, (2, 2, 2)), (128, (2, 2, 2)), (256, (2, 2, 2))):
            layers += [nn.Conv3d(channels, width, 3, padding=1, bias=False), nn.BatchNorm3d(width), nn.ReLU()]
            layers.append(nn.MaxPool3d(pool))
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 101)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3, 4)))


class LSTM(nn.Module):
    """Two layers of 256, with the states that they begin and end with: (t, n, 256), 2 x (2, n, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LSTM(256, 256, 2)
        self.output = nn.Linear(256, 40)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, (hidden, cell) = self.layers(x, (hidden, cell))
        return self.output(out), hidden, cell


class GRU(nn.Module):
    """Two layers of 256, with the states that they begin and end with: (t, n, 256), (2, n, 256)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.GRU(256, 256, 2)
        self.output = nn.Linear(256, 40)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        out, hidden = self.layers(x, hidden)
        return self.output(out), hidden
