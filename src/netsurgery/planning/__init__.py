"""What the papers' densities and bits give, before anything is trained: parameters, operations, bytes."""
