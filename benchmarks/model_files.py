"""A network in the forms that the runtimes take, made once and kept in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from networks import Network, Runs

import netsurgery as ns
from netsurgery.files import replacing
from netsurgery.graph.capture import capture
from netsurgery.graph.ir import Graph
from netsurgery.graph.to_onnx import write_onnx
from netsurgery.runtime.reference import run_node
from netsurgery.runtime.session import read_packed

OLDER_OPSET, OLDER_IR = 17, 8
"""What DeepSparse 1.8 reads; the operators of these networks are the same there, which onnx's checker confirms."""


@dataclass(frozen=True)
class ModelFiles:
    """One network.

    packed: the .nsm file. dense: the network as it was, every unit in place, as ONNX with its zeros written out.
    living: ONNX of what is in the .nsm file, where packing has removed units; None where it has removed none.
    older: `dense` for runtimes that read older files only. origin: where the weights are from, in words.
    """

    packed: Path
    dense: Path
    living: Path | None
    older: Path
    origin: str
    connections: int
    entries: int


def model_files(name: str, network: Network, runs: Runs, work: Path) -> ModelFiles:
    """The files of a network in the folder `work`; written unless they are there, of the same origin."""
    packed, dense, living, older, facts = (
        work / f"{name}{suffix}" for suffix in (".nsm", ".onnx", "-living.onnx", "-older.onnx", ".json")
    )
    origin = network.origin(runs)
    known = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
    if known.get("origin") != origin:
        work.mkdir(parents=True, exist_ok=True)
        model = network.build(runs)
        examples = torch.rand(1, *network.shape, generator=torch.Generator().manual_seed(0))
        report = ns.pack(model, packed, example_inputs=examples)
        graph, small = capture(model, run_node, examples).graph, read_packed(packed).graph
        write_onnx(graph, dense)
        if units_removed := _weight_shapes(small) != _weight_shapes(graph):
            write_onnx(small, living)
        _restamped(dense, older)
        entries = sum(parameter.numel() for parameter in model.parameters())
        known = {
            "origin": origin,
            "connections": report.connections,
            "entries": entries,
            "units_removed": units_removed,
        }
        facts.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return ModelFiles(
        packed,
        dense,
        living if known["units_removed"] else None,
        older,
        origin,
        known["connections"],
        known["entries"],
    )


def _weight_shapes(graph: Graph) -> list[tuple[int, ...]]:
    """Of convolutions and fully connected layers, in order."""
    layers = [node for node in graph.nodes if node.operator in ("Conv", "Linear")]
    return [graph.constants[node.inputs[1]].shape for node in layers if node.inputs[1] in graph.constants]


def _restamped(path: Path, older: Path) -> None:
    """The same ONNX model, said to be of an older operator set. Raises where it then isn't valid."""
    model = onnx.load(path)
    model.opset_import[0].version, model.ir_version = OLDER_OPSET, OLDER_IR
    known = {constant.name: onnx.numpy_helper.to_array(constant) for constant in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "ReduceMean" and len(node.input) == 2:  # whose axes were an attribute
            node.attribute.append(onnx.helper.make_attribute("axes", known[node.input.pop()].tolist()))
    onnx.checker.check_model(model)
    with replacing(older) as temporary:
        temporary.write_bytes(model.SerializeToString())
