"""Torch models in other floats than float32, and TorchScript modules: packed, and what is told of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery as ns
from netsurgery.errors import CaptureError, SettingError


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()


@pytest.mark.parametrize(
    ("kind", "weights"), [(torch.float16, "the same"), (torch.bfloat16, "the same"), (torch.float64, "rounded")]
)
def test_a_model_in_other_floats_packs_in_float32(tmp_path, kind, weights):
    model = network().to(kind)
    images = torch.randn(2, 1, 8, 8, dtype=kind)
    report = ns.pack(model, tmp_path / "model.nsm", example_inputs=images)
    name = str(kind).removeprefix("torch.")
    assert report.remarks == (f"It computes in {name}; netsurgery computes in float32, from {weights} weights.",)
    assert report.remarks[0] in str(report)
    assert {parameter.dtype for parameter in model.parameters()} == {kind}
    with torch.no_grad():
        wanted = model.float()(images.float()).numpy()
    np.testing.assert_allclose(ns.load(tmp_path / "model.nsm")(images.float().numpy()), wanted, rtol=0, atol=1e-5)


def test_a_model_of_several_floats_packs(tmp_path):
    model = network()
    model[4].half()
    report = ns.pack(model, tmp_path / "model.nsm", example_inputs=torch.randn(2, 1, 8, 8))
    assert report.remarks == ("It computes in float16; netsurgery computes in float32, from the same weights.",)


class Autocast(nn.Module):
    """Computes in bfloat16 inside, and gives what autocast leaves of it, or float32."""

    def __init__(self, widens: bool) -> None:
        super().__init__()
        self.inner, self.widens = network(), widens

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            y = self.inner(x)
        return y.float().softmax(1) if self.widens else y


class Narrowed(nn.Module):
    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.inner, self.kind = network(), kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.inner(x).to(self.kind) * torch.tensor(0.1, dtype=self.kind)).float().exp().to(self.kind)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Autocast(False), "bfloat16"),
        (Autocast(True), "bfloat16"),
        (Narrowed(torch.float16), "float16"),
        (Narrowed(torch.bfloat16), "bfloat16"),
    ],
)
def test_a_model_that_computes_in_halves_in_part_packs_in_float32(tmp_path, model, name):
    images = torch.randn(2, 1, 8, 8)
    report = ns.pack(model, tmp_path / "model.nsm", example_inputs=images)
    assert report.remarks == (f"It computes in {name} in part; netsurgery computes in float32.",)
    assert report.difference < 1e-5
    found = torch.from_numpy(ns.load(tmp_path / "model.nsm")(images.numpy()))
    with torch.no_grad():
        torch.testing.assert_close(found, model.eval()(images).float(), rtol=0.05, atol=0.05)


class OwnHalf(nn.Module):
    """Holds a tensor in float16 that is neither parameter nor buffer, or goes by the type of its values."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.inner, self.table, self.looks = nn.Linear(4, 5), torch.randn(5, 3).half(), looks

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x).half()
        if self.looks and y.dtype != torch.float16:
            raise TypeError("float16 is needed")
        return (y @ self.table).float()


@pytest.mark.parametrize("looks", [False, True])
def test_a_model_with_tensors_of_its_own_in_halves_packs_or_is_refused_by_what_it_computes(tmp_path, looks):
    torch.manual_seed(0)
    model, x = OwnHalf(looks).eval(), torch.randn(6, 4)
    if looks:  # it can't be made to compute in float32
        with pytest.raises(ns.errors.VerificationError):
            ns.pack(model, tmp_path / "model.nsm", example_inputs=x)
    else:
        assert ns.pack(model, tmp_path / "model.nsm", example_inputs=x).difference < 1e-5


def test_autocast_around_packing_changes_nothing(tmp_path):
    model, images = network(), torch.randn(2, 1, 8, 8)
    ns.pack(model, tmp_path / "plain.nsm", example_inputs=images)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = model(images)
        report = ns.pack(model, tmp_path / "cast.nsm", example_inputs=images)
        after = model(images)
    assert report.remarks == ()
    assert after.dtype == torch.bfloat16
    assert torch.equal(before, after)
    assert (tmp_path / "cast.nsm").read_bytes() == (tmp_path / "plain.nsm").read_bytes()


def test_a_model_without_numbers_is_refused(tmp_path):
    with torch.device("meta"):
        model = nn.Linear(4, 2)
    with pytest.raises(CaptureError, match="weight is on the meta device, where it has no numbers"):
        ns.pack(model, tmp_path / "model.nsm", example_inputs=torch.zeros(1, 4))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("make", [lambda model, x: torch.jit.trace(model, x), lambda model, _: torch.jit.script(model)])
