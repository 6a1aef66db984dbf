"""A session runs what a file holds, takes what NumPy takes, and needs NumPy only."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netsurgery as ns
from netsurgery.errors import FileLimitError, FileVersionError, InputError, PackedFileError, SettingError
from netsurgery.graph.ir import Array, Graph, GraphBuilder, Input
from netsurgery.packed.writer import encode
from netsurgery.runtime.reference import run
from netsurgery.runtime.session import Engine, read_packed

ENGINES: tuple[Engine, ...] = ("native", "reference")


def small() -> Graph:
    """(n, 1, 4, 4) -> (n, 3): a convolution, a linear layer."""
    generator = np.random.default_rng(0)
    builder = GraphBuilder()
    image = builder.input("image", ("batch", 1, 4, 4))
    hidden = builder.node(
        "Relu", [builder.node("Conv", [image, builder.constant(generator.normal(size=(2, 1, 3, 3)))])]
    )
    flat = builder.node("Reshape", [hidden], shape=(-1, 8))
    weight, bias = builder.constant(generator.normal(size=(3, 8))), builder.constant([1.0, -2.0, 0.0])
    return builder.graph([builder.node("Linear", [flat, weight, bias])])


def mixed(outputs: int = 3, inputs: int = 4) -> Graph:
    """(n, inputs) -> (n, outputs), where each output depends on all images: the batch can't be cut."""
    builder = GraphBuilder()
    x = builder.input("x", ("batch", inputs))
    weight = builder.constant(np.random.default_rng(0).normal(size=(outputs, inputs)))
    return builder.graph([builder.node("Softmax", [builder.node("Linear", [x, weight])], axis=0)])


def branched() -> Graph:
    """Two inputs; sum, product and the sum again."""
    builder = GraphBuilder()
    a, b = builder.input("a", ("batch", 2)), builder.input("b", ("batch", 2))
    total, product = builder.node("Add", [a, b], "total"), builder.node("Mul", [a, b], "product")
    return builder.graph([total, product, total])


def written(graph: Graph, folder: Path, names: bool = True) -> Path:
    path = folder / "model.nsm"
    path.write_bytes(encode(graph, names=names))
    return path


def ramp(*shape: int) -> Array:
    return np.linspace(-1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize(
    ("engine", "tolerance"),
    # The engine sums in another order: 9 terms twice, each rounding off by 2^-24 of magnitudes that stay below 32 here.
    [("reference", 0.0), ("native", 18 * 2.0**-24 * 32)],
)
def test_a_session_computes_what_the_graph_computes_at_any_batch_size(
    batch: int, names: bool, engine: Engine, tolerance: float, tmp_path: Path
) -> None:
    session = ns.load(written(small(), tmp_path, names), engine=engine)
    assert session.engine == engine
    given = ramp(batch, 1, 4, 4)
    (expected,) = run(small(), {"image": given})
    output = session(given)
    assert isinstance(output, np.ndarray)
    assert np.abs(expected).max() < 32
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(session.run({session.inputs[0].name: given})[session.output_names[0]], output)


@pytest.mark.parametrize("engine", ENGINES)
def test_several_outputs_come_as_a_tuple_one_that_is_given_twice_comes_twice(engine: Engine, tmp_path: Path) -> None:
    session = ns.load(written(branched(), tmp_path), engine=engine)
    a, b = ramp(3, 2), ramp(3, 2) + 1
    outputs = session(a, b)
    assert isinstance(outputs, tuple)
    for given, expected in zip(outputs, (a + b, a * b, a + b), strict=True):
        np.testing.assert_array_equal(given, expected)
    assert session.run({"b": b, "a": a}).keys() == {"total", "product"}


def test_a_session_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    path = written(branched(), tmp_path)
    session = ns.load(path)
    assert session.inputs == (Input("a", ("batch", 2)), Input("b", ("batch", 2)))
    assert session.output_names == ("total", "product", "total")
    assert session.packed.size_bytes == path.stat().st_size
    assert re.fullmatch(
        r"<netsurgery session: a \(batch, 2\), b \(batch, 2\) -> total, product, total, \d+ bytes>", repr(session)
    )


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int64, np.uint8, np.bool_])
def test_numbers_of_other_types_are_made_float32(kind: type[Any], tmp_path: Path) -> None:
    session = ns.load(written(small(), tmp_path))
    given = (10 * ramp(2, 1, 4, 4)).clip(0).astype(kind)
    before = given.copy()
    np.testing.assert_array_equal(session(given), session(given.astype(np.float32)))
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda x: x[::-1], lambda x: x.tolist()])
def test_arrays_of_any_layout_and_lists_are_taken(change: Callable[[Array], Any], tmp_path: Path) -> None:
    session = ns.load(written(small(), tmp_path))
    given = ramp(4, 1, 4, 4)
    np.testing.assert_array_equal(session(change(given)), session(np.array(change(given), np.float32)))


