"""Surgery under Accelerate: attach after `prepare`, to the optimizer that it gave back.

pip install 'netsurgery[integrations]'
python examples/accelerate_loop.py
"""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import netsurgery as ns

torch.manual_seed(0)
inputs = torch.randn(4000, 20)
labels = inputs[:, :10].argmax(1)
loader = DataLoader(TensorDataset(inputs, labels), batch_size=50, shuffle=True)
model = nn.Sequential(nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

epochs = 10
steps = ns.steps_of(loader, epochs, accumulate=2)  # a step is one of the optimizer, not a batch
operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=steps))  # new, and after `prepare`
for _ in range(epochs):
    for batch, wanted in loader:
        with accelerator.accumulate(model):
            accelerator.backward(nn.functional.cross_entropy(model(batch), wanted))
            optimizer.step()
            optimizer.zero_grad()
operation.finish()  # new

print(operation)
assert operation.step == steps
right = (model(inputs).argmax(1) == labels).float().mean().item()
print(f"accuracy at density {operation.density:.2f}: {right:.1%}")