def test_a_torchscript_module_packs_as_the_module_that_it_was_made_from(tmp_path, make):
    model, images = network(), torch.randn(2, 1, 8, 8)
    report = ns.pack(make(model, images), tmp_path / "model.nsm", example_inputs=images)
    assert report.axes == ("batch",)
    assert report.size_bytes == ns.pack(model, tmp_path / "same.nsm", example_inputs=images).size_bytes
    with torch.no_grad():
        wanted = model(images).numpy()
    np.testing.assert_allclose(ns.load(tmp_path / "model.nsm")(images.numpy()), wanted, rtol=0, atol=1e-5)


class Counts(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.sum() > 0):
            x = x - 1
        return x


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_module_that_torch_can_not_convert_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(CaptureError, match=r"TorchScript|operator|control flow|doesn't have"):
        ns.pack(torch.jit.script(Counts()), tmp_path / "model.nsm", example_inputs=torch.ones(2, 3))
    assert not (tmp_path / "model.nsm").exists()


def test_an_input_of_an_onnx_model_may_be_given_a_value(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node("Cast", ["rate"], ["f"], to=kinds.FLOAT), helper.make_node("Div", ["x", "f"], ["y"])]
    inputs = [
        helper.make_tensor_value_info("x", kinds.FLOAT, ["N", 4]),
        helper.make_tensor_value_info("rate", kinds.INT64, []),
    ]
    output = helper.make_tensor_value_info("y", kinds.FLOAT, ["N", 4])
    imports = [helper.make_opsetid("", 17)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, [output]), opset_imports=imports, ir_version=8)
    path = tmp_path / "model.nsm"
    ns.pack(model, path, input_values={"rate": 16})
    network = ns.load(path)
    assert [given.shape for given in network.inputs] == [("batch", 4)]
    assert network(np.full((1, 4), 8, np.float32)).tolist() == [[0.5] * 4]
    assert [given.name for given in model.graph.input] == ["x", "rate"]
    for values, message in (
        ({"speed": 1}, "input_values='speed' is not allowed.*of the model's inputs: x, rate"),
        ({"rate": 1.5}, r"as the model takes it: int64 of shape \(\)"),
        ({"x": np.zeros((2, 5))}, r"as the model takes it: float32 of shape \(any, 4\)"),
    ):
        with pytest.raises(SettingError, match=message):
            ns.pack(model, path, input_values=values)
    with pytest.raises(SettingError, match="only inputs of ONNX models can be given a value"):
        ns.pack(network_of_rows(), path, example_inputs=torch.zeros(2, 4), input_values={"input": 1})


def test_a_network_may_end_at_other_values_of_an_onnx_model(tmp_path):
    """The selection at the end has an operator that there isn't; what leads up to it packs."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Relu", ["x"], ["scores"]),
        helper.make_node("ArgMax", ["x"], ["best"], axis=1),
        helper.make_node("NonZero", ["scores"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", kinds.FLOAT, ["N", 4])]
    output = helper.make_tensor_value_info("y", kinds.INT64, [2, "found"])
    imports = [helper.make_opsetid("", 17)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, [output]), opset_imports=imports, ir_version=8)
    path, source = tmp_path / "model.nsm", tmp_path / "model.onnx"
    onnx.save(model, source)
    with pytest.raises(CaptureError, match="NonZero") as caught:
        ns.pack(source, path)
    assert "end the network before it (outputs, --outputs)" in caught.value.explanation
    report = ns.pack(source, path, outputs=["best", "scores"])
    assert report.compared_with.startswith("onnxruntime")
    best, scores = ns.load(path)(np.float32([[1, -2, 3, 0]]))
    assert (best.tolist(), scores.tolist()) == ([[2]], [[1, 0, 3, 0]])
    for outputs, message in (
        (["score"], r"outputs='score' is not allowed.*such as \['scores'\]"),
        ([], "names of values that nodes of the model make"),
        ("scores", "names of values that nodes of the model make"),
        (["best", "best"], "each name once"),
    ):
        with pytest.raises(SettingError, match=message):
            ns.pack(source, path, outputs=outputs)
    with pytest.raises(SettingError, match="only values of ONNX models have names to ask for"):
        ns.pack(network_of_rows(), path, example_inputs=torch.zeros(2, 4), outputs=["y"])


def network_of_rows() -> nn.Module:
    return nn.Linear(4, 2)
