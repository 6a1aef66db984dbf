"""What a packed network holds, and the operations that its binary planes take."""
