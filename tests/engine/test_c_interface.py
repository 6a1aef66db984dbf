"""The C interface, called as from C: results are Python's, every failure is a status and a sentence."""

from __future__ import annotations

import ctypes as c
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.packed.graphs import masked, multiples, words

import netsurgery as ns
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session

OK, ARGUMENT, UNREADABLE, FILE, VERSION, LIMIT, INPUT, MEMORY, INSTRUCTIONS = range(9)


class Options(c.Structure):
    _fields_ = (("threads", c.c_int), ("elements", c.c_int64), ("value_elements", c.c_int64))


class Shape(c.Structure):
    _fields_ = (("rank", c.c_int), ("sizes", c.c_int64 * 8))

    @property
    def tuple(self) -> tuple[int, ...]:
        return tuple(self.sizes[: self.rank])


@pytest.fixture(scope="module")
def library(library_folder: Path) -> c.CDLL:
    library = c.CDLL(str(library_folder / "libnetsurgery.so"))
    for name in ("ns_axis_name", "ns_input_name", "ns_output_name", "ns_last_error", "ns_instructions", "ns_version"):
        getattr(library, name).restype = c.c_char_p
    for name in ("ns_axis_least", "ns_axis_step"):
        getattr(library, name).restype = c.c_int64
    session, number, pointer = c.c_void_p, c.c_int, c.c_void_p
    for name, arguments in {
        "ns_load": [c.c_char_p, c.c_size_t, pointer, pointer],
        "ns_load_path": [c.c_char_p, pointer, pointer],
        "ns_free": [session],
        "ns_input_count": [session],
        "ns_output_count": [session],
        "ns_input_name": [session, number],
        "ns_output_name": [session, number],
        "ns_input_shape": [session, number, pointer],
        "ns_input_type": [session, number, pointer],
        "ns_output_type": [session, number, pointer],
        "ns_axis_count": [session],
        "ns_axis_name": [session, number],
        "ns_axis_least": [session, number],
        "ns_axis_step": [session, number],
        "ns_output_shape": [session, pointer, number, pointer],
        "ns_output_entries": [session, number, pointer],
        "ns_set_threads": [session, number],
        "ns_threads": [session],
        "ns_prepare": [session, pointer],
        "ns_run": [session, pointer, pointer, pointer],
    }.items():
        getattr(library, name).argtypes = arguments
    return library


@pytest.fixture
def load(library: c.CDLL) -> Callable[..., c.c_void_p]:
    """Loads bytes; the status has to be NS_OK."""

    def loaded(content: bytes, threads: int = 1) -> c.c_void_p:
        session = c.c_void_p()
        status = library.ns_load(content, len(content), c.byref(Options(threads)), c.byref(session))
        assert status == OK, library.ns_last_error()
        return session

    return loaded


def layers(batch: int | str = "batch") -> Graph:
    """(n, 6) -> (n, 4), weights half zero; the input is called "x", the output "scores"."""
    generator = np.random.default_rng(0)
    weight = np.where(generator.random((4, 6)) < 0.5, generator.normal(size=(4, 6)), 0)
    builder = GraphBuilder()
    return builder.graph([builder.node("Linear", [builder.input("x", (batch, 6)), builder.constant(weight)], "scores")])


def from_two_on() -> Graph:
    """(n, 2) -> its second row, where n is at least 2."""
    builder = GraphBuilder()
    return builder.graph([builder.node("Slice", [builder.input("a", ("batch", 2))], axis=0, start=1, stop=2)])


CONTENT = encode(layers(), names=True)


def sizes(*given: int) -> c.Array[c.c_int64]:
    return (c.c_int64 * len(given))(*given)


