"""A network that was tuned by low-rank adapters (LoRA): merge them, then operate on what they were merged into.

An adapter's product is added to a weight that stays dense, so that cutting the adapter makes nothing small. `attach`
refuses it, and says so.

pip install 'netsurgery[integrations]'
python examples/lora.py
"""

import peft
import torch
from torch import nn

import netsurgery as ns

torch.manual_seed(0)
inputs = torch.randn(4000, 20)
labels = inputs[:, :10].argmax(1)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        batch = torch.randint(0, len(inputs), (100,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
        optimizer.step()


base = nn.Sequential(nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 10))
tuned = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["0", "2"]))
optimizer = torch.optim.AdamW((p for p in tuned.parameters() if p.requires_grad), lr=3e-3)
try:
    ns.attach(tuned, optimizer, ns.Surgery(density=0.1))
except ns.errors.AdapterError as error:
    print("refused:", error)
train(tuned, optimizer, 200)

model = tuned.merge_and_unload()  # a plain network again
model.requires_grad_(True)  # peft has frozen it
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=400))
train(model, optimizer, 400)
operation.finish()

print(operation)
right = (model(inputs).argmax(1) == labels).float().mean().item()
print(f"accuracy at density {operation.density:.2f}: {right:.1%}")
