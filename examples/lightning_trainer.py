"""Surgery in Lightning's Trainer: one callback, which is in the checkpoints too.

pip install 'netsurgery[integrations]'
python examples/lightning_trainer.py
"""

import tempfile

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import netsurgery as ns
from netsurgery.integrations.lightning import OperationCallback


class Classifier(pl.LightningModule):
    """Says which of the first ten numbers is the largest."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 200), nn.ReLU(), nn.Linear(200, 10))

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


pl.seed_everything(0)
inputs = torch.randn(4000, 20)
loader = DataLoader(TensorDataset(inputs, inputs[:, :10].argmax(1)), batch_size=100, shuffle=True)

# `steps` is what the trainer plans: of all epochs, with its accumulation of gradients.
callback = OperationCallback(lambda steps: ns.Surgery(density=0.1, steps=steps))  # new
model = Classifier()
with tempfile.TemporaryDirectory() as folder:
    settings = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "default_root_dir": folder}
    trainer = pl.Trainer(max_epochs=10, callbacks=[callback], **settings)  # new: the callback
    trainer.fit(model, loader)
    trainer.save_checkpoint(f"{folder}/last.ckpt")  # holds the operation's state: fit(ckpt_path=...) goes on with it

print(callback.operation)
right = (model.net(inputs).argmax(1) == inputs[:, :10].argmax(1)).float().mean().item()
print(f"accuracy at density {callback.operation.density:.2f}: {right:.1%}")
