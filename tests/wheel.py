"""Run by `make wheel` where numpy is all there is: the installed wheel loads, runs and describes networks.

python tests/wheel.py FOLDER-WITH-NSM-FILES
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import netsurgery as ns
from netsurgery.graph.examples import random_inputs


def main(folder: Path) -> None:
    assert Path(__file__).resolve().parents[1] / "src" not in Path(ns.__file__).resolve().parents, "the checkout"
    present = [name for name in ("torch", "onnx", "rich", "matplotlib") if importlib.util.find_spec(name)]
    assert not present, f"not bare: {present}"
    paths = sorted(folder.glob("*.nsm"))
    assert len(paths) > 20
    for path in paths:
        network, reference = ns.load(path), ns.load(path, engine="reference")
        least = network.graph.least
        arrays = random_inputs(network.graph, {axis: max(3, size) for axis, size in least.items()}, 0)
        for fast, slow in zip(listed(network(*arrays)), listed(reference(*arrays)), strict=True):
            np.testing.assert_allclose(fast, slow, rtol=1e-3, atol=1e-4)
    command = Path(sys.executable).with_name("netsurgery")
    shown = subprocess.run([command, "info", paths[0]], capture_output=True, text=True, check=True).stdout
    assert "bytes" in shown
    with tempfile.TemporaryDirectory() as made:
        x, y = Path(made) / "x.npy", Path(made) / "y.npy"
        network = ns.load(folder / "lenet5.nsm")
        np.save(x, np.zeros(network.inputs[0].at({"batch": 2}), np.float32))
        subprocess.run([command, "run", folder / "lenet5.nsm", "--input", x, "--output", y], check=True)
        assert np.load(y).shape == (2, 10)
    print(f"{ns.__file__}: {len(paths)} networks loaded, run and compared; info and run work")


def listed(outputs: object) -> tuple:
    return outputs if isinstance(outputs, tuple) else (outputs,)


main(Path(sys.argv[1]))
