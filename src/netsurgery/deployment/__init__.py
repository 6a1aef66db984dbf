"""A network made into files that are verified, and measured beside a dense runtime."""
