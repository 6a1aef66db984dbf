"""Weights of other programs fit by their own names, and what doesn't fit is said."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from tests.zoo.torchvision_keys import KEYS, alexnet
from torch import Tensor, nn

from netsurgery import zoo
from netsurgery.errors import DataError
from netsurgery.zoo import ZOO, read_weights
from netsurgery.zoo.namings import NAMINGS
from netsurgery.zoo.weights import _count_differing, _fitted, _shapes

SMALL = (5, 32)  # classes and size of networks that are written to disk


def small() -> nn.Module:
    return zoo.resnet18(*SMALL)


def same(first: nn.Module, second: nn.Module) -> bool:
    others = second.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in first.state_dict().items())


@pytest.mark.parametrize("name", KEYS)
def test_the_names_and_shapes_of_torchvisions_files_are_ours(name: str) -> None:
    theirs = KEYS[name]()
    with torch.device("meta"):
        own = _shapes(ZOO[name].build().state_dict())
        deployed = _shapes(ZOO[name].deployed().state_dict())
        state = {key: torch.empty(shape) for key, shape in theirs.items()}
    assert own == theirs
    assert _count_differing(_shapes(_fitted(state, deployed)), deployed) == 0


def test_torchvisions_alexnet_is_another_network(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.pth"
    torch.save({name: torch.zeros(()).expand(shape) for name, shape in alexnet().items()}, path)
    model = zoo.alexnet()
    before = model.conv1.weight.clone()
    with pytest.raises(DataError, match=r"alexnet\.pth doesn't hold the weights of this AlexNet.*Give a file"):
        read_weights(model, path)
    assert torch.equal(model.conv1.weight, before)


@pytest.mark.parametrize(
    "save",
    [
        lambda state, path: save_file(state, path.with_suffix(".safetensors")),
        lambda state, path: torch.save(state, path.with_suffix(".pth")),
        lambda state, path: torch.save(state, path.with_suffix(".pt"), _use_new_zipfile_serialization=False),
        lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path.with_suffix(".pth")),
        lambda state, path: torch.save({"model": state, "optimizer": {}}, path.with_suffix(".bin")),
        lambda state, path: torch.save({"model": {"state_dict": state}}, path.with_suffix(".ckpt")),
        lambda state, path: torch.save({"state_dict": {"model": {"model": state}}}, path.with_suffix(".pth.tar")),
        lambda state, path: torch.save(state, path.with_suffix(".PTH")),
        lambda state, path: save_file(state, path.with_suffix(".SafeTensors")),
        lambda state, path: save_file(state, path),
        lambda state, path: torch.save(state, path.with_suffix(".safetensors")),
        lambda state, path: torch.save({f"backbone.{key}": value for key, value in state.items()}, path),
        lambda state, path: torch.save({f"module.net.{key}": value for key, value in state.items()}, path),
        lambda state, path: torch.save({f"module.{key}": value for key, value in state.items()}, path),
        lambda state, path: torch.save({f"module._orig_mod.{key}": value for key, value in state.items()}, path),
        lambda state, path: torch.save({key: value for key, value in state.items() if "num_batches" not in key}, path),
    ],
    ids=[
        *("safetensors", "pth", "old pt", "checkpoint", "bin", "nested", "nested twice", "upper case", "mixed case"),
        *("safetensors in pth", "torch in safetensors", "backbone", "net in a wrapper"),
        *("DistributedDataParallel", "compiled", "without counts"),
    ],
)
def test_all_kinds_of_files_are_read(save: Callable[[dict[str, Tensor], Path], None], tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, model = small(), small()
    save(dict(source.state_dict()), tmp_path / "weights.pth")
    (path,) = tmp_path.iterdir()
    assert not same(source, model)
    assert read_weights(model, path) == "netsurgery"
    assert same(source, model)


def test_half_precision_becomes_the_models_type(tmp_path: Path) -> None:
    source, model = small(), small()
    torch.save(source.half().state_dict(), tmp_path / "half.pt")
    read_weights(model, str(tmp_path / "half.pt"))
    assert same(source.float(), model)
    assert model.conv1.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensor: tensor.to(torch.int8), "conv1.weight is of int8, where the model has floats; of a quantized"),
        (lambda tensor: tensor > 0, "conv1.weight is of bool"),
        (lambda tensor: tensor.to(torch.complex64), "conv1.weight is of complex64"),
        (lambda tensor: tensor * float("nan"), "conv1.weight holds NaN or infinity"),
        (lambda tensor: tensor.index_fill(0, torch.tensor([3]), -float("inf")), "conv1.weight holds NaN or infinity"),
        (lambda tensor: tensor.double() * 1e300, "holds NaN or infinity|too large for the model's float32"),
        (lambda tensor: tensor.to_sparse(), "stored as a sparse or quantized tensor"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "stored as a sparse or quantized"),
    ],
    ids=["codes", "mask", "complex", "NaN", "infinity", "too large", "sparse", "quantized"],
)
def test_what_are_no_weights_is_refused_by_name(
    change: Callable[[Tensor], Tensor], says: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    state, model = dict(small().state_dict()), small()
    before = model.conv1.weight.clone()
    torch.save({**state, "conv1.weight": change(state["conv1.weight"])}, tmp_path / "none.pt")
    with pytest.raises(DataError, match=says):
        read_weights(model, tmp_path / "none.pt")
    assert torch.equal(model.conv1.weight, before)


def test_statistics_are_checked_too_and_counts_may_be_of_any_type(tmp_path: Path) -> None:
    state = dict(small().state_dict())
    counts = {name: tensor.half() for name, tensor in state.items() if name.endswith("num_batches_tracked")}
    torch.save({**state, **counts}, tmp_path / "halves.pt")
    model = small()
    read_weights(model, tmp_path / "halves.pt")
    assert model.bn1.num_batches_tracked.dtype == torch.int64
    torch.save({**state, "bn1.running_var": state["bn1.running_var"] * float("nan")}, tmp_path / "none.pt")
    with pytest.raises(DataError, match=r"bn1\.running_var holds NaN or infinity"):
        read_weights(model, tmp_path / "none.pt")


def test_masks_that_are_infinite_in_the_model_may_be_in_the_file(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    model.register_buffer("mask", torch.tensor([0.0, -float("inf")]))
    torch.save(model.state_dict(), tmp_path / "masked.pt")
    assert read_weights(model, tmp_path / "masked.pt") == "netsurgery"


def test_the_prefix_of_the_part_that_fits_is_named(tmp_path: Path) -> None:
    state = {f"model.backbone.{key}": value for key, value in small().state_dict().items()}
    torch.save({**state, "loss.weight": torch.ones(5)}, tmp_path / "more.ckpt")
    with pytest.raises(DataError, match=r"Its keys that begin with 'model\.backbone\.' are those of this network"):
        read_weights(small(), tmp_path / "more.ckpt")


def test_caffes_and_sequential_names_of_alexnet_are_ours() -> None:
    with torch.device("meta"):
        own = zoo.alexnet().state_dict()
    expected = _shapes(own)
    caffe = {re.sub(r"^fc([123])", lambda found: f"fc{int(found[1]) + 5}", key): value for key, value in own.items()}
    places = dict(zip(("conv1", "conv2", "conv3", "conv4", "conv5"), (0, 4, 8, 10, 12), strict=True))
    sequential = {
        f"features.{places[layer]}.{kind}"
        if layer in places
        else f"classifier.{3 * (int(layer[2:]) - 1)}.{kind}": value
        for (layer, kind), value in ((tuple(key.split(".")), value) for key, value in own.items())
    }
    for state in (caffe, sequential):
        fits = [_count_differing(_shapes(_fitted(naming.renamed(state), expected)), expected) for naming in NAMINGS]
        assert min(fits) == 0


def test_heads_of_a_googlenet_are_left_out_where_the_model_has_none(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, images = zoo.googlenet(*SMALL), torch.randn(2, 3, 32, 32)
    torch.save(source.state_dict(), tmp_path / "heads.pt")
    deployed, training = zoo.googlenet(*SMALL, auxiliary=False).eval(), zoo.googlenet(*SMALL)
    read_weights(deployed, tmp_path / "heads.pt")
    assert torch.equal(deployed(images), source.eval()(images))
    read_weights(training, tmp_path / "heads.pt")
    assert same(source, training)
    torch.save(deployed.state_dict(), tmp_path / "none.pt")
    with pytest.raises(DataError, match=r"missing: aux1\.conv\.conv\.weight.* and \d+ more"):
        read_weights(training, tmp_path / "none.pt")


def test_a_file_of_another_network_of_the_zoo_is_named(tmp_path: Path) -> None:
    torch.save(zoo.resnet20().state_dict(), tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"missing: .*It holds those of resnet20: build that network"):
        read_weights(zoo.resnet32(), tmp_path / "other.pt")


def test_other_shapes_are_named(tmp_path: Path) -> None:
    torch.save(zoo.resnet18(7, 32).state_dict(), tmp_path / "seven.pt")
    with pytest.raises(DataError, match=re.escape("fc.weight is (7, 512) in the place of (5, 512)")):
        read_weights(small(), tmp_path / "seven.pt")


class Program:
    """What a hostile file may hold."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (Program(), "isn't unpickled"),
        (small, "isn't unpickled"),
        ([1, 2], "a list was found"),
        ({"weights": 3}, "weights is none"),
        ({"state_dict": {"a": 1, "b": 2}}, "a, b are none"),
        ({3: torch.ones(2), "a": torch.ones(2)}, "and 3 is no name"),
    ],
    ids=["program", "function", "list", "number", "numbers", "names"],
)
def test_what_is_no_state_dict_is_refused(
    content: object, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "hostile.pt")
    with pytest.raises(DataError, match=says):
        read_weights(small(), tmp_path / "hostile.pt")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pt"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"\x80\x02}", bytes(100)])
