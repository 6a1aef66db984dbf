"""Models that torch writes as ONNX, read back."""

import warnings

import numpy as np
import pytest

pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from tests.graph.onnx_reading import read_onnx  # noqa: E402

from netsurgery.runtime.reference import run  # noqa: E402


class Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(8)
        self.second = torch.nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x):
        x = torch.nn.functional.silu(self.norm(self.first(x)))
        x = torch.nn.functional.max_pool2d(x + torch.nn.functional.hardswish(self.second(x)), 3, 2, 1)
        x = torch.nn.functional.interpolate(x, scale_factor=2)
        first, second = x.chunk(2, 1)
        return self.head(torch.cat([second, first], 1).mean((2, 3))).softmax(-1)


class Attention(torch.nn.Module):
    """One block of a transformer, written with sizes of its input."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(16)
        self.all = torch.nn.Linear(16, 48)
        self.mlp = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 16))
        self.place = torch.nn.Parameter(torch.randn(1, 10, 16))

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2) + self.place[:, 1:]
        n, t, d = x.shape
        q, k, v = self.all(self.norm(x)).reshape(n, t, 3, 4, d // 4).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + ((q @ k.transpose(-1, -2) / 2).softmax(-1) @ v).transpose(1, 2).reshape(n, t, d)
        return (x + self.mlp(x))[:, 0]


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize(("network", "shape"), [(Residual, (3, 8, 8)), (Attention, (16, 3, 3))])
def test_what_torch_exports_computes_what_torch_computes(network, shape, dynamic, opset, tmp_path):
    torch.manual_seed(3)
    net, x = network().eval(), torch.randn(4, *shape)
    with torch.no_grad():
        for buffer in net.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
        wanted = net(x).numpy()
    path = tmp_path / "net.onnx"
    axes = {"dynamic_axes": {"x": {0: "n"}}} if dynamic else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would like its other exporter to be used
        torch.onnx.export(net, (x,), str(path), dynamo=False, opset_version=opset, input_names=["x"], **axes)
    graph = read_onnx(path)
    assert bool(graph.axes) == dynamic
    (result,) = run(graph, {"x": x.numpy()})
    np.testing.assert_allclose(result, wanted, rtol=0, atol=2e-6 * float(np.abs(wanted).max()) + 1e-6)
