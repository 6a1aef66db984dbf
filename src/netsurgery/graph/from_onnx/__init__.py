"""Capturing ONNX models, opset 7 to the newest that the installed onnx knows."""

from netsurgery.graph.from_onnx.model_reading import OLDEST_OPSET as OLDEST_OPSET
from netsurgery.graph.from_onnx.model_reading import read_model as read_model
from netsurgery.graph.from_onnx.model_reading import read_onnx as read_onnx
