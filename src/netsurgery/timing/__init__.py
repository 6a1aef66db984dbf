"""Contenders timed in turns, and the machine that they were timed on."""
