"""Surgery in the Trainer of Hugging Face's transformers: one callback, which is in the checkpoints too.

pip install 'netsurgery[integrations]'
python examples/huggingface_trainer.py
"""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import netsurgery as ns
from netsurgery.integrations.transformers import OperationCallback

torch.manual_seed(0)
words = torch.randint(0, 30, (800, 12))
sentences = [{"input_ids": row, "labels": int(row[0] < 15)} for row in words]  # is the first word an early one?
config = BertConfig(
    vocab_size=30, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=2
)
model = BertForSequenceClassification(config)  # made here, of random weights; yours is from_pretrained

# `steps` is what the trainer plans. Embeddings and norms are left alone.
callback = OperationCallback(lambda steps: ns.Surgery(density=0.2, steps=steps))  # new
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=5,
        per_device_train_batch_size=20,
        learning_rate=1e-3,
        save_strategy="epoch",  # each folder has operation.pt: train(resume_from_checkpoint=...) goes on with it
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    Trainer(model, arguments, train_dataset=sentences, callbacks=[callback]).train()  # new: the callback

print(callback.operation)
model.eval()
right = (model(words).logits.argmax(1) == (words[:, 0] < 15)).float().mean().item()
print(f"accuracy at density {callback.operation.density:.2f}: {right:.1%}")