def test_a_session_keeps_nothing_between_calls_nor_hands_out_what_it_holds(tmp_path: Path) -> None:
    session = ns.load(written(small(), tmp_path))
    first = session(ramp(2, 1, 4, 4))
    kept = first.copy()
    first[:] = 0
    session(ramp(5, 1, 4, 4) * 3)
    np.testing.assert_array_equal(session(ramp(2, 1, 4, 4)), kept)


def test_threads_share_a_session(tmp_path: Path) -> None:
    session = ns.load(written(small(), tmp_path))
    given = [ramp(1 + index, 1, 4, 4) * (1 + index) for index in range(8)]
    expected = [session(array) for array in given]
    outputs: list[Any] = [None] * len(given)

    def work(index: int) -> None:
        for _ in range(20):
            outputs[index] = session(given[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], r"0 arrays given; the network takes 2: a, b"),
        ([ramp(1, 2)] * 3, r"3 arrays given; the network takes 2: a, b"),
        ([ramp(1, 2), ramp(1, 3)], r"input 'b' has shape \(1, 3\); \(batch, 2\) is needed"),
        ([ramp(1, 2), ramp(2, 2)], r"input 'b' has size 2 in place 0, where axis 'batch' is; elsewhere that is 1"),
        ([ramp(1, 2), ramp(2)], r"input 'b' has shape \(2,\)"),
        ([ramp(1, 2), np.zeros((0, 2))], r"batch at least 1"),
        ([ramp(1, 2), np.array([["x", "y"]])], r"input 'b' is an array of <U1; numbers are needed"),
        ([ramp(1, 2), np.array([[1j, 2]])], r"input 'b' is an array of complex128; numbers are needed"),
        ([ramp(1, 2), np.array([[None, 2]])], r"input 'b' is an array of object; numbers are needed"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_what_the_network_does_not_take_is_refused_by_name(
    arrays: list[Any], message: str, engine: Engine, tmp_path: Path
) -> None:
    session = ns.load(written(branched(), tmp_path), engine=engine)
    with pytest.raises(InputError, match=message):
        session(*arrays)


def test_torch_tensors_are_taken_whatever_torch_knows_of_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    session = ns.load(written(branched(), tmp_path))
    x = torch.tensor([[1.5, -2.0]])
    wanted = session(x.numpy(), x.numpy())
    for given in (x, x.clone().requires_grad_(), torch.nn.Parameter(x), x.bfloat16(), x.half(), x.double()):
        found = session(given, given)
        assert all(np.array_equal(one, two) for one, two in zip(found, wanted, strict=True))
    with pytest.raises(InputError, match=r"input 'a' is a Tensor that NumPy can't read: .*to_dense"):
        session(x.to_sparse(), x)
    with pytest.raises(InputError, match=r"input 'a' is an array of object; .* call run"):
        session({"a": x}, x)


def test_bytes_are_no_path() -> None:
    with pytest.raises(SettingError, match=r"path='bytes' is not allowed: .* netsurgery.Session takes the bytes"):
        ns.load(b"NSM")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"a": ramp(1, 2)}, r"input 'b' is missing; the network takes 'a', 'b'"),
        ({"a": ramp(1, 2), "b": ramp(1, 2), "c": ramp(1, 2)}, r"input 'c' is unknown; the network takes 'a', 'b'"),
    ],
)
def test_names_that_do_not_fit_are_refused(feeds: dict[str, Array], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        ns.load(written(branched(), tmp_path)).run(feeds)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_refusal_of_a_file_names_it(engine: Engine, tmp_path: Path) -> None:
    path = written(small(), tmp_path)
    content = path.read_bytes()
    for changed, error, message in (
        (b"", PackedFileError, "not an .nsm file"),
        (b"PK\3\4" + content, PackedFileError, "not an .nsm file"),
        (content[:-1], PackedFileError, "damaged or truncated"),
        (content[:3] + b"\xff" + content[4:], FileVersionError, "version 255 .* install a newer netsurgery"),
    ):
        path.write_bytes(changed)
        with pytest.raises(error, match=re.escape(str(path)) + ".*" + message) as caught:
            ns.load(path, engine=engine)
        assert type(caught.value) is error


@pytest.mark.parametrize("name", ["missing.nsm", "."])
def test_what_can_not_be_read_is_a_typed_error_that_names_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(PackedFileError, match=re.escape(str(tmp_path / name)) + " can't be read"):
        read_packed(tmp_path / name)


@pytest.mark.parametrize("engine", ENGINES)
def test_limits_are_the_callers_to_set(engine: Engine, tmp_path: Path) -> None:
    path = written(small(), tmp_path)
    for elements in (10, 0, -3):
        with pytest.raises(FileLimitError, match=re.escape(str(path)) + r".*raise Limits\.elements"):
            ns.load(path, engine=engine, limits=ns.Limits(elements=elements))
    for elements in (5, 0, -3):
        with pytest.raises(FileLimitError, match=r"raise Limits\.value_elements"):
            ns.load(path, engine=engine, limits=ns.Limits(value_elements=elements))
    for elements in (100, 2**40):
        ns.load(path, engine=engine, limits=ns.Limits(elements=elements, value_elements=elements))


def test_loading_and_running_need_numpy_only(
    tmp_path: Path, deployed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = written(small(), tmp_path)
    for engine in ENGINES:
        done = deployed(
            "import numpy, netsurgery\n"
            "session = netsurgery.load(sys.argv[1], engine=sys.argv[2])\n"
            "print(repr(session(numpy.ones((2, 1, 4, 4))).tolist()))\n"
            "assert session.graph.nodes and netsurgery.__version__\n",
            path,
            engine,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == repr(ns.load(path, engine=engine)(np.ones((2, 1, 4, 4))).tolist())


def test_the_deployed_process_of_these_tests_has_no_torch(
    deployed: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    for name in ("torch", "onnx", "rich", "safetensors", "matplotlib"):
        done = deployed(f"import {name}")
        assert f"No module named '{name}'" in done.stderr


def test_any_number_of_batch_sizes_in_any_order_gives_what_each_gives_alone(tmp_path: Path) -> None:
    """Plans of batch sizes that were not seen for long are dropped, and made again."""
    session = ns.load(written(mixed(), tmp_path), engine="native")
    sizes = np.random.default_rng(0).permutation(np.repeat(np.arange(1, 41), 3))
    for size in sizes.tolist():
        given = ramp(size, 4)
        (expected,) = run(mixed(), {"x": given})
        np.testing.assert_allclose(session(given), expected, rtol=1e-5, atol=1e-6)


MEMORY_OF_SIZES = """
import sys, numpy as np, netsurgery as ns
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096
session = ns.load(sys.argv[1], engine="native")
session(np.zeros((1, 1024), np.float32))
before = resident()
for size in range(2, 62): session(np.zeros((size, 1024), np.float32))
print((resident() - before) / 1e6)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from Linux's /proc")
def test_weights_are_not_kept_for_every_batch_size(tmp_path: Path) -> None:
    path = written(mixed(1024, 1024), tmp_path)  # 4.2 MB of weights
    command = [sys.executable, "-c", MEMORY_OF_SIZES, str(path)]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 110  # 16 plans and some room; all 60 would be 250
