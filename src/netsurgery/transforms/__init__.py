"""Layers that are products of fast transforms and diagonals, in the place of matrices."""
