"""Surgery in a training loop of one's own: three lines are new, the loop stays as it is.

pip install 'netsurgery[demo]'
python examples/own_loop.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import netsurgery as ns

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).flatten(1) / 16
labels = torch.tensor(digits.target)
train_images, test_images = images[:1500], images[1500:]
train_labels, test_labels = labels[:1500], labels[1500:]

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
steps = 3000

operation = ns.attach(model, optimizer, ns.Surgery(density=0.03, steps=steps))  # new: keep 3 % of all connections
for _ in range(steps):
    batch = torch.randint(0, len(train_images), (64,))
    loss = nn.functional.cross_entropy(model(train_images[batch]), train_labels[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
operation.finish()  # new: pruned connections are exactly zero now, and stay zero while training goes on
print(operation)  # new: how many connections each layer kept

accuracy = (model(test_images).argmax(dim=1) == test_labels).float().mean().item()
print(f"accuracy on images that it has not seen: {accuracy:.1%}")
