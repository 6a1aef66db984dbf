"""ONNX models in other number formats and of older operator sets, rewritten as the models that the reader knows."""

from netsurgery.graph.from_onnx.rewriting.fused import without_fusion
from netsurgery.graph.from_onnx.rewriting.masks import with_choices
from netsurgery.graph.from_onnx.rewriting.prepared import Prepared, prepared

__all__ = ["Prepared", "prepared", "with_choices", "without_fusion"]
