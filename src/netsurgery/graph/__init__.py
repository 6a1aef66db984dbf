"""A network as a small typed graph: captured from torch or ONNX, simplified by exact passes."""
