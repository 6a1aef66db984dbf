"""What the recipes share: the training loop and the data readers."""
