"""What each operator computes, in NumPy, family by family."""
