"""A task for `netsurgery compress`: a network, its data, and nothing else. Losses and metrics have defaults.

pip install 'netsurgery[demo]'
netsurgery compress examples/compress_task.py --max-loss 1 --budget 20s --out runs/digits
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).flatten(1) / 16
labels = torch.tensor(digits.target)


def model() -> nn.Module:
    """A trained network: here it takes two seconds to train one; yours is loaded."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(600):
        batch = torch.randint(0, 1300, (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
    return network


def train_loader() -> torch.utils.data.DataLoader:
    """Batches of (inputs, targets)."""
    data = torch.utils.data.TensorDataset(images[:1300], labels[:1300])
    return torch.utils.data.DataLoader(data, batch_size=64, shuffle=True)


def val_loader() -> torch.utils.data.DataLoader:
    """Held-out data, by which "no loss" is decided; never the test data."""
    data = torch.utils.data.TensorDataset(images[1300:1550], labels[1300:1550])
    return torch.utils.data.DataLoader(data, batch_size=250)
