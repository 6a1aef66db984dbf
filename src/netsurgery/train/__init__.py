"""What the recipes share: data sets in memory, augmentation, the training loop and its checkpoints."""
