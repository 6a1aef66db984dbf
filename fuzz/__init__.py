"""Fuzzing of the .nsm readers; run as `python -m fuzz.files`."""
