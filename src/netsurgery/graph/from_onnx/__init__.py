"""Capturing ONNX models, opset 11 to the newest that the installed onnx knows."""

from netsurgery.graph.from_onnx.model_reading import OLDEST_OPSET as OLDEST_OPSET
from netsurgery.graph.from_onnx.model_reading import read_onnx as read_onnx
