"""ONNX models in other number formats and of older operator sets, rewritten as the models that the reader knows."""

from netsurgery.graph.from_onnx.rewriting.fused import DOMAIN as RUNTIME
from netsurgery.graph.from_onnx.rewriting.fused import runtimes_own, without_fusion
from netsurgery.graph.from_onnx.rewriting.masks import with_choices
from netsurgery.graph.from_onnx.rewriting.prepared import Prepared, prepared

__all__ = ["RUNTIME", "Prepared", "prepared", "runtimes_own", "with_choices", "without_fusion"]
