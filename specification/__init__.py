"""docs/format.md as a program: coder, models and reader of .nsm files in Python, to be read and to compare with.

The library reads by C++ (netsurgery/packed/reader.py). Nothing that is installed needs this; tests and fuzzing compare
the two, and the coder here with the one in C++.
"""
