"""What a model holds: which parameters a plan operates on, and why all others are left alone."""
