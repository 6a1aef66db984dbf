"""Surgery and then powers of two, with a moving average of the weights (EMA) that ends as sparse as the network.

pip install 'netsurgery[torch]'
python examples/moving_average.py
"""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import netsurgery as ns

torch.manual_seed(0)
inputs = torch.randn(4000, 20)
labels = inputs[:, :10].argmax(1)
model = nn.Sequential(nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
steps = 900

plan = ns.Plan.surgery_then_inq(density=0.1, bits=4, steps=steps)
scheduler = plan.scheduler(optimizer)  # begins again with each portion of weights that is quantized
operation = ns.attach(model, optimizer, plan)  # new
for _ in range(steps):
    batch = torch.randint(0, len(inputs), (100,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
    optimizer.step()
    scheduler.step()
    averaged.update_parameters(model)
operation.finish()  # new


def said_of(network: nn.Module) -> str:
    kept = sum(int(parameter.count_nonzero()) for parameter in network.parameters())
    right = (network(inputs).argmax(1) == labels).float().mean().item()
    return f"{kept:,} connections, accuracy {right:.1%}"


print("network:        ", said_of(model))
print("average before: ", said_of(averaged.module))  # holds what was pruned meanwhile
operation.apply(averaged)  # new: kept ones are averaged, all others are what the operation has made of them
print("average after:  ", said_of(averaged.module))
assert sum(int(parameter.count_nonzero()) for parameter in averaged.module.parameters()) <= sum(
    row.kept for row in operation.report()
)
