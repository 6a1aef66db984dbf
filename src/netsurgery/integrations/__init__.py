"""Callbacks for the trainers of others: they attach, keep the operation's state in checkpoints, and finish."""