def run(library: c.CDLL, session: c.c_void_p, batch: int, inputs: list[Array], outputs: list[Array]) -> int:
    def addresses(arrays: list[Array]) -> c.Array[c.c_void_p]:
        return (c.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))

    status: int = library.ns_run(session, sizes(batch), addresses(inputs), addresses(outputs))
    return status


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_results_are_those_of_python_bit_for_bit(
    batch: int, threads: int, library: c.CDLL, load: Callable[..., c.c_void_p], tmp_path: Path
) -> None:
    (tmp_path / "model.nsm").write_bytes(CONTENT)
    x = np.random.default_rng(batch).normal(size=(batch, 6)).astype(np.float32)
    session, output = load(CONTENT, threads), np.full((batch, 4), np.nan, np.float32)
    assert library.ns_prepare(session, sizes(batch)) == OK
    assert run(library, session, batch, [x], [output]) == OK
    library.ns_free(session)
    np.testing.assert_array_equal(output, ns.load(tmp_path / "model.nsm")(x))


def test_a_session_says_what_it_takes_and_gives(library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session, shape = load(CONTENT, 3), Shape()
    assert (library.ns_input_count(session), library.ns_output_count(session)) == (1, 1)
    assert (library.ns_input_name(session, 0), library.ns_output_name(session, 0)) == (b"x", b"scores")
    assert library.ns_input_shape(session, 0, c.byref(shape)) == OK
    assert shape.tuple == (-1, 6)
    assert library.ns_output_shape(session, sizes(5), 0, c.byref(shape)) == OK
    assert shape.tuple == (5, 4)
    assert library.ns_threads(session) == 3
    assert library.ns_set_threads(session, 2) == OK
    assert library.ns_threads(session) == 2
    library.ns_free(session)


def test_a_fixed_batch_needs_none(library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session, shape = load(encode(layers(3))), Shape()
    x, output = np.ones((3, 6), np.float32), np.zeros((3, 4), np.float32)
    for batch in (0, -7, 3):
        assert library.ns_output_shape(session, sizes(batch), 0, c.byref(shape)) == OK
        assert shape.tuple == (3, 4)
        assert library.ns_prepare(session, sizes(batch)) == OK
        assert run(library, session, batch, [x], [output]) == OK
    library.ns_free(session)
    np.testing.assert_allclose(
        output, x @ next(iter(layers().constants.values())).values.T, rtol=0, atol=12 * 2.0**-24 * 8
    )


def test_outputs_of_each_type_are_told_and_given_as_such(library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    content = encode(masked())
    session, kind = load(content), c.c_int(-1)
    types = []
    for index in range(library.ns_output_count(session)):
        assert library.ns_output_type(session, index, c.byref(kind)) == OK
        types.append(kind.value)
    assert types == [one.code for one in (ValueType.INT64, ValueType.BOOL, ValueType.FLOAT32)]
    assert library.ns_output_type(session, 3, c.byref(kind)) == ARGUMENT
    assert library.ns_output_type(None, 0, c.byref(kind)) == ARGUMENT
    ids = np.arange(12).reshape(3, 4) % 9
    wanted = Session(content)(ids)
    found = [np.zeros_like(one) for one in wanted]
    arrays = (c.c_void_p * 1)(ids.ctypes.data), (c.c_void_p * 3)(*(one.ctypes.data for one in found))
    assert library.ns_run(session, sizes(3, 4), *arrays) == OK
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    ids[1, 2] = 10  # one too far for the table, once it is moved
    assert library.ns_run(session, sizes(3, 4), *arrays) == INPUT
    assert library.ns_last_error() == b"node 5, Embedding: index 9 is none of 9 places: 0 to 8 are, or -9 to -1."
    library.ns_free(session)


def test_axes_and_types_are_told_and_whole_numbers_looked_up(library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session, shape, kind = load(encode(words(), names=True)), Shape(), c.c_int(-1)
    assert library.ns_axis_count(session) == 2
    assert [library.ns_axis_name(session, axis) for axis in (-1, 0, 1, 2)] == [None, b"batch", b"time", None]
    assert [library.ns_axis_least(session, axis) for axis in (-1, 0, 1, 2)] == [0, 1, 1, 0]
    assert [library.ns_axis_step(session, axis) for axis in (-1, 0, 1, 2)] == [0, 1, 1, 0]
    assert library.ns_input_shape(session, 0, c.byref(shape)) == OK
    assert shape.tuple == (-1, -2)
    assert library.ns_input_type(session, 0, c.byref(kind)) == OK
    assert kind.value == ValueType.INT32.code
    assert library.ns_output_shape(session, sizes(3, 4), 0, c.byref(shape)) == OK
    assert shape.tuple == (3, 4, 5)
    ids, output = np.arange(12, dtype=np.int32).reshape(3, 4) % 9, np.zeros((3, 4, 5), np.float32)
    addresses = [(c.c_void_p * 1)(array.ctypes.data) for array in (ids, output)]
    assert library.ns_prepare(session, sizes(3, 4)) == OK
    assert library.ns_run(session, sizes(3, 4), *addresses) == OK
    np.testing.assert_array_equal(output, Session(encode(words()))(ids))
    ids[2, 1] = 9
    assert library.ns_run(session, sizes(3, 4), *addresses) == INPUT
    assert b"input 'ids': 9 at place (2, 1) is none of the table's 9 rows" in library.ns_last_error()
    assert library.ns_prepare(session, None) == ARGUMENT
    assert library.ns_last_error() == b"sizes is NULL."
    library.ns_free(session)


def test_an_output_says_which_one_tells_how_many_entries_it_has(
    library: c.CDLL, load: Callable[..., c.c_void_p]
) -> None:
    builder = GraphBuilder()
    x, count = builder.input("x", (2, 5)), builder.input("count", (1,), ValueType.INT64)
    nodes = [
        builder.node("FirstEntries", [x, builder.node("Reshape", [count], "many", shape=(1,))], "some", axis=1),
        builder.node("Relu", [x], "all"),
    ]
    session, axis = load(encode(builder.graph(["all", nodes[0], "many"]), names=True)), c.c_int(-1)
    assert [library.ns_output_entries(session, output, c.byref(axis)) for output in (-1, 0, 2, 3)] == [-1] * 4
    assert axis.value == -1
    assert library.ns_output_entries(session, 1, c.byref(axis)) == 2
    assert library.ns_output_entries(session, 1, None) == 2
    assert axis.value == 1
    library.ns_free(session)


def test_axes_that_take_multiples_only_say_so(library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session = load(encode(multiples(), names=True))
    assert [library.ns_axis_least(session, axis) for axis in range(3)] == [1, 4, 8]
    assert [library.ns_axis_step(session, axis) for axis in range(3)] == [1, 4, 8]
    assert library.ns_prepare(session, sizes(2, 8, 24)) == OK
    assert library.ns_prepare(session, sizes(2, 8, 20)) == INPUT
    assert library.ns_last_error() == (
        b"the network can't run at batch 2, height 8, width 20: width is 20: it must be a multiple of 8, at least 8."
    )
    library.ns_free(session)


def test_versions_agree(library: c.CDLL) -> None:
    assert library.ns_version().decode() == ns.__version__
    assert library.ns_instructions() in (b"avx512", b"avx2", b"neon", b"portable")


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (lambda _: b"", FILE, "not an .nsm file"),
        (lambda content: b"PK\3\4" + content, FILE, "not an .nsm file"),
        (lambda content: content[:6], FILE, "ends within its header"),
        (lambda content: content[:-1], FILE, "damaged or truncated"),
        (lambda content: content[:3] + b"\xff" + content[4:], VERSION, "install a newer netsurgery"),
    ],
)
def test_a_file_that_can_not_be_read_is_refused_by_both_ways_to_load(
    change: Callable[[bytes], bytes], status: int, message: str, library: c.CDLL, tmp_path: Path
) -> None:
    content, path, session = change(CONTENT), tmp_path / "model.nsm", c.c_void_p(1)
    path.write_bytes(content)
    assert library.ns_load(content, len(content), None, c.byref(session)) == status
    assert message in library.ns_last_error().decode()
    assert session.value is None
    session = c.c_void_p(1)
    assert library.ns_load_path(str(path).encode(), None, c.byref(session)) == status
    assert library.ns_last_error().decode().startswith(f"{path}: ")
    assert message in library.ns_last_error().decode()
    assert session.value is None


@pytest.mark.parametrize("name", ["missing.nsm", "."])
def test_a_path_that_the_system_can_not_read_is_named(name: str, library: c.CDLL, tmp_path: Path) -> None:
    session = c.c_void_p(1)
    path = str(tmp_path / name).encode()
    assert library.ns_load_path(path, None, c.byref(session)) == UNREADABLE
    assert library.ns_last_error().startswith(path + b" can't be read: ")
    assert session.value is None


def test_a_file_of_more_than_one_read_is_read_whole(library: c.CDLL, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    builder = GraphBuilder()
    weight = builder.constant(generator.normal(size=(250, 200)))
    content = encode(builder.graph([builder.node("Linear", [builder.input("x", ("batch", 200)), weight])]))
    assert len(content) > 2 * 2**16
    (tmp_path / "model.nsm").write_bytes(content)
    session = c.c_void_p()
    assert library.ns_load_path(str(tmp_path / "model.nsm").encode(), None, c.byref(session)) == OK
    library.ns_free(session)


@pytest.mark.parametrize(("options", "field"), [(Options(1, 23, 0), "elements"), (Options(1, 0, 5), "value_elements")])
def test_limits_are_the_callers_to_set(options: Options, field: str, library: c.CDLL) -> None:
    session = c.c_void_p()
    assert library.ns_load(CONTENT, len(CONTENT), c.byref(options), c.byref(session)) == LIMIT
    assert f"raise the limit of {field}" in library.ns_last_error().decode()
    wider = Options(1, max(24, 2**63 - 1), 2**63 - 1)
    assert library.ns_load(CONTENT, len(CONTENT), c.byref(wider), c.byref(session)) == OK
    library.ns_free(session)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(-1), "threads is -1; 1 to 256 are allowed"),
        (Options(257), "threads is 257; 1 to 256 are allowed"),
        (Options(1, -1), "elements is -1; it can't be negative"),
        (Options(1, 0, -5), "value_elements is -5; it can't be negative"),
    ],
)
def test_options_outside_their_range_are_refused(options: Options, message: str, library: c.CDLL) -> None:
    session = c.c_void_p(1)
    assert library.ns_load(CONTENT, len(CONTENT), c.byref(options), c.byref(session)) == ARGUMENT
    assert message in library.ns_last_error().decode()
    assert session.value is None


def test_null_is_refused_wherever_something_is_needed(library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session, made, shape = load(CONTENT), c.c_void_p(), Shape()
    x, output = np.ones((1, 6), np.float32), np.zeros((1, 4), np.float32)
    one, none = (c.c_void_p * 1)(x.ctypes.data), (c.c_void_p * 1)(None)
    other = (c.c_void_p * 1)(output.ctypes.data)
    for status in (
        library.ns_load(None, 5, None, c.byref(made)),
        library.ns_load(CONTENT, len(CONTENT), None, None),
        library.ns_load_path(None, None, c.byref(made)),
        library.ns_load_path(b"model.nsm", None, None),
        library.ns_input_shape(None, 0, c.byref(shape)),
        library.ns_input_shape(session, 0, None),
        library.ns_input_type(None, 0, c.byref(shape)),
        library.ns_output_shape(None, sizes(1), 0, c.byref(shape)),
        library.ns_output_shape(session, 1, 0, None),
        library.ns_set_threads(None, 1),
        library.ns_prepare(None, sizes(1)),
        library.ns_run(None, sizes(1), one, other),
        library.ns_run(session, 1, None, other),
        library.ns_run(session, 1, one, None),
        library.ns_run(session, 1, none, other),
        library.ns_run(session, 1, one, none),
    ):
        assert status == ARGUMENT
        assert b"NULL" in library.ns_last_error()
    assert not output.any()
    assert library.ns_input_count(None) == library.ns_output_count(None) == library.ns_threads(None) == 0
    assert library.ns_input_name(None, 0) is library.ns_output_name(None, 0) is None
    library.ns_free(None)
    library.ns_free(session)


@pytest.mark.parametrize("index", [-1, 1, 2**31 - 1, -(2**31)])
def test_a_place_that_does_not_exist_is_refused(index: int, library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session, shape = load(CONTENT), Shape()
    assert library.ns_input_shape(session, index, c.byref(shape)) == ARGUMENT
    assert f"there is no input {index}: the network has 1" in library.ns_last_error().decode()
    assert library.ns_output_shape(session, 1, index, c.byref(shape)) == ARGUMENT
    assert library.ns_input_name(session, index) is library.ns_output_name(session, index) is None
    library.ns_free(session)


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_a_number_of_threads_that_there_can_not_be_changes_nothing(
    threads: int, library: c.CDLL, load: Callable[..., c.c_void_p]
) -> None:
    session = load(CONTENT, 2)
    assert library.ns_set_threads(session, threads) == ARGUMENT
    assert f"threads is {threads}; 1 to 256 are allowed." in library.ns_last_error().decode()
    assert library.ns_threads(session) == 2
    library.ns_free(session)


@pytest.mark.parametrize("batch", [0, -1, -(2**63)])
def test_a_batch_that_there_can_not_be_is_refused(batch: int, library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session, shape = load(CONTENT), Shape()
    x, output = np.ones((1, 6), np.float32), np.zeros((1, 4), np.float32)
    for status in (
        library.ns_output_shape(session, sizes(batch), 0, c.byref(shape)),
        library.ns_prepare(session, sizes(batch)),
        run(library, session, batch, [x], [output]),
    ):
        assert status == INPUT
        assert f"batch is {batch}: it must be at least 1." in library.ns_last_error().decode()
    assert not output.any()
    library.ns_free(session)


def test_a_batch_that_the_network_contradicts_is_refused(library: c.CDLL, load: Callable[..., c.c_void_p]) -> None:
    session = load(encode(from_two_on()))
    assert library.ns_prepare(session, sizes(1)) == INPUT
    assert "can't run at batch 1" in library.ns_last_error().decode()
    library.ns_free(session)


def test_instructions_that_this_machine_lacks_are_refused(library: c.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSURGERY_ISA", "sse9")
    session = c.c_void_p(1)
    assert library.ns_load(CONTENT, len(CONTENT), None, c.byref(session)) == INSTRUCTIONS
    assert "NETSURGERY_ISA is 'sse9'" in library.ns_last_error().decode()
    assert session.value is None
    assert library.ns_instructions() is None


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_memory_that_there_is_not_is_a_status_and_the_session_stays_whole(library_folder: Path) -> None:
    """In a process of 1 GiB, a network that needs as much between two of its nodes."""
    builder = GraphBuilder()
    padded = builder.node("Pad", [builder.input("x", (1, 4))], pads=(0, 0, 0, 2**28 - 4), mode="constant", value=1.0)
    content = encode(builder.graph([builder.node("Mean", [padded], axes=(1,), keepdims=True)]))
    code = f"""
import ctypes, resource
library = ctypes.CDLL({str(library_folder / "libnetsurgery.so")!r})
library.ns_last_error.restype = ctypes.c_char_p
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
content, session = {content!r}, ctypes.c_void_p()
assert library.ns_load(content, ctypes.c_size_t(len(content)), None, ctypes.byref(session)) == {OK}
for _ in range(2):
    assert library.ns_prepare(session, ctypes.c_int64(1)) == {MEMORY}
    assert library.ns_last_error() == b"out of memory."
assert library.ns_input_count(session) == 1
library.ns_free(session)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_last_error_is_that_of_the_calling_thread(library: c.CDLL) -> None:
    seen: list[bytes] = []

    def fail(path: bytes) -> None:
        library.ns_load_path(path, None, c.byref(c.c_void_p()))
        seen.append(library.ns_last_error())

    def never_failed() -> None:
        seen.append(library.ns_last_error())

    fail(b"here.nsm")
    for work in (never_failed, lambda: fail(b"there.nsm")):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    seen.append(library.ns_last_error())
    assert [text.partition(b".")[0] for text in seen] == [b"here", b"", b"there", b"here"]


def test_a_sentence_that_is_too_long_ends_with_a_whole_letter(library: c.CDLL) -> None:
    for extra in range(3):
        path = b"x" * extra + "€".encode() * 2000
        assert library.ns_load_path(path, None, c.byref(c.c_void_p())) == UNREADABLE
        assert path.startswith(library.ns_last_error().decode().encode())
        assert len(library.ns_last_error()) > 1000
