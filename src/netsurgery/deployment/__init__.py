"""A network made into files that are verified, and timed beside a dense runtime."""
