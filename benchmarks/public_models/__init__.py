"""Trained networks that others have put into packages of PyPI and npm: whether they pack, and how fast they run."""