def test_damaged_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} "):
        read_weights(small(), tmp_path / name)


@pytest.mark.parametrize("name", ["page.pth", "page.CKPT"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no file of torch: it is empty"),
        (b"error: no such file", "is no file of torch: it begins with b'error: no such f'"),
        (b"<!DOCTYPE html><html>", "is no file of torch: it begins with b'<!DOCTYPE html><'"),
        (b"PK\x03\x04 and then nothing", "can't be read as a file of torch (RuntimeError: "),
    ],
)
def test_what_else_a_file_holds_is_said(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=re.escape(says)):
        read_weights(small(), tmp_path / name)


def test_a_mapping_that_holds_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, object] = {"a": 1}
    content["model"] = content
    torch.save(content, tmp_path / "endless.pt")
    with pytest.raises(DataError, match="holds no state dict"):
        read_weights(small(), tmp_path / "endless.pt")


@pytest.mark.parametrize("name", ["missing.pt", "missing.safetensors", "model.caffemodel"])
def test_files_that_are_not_there_or_of_other_kinds_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=name):
        read_weights(small(), tmp_path / name)


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """timm, which imports torchvision; its compiled operators, which no classifier needs, may be for another torch."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    while True:
        found = imported_timm()
        if isinstance(found, ModuleType):
            return found
        library.define(f"{found}(Tensor value) -> Tensor")
        for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "timm")]:
            monkeypatch.delitem(sys.modules, name)


def imported_timm() -> ModuleType | str:
    """The module, or the name of an operator that torchvision lacks. Skips where one of them isn't installed."""
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError:
        pytest.skip("timm and torchvision aren't installed")
    except RuntimeError as error:
        operator = re.search(r"torchvision::(\w+) does not exist", str(error))
        if not operator:
            raise
        return operator[1]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("vgg16", "vgg16"), ("vgg16-bn", "vgg16_bn"), ("resnet18", "resnet18"), ("resnet50", "resnet50")],
)
def test_with_timms_weights_outputs_are_timms(name: str, theirs: str, timm: ModuleType, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model(theirs).eval()
    torch.save(source.state_dict(), tmp_path / "timm.pth")
    model, images = ZOO[name].deployed(), torch.randn(1, 3, 224, 224)
    assert read_weights(model, tmp_path / "timm.pth") == ("timm" if name.startswith("vgg") else "netsurgery")
    expected = source(images)
    assert torch.allclose(model(images), expected, rtol=1e-4, atol=1e-5 * float(expected.detach().abs().max()))
