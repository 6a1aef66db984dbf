"""Surgery on weights that are spread over processes by fully_shard (FSDP2): saved, resumed on any number, and packed.

pip install 'netsurgery[demo]'
python examples/many_machines.py                                # one process: a card, or the processor
torchrun --standalone --nproc-per-node 2 examples/many_machines.py    # two of them; the same command resumes
"""

import os
import time
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

import netsurgery as ns

STEPS, HALF = 400, 200
many = "RANK" in os.environ  # torchrun says who this process is
device = torch.device("cpu")
if torch.cuda.is_available():
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
if many:
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
rank, count = (distributed.get_rank(), distributed.get_world_size()) if many else (0, 1)

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32, device=device).flatten(1) / 16
labels = torch.tensor(digits.target, device=device)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10)).to(device)
if many:
    for layer in (model[0], model[2]):
        fully_shard(layer)
    fully_shard(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)  # after fully_shard: it has to own the parts
operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=STEPS))

whole = StateDictOptions(full_state_dict=True, cpu_offload=True)  # not parts: any number of processes can read it
checkpoint = Path("digits.pt")
if checkpoint.exists():
    saved = torch.load(checkpoint, weights_only=True)
    set_state_dict(
        model, optimizer, model_state_dict=saved["model"], optim_state_dict=saved["optimizer"], options=whole
    )
    operation.load_state_dict(saved["operation"])

while operation.step < STEPS:
    chosen = torch.randint(0, 1500, (64,), generator=torch.Generator().manual_seed(operation.step))
    mine = chosen.chunk(count)[rank].to(device)  # every process has its own part of the batch
    loss = nn.functional.cross_entropy(model(images[mine]), labels[mine])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if operation.step == HALF:
        weights, moments = get_state_dict(model, optimizer, options=whole)
        state = operation.state_dict()  # all processes ask, and get the whole
        if rank == 0:  # the first one alone writes
            torch.save({"model": weights, "optimizer": moments, "operation": state}, checkpoint)

operation.finish()
report = ns.pack(model.eval(), "digits.nsm", example_inputs=images[:1].cpu())  # all ask, the first one writes
table = str(operation)
if rank == 0:
    print(table)
    print(report)
if many:
    distributed.barrier()
    # Gloo's threads let go of their last tensors meanwhile: torch aborts a process that ends before (pytorch #179291).
    time.sleep(1)
    distributed.destroy_process_group()
