"""One density over several optimizers: Muon moves the matrices, AdamW all else.

pip install 'netsurgery[torch]'      # with a torch that has Muon, 2.9 or later
python examples/muon_and_adamw.py
"""

import torch
from torch import nn

import netsurgery as ns

torch.manual_seed(0)
inputs = torch.randn(4000, 20)
labels = inputs[:, :10].argmax(1)
model = nn.Sequential(nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 10))
matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
vectors = [parameter for parameter in model.parameters() if parameter.dim() < 2]
muon = torch.optim.Muon(matrices, lr=0.01)
adamw = torch.optim.AdamW(vectors, lr=3e-3)
steps = 400

# All connections are ranked together. A step of the operation is taken when each optimizer has stepped.
operation = ns.attach(model, [muon, adamw], ns.Surgery(density=0.1, steps=steps))  # new: a list
for _ in range(steps):
    batch = torch.randint(0, len(inputs), (100,))
    nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
    for optimizer in (muon, adamw):
        optimizer.step()
        optimizer.zero_grad()
operation.finish()  # new

print(operation)
right = (model(inputs).argmax(1) == labels).float().mean().item()
print(f"accuracy at density {operation.density:.2f}: {right:.1%}")
