"""Running a packed network: the session, and NumPy as the meaning of each operator."""
