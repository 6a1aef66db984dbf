"""A plan at work on a model, around every step of its optimizer."""
