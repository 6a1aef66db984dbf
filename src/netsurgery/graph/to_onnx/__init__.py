"""Writing a graph as an ONNX model."""

from netsurgery.graph.to_onnx.writing import to_onnx as to_onnx
from netsurgery.graph.to_onnx.writing import write_onnx as write_onnx
