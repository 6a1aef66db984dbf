"""Surgery with a schedule-free optimizer: `eval()` before `finish()`, so that its averages are what is kept.

pip install 'netsurgery[integrations]'
python examples/schedule_free.py
"""

import torch
from schedulefree import AdamWScheduleFree
from torch import nn

import netsurgery as ns

torch.manual_seed(0)
inputs = torch.randn(4000, 20)
labels = inputs[:, :10].argmax(1)
model = nn.Sequential(nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 10))
optimizer = AdamWScheduleFree(model.parameters(), lr=5e-3)
steps = 400


def accuracy() -> float:
    return (model(inputs).argmax(1) == labels).float().mean().item()


operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=steps))  # new
optimizer.train()
for step in range(steps):
    batch = torch.randint(0, len(inputs), (100,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
    optimizer.step()
    if step % 100 == 99:  # the averages are pruned as the weights are that it trains with
        optimizer.eval()
        print(f"step {step + 1}: density {operation.density:.3f}, accuracy {accuracy():.1%}")
        optimizer.train()
optimizer.eval()  # before finish and pack
operation.finish()  # new

print(operation)
print(f"accuracy at density {operation.density:.2f}: {accuracy():.1%}")
