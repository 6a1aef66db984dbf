"""One call: the smallest or fastest network that loses no more than a limit."""
