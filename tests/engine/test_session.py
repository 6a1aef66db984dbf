"""The engine behind netsurgery.load: results for any threads, arrays of any kind, errors, copies, several threads."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netsurgery as ns
from netsurgery import _native
from netsurgery.errors import (
    FileLimitError,
    FileVersionError,
    InputError,
    NetsurgeryError,
    PackedFileError,
    SettingError,
)
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session


def sparse(generator: np.random.Generator, *shape: int, density: float = 0.2) -> Array:
    return np.where(generator.random(shape) < density, generator.normal(size=shape), 0).astype(np.float32)


def pictures() -> Graph:
    """(n, 3, 24, 24) -> (n, 10): two convolutions, pooling, a layer; large enough that threads share the work."""
    generator = np.random.default_rng(0)
    builder = GraphBuilder()
    value = builder.input("image", ("batch", 3, 24, 24))
    for channels, before in ((32, 3), (32, 32)):
        weight = builder.constant(sparse(generator, channels, before, 3, 3))
        value = builder.node("Relu", [builder.node("Conv", [value, weight], pads=(1, 1, 1, 1))])
    value = builder.node("Reshape", [builder.node("MaxPool", [value], kernel=(2, 2), strides=(2, 2))], shape=(-1, 4608))
    return builder.graph([builder.node("Linear", [value, builder.constant(sparse(generator, 10, 4608))], "scores")])


def layer(inputs: int = 6) -> Graph:
    """(n, inputs) -> (n, 4)."""
    builder = GraphBuilder()
    weight = builder.constant(sparse(np.random.default_rng(1), 4, inputs, density=0.5))
    return builder.graph([builder.node("Linear", [builder.input("x", ("batch", inputs)), weight])])


def normal(*shape: int) -> Array:
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


PICTURES, LAYER = encode(pictures()), encode(layer())


@pytest.mark.parametrize("batch", [1, 3, 16, 33])
def test_results_do_not_depend_on_the_number_of_threads(batch: int) -> None:
    images = normal(batch, 3, 24, 24)
    expected = Session(PICTURES, threads=1)(images)
    for threads in (2, 3, 7):
        session = Session(PICTURES, threads=threads)
        for _ in range(3):
            np.testing.assert_array_equal(session(images), expected)


@pytest.mark.parametrize("batch", [1, 16])
def test_the_engine_gives_what_the_reference_gives(batch: int) -> None:
    images = normal(batch, 3, 24, 24)
    expected = Session(PICTURES, engine="reference")(images)
    # Sums of 27, 288 and 4,608 terms in another order.
    np.testing.assert_allclose(
        Session(PICTURES)(images), expected, rtol=0, atol=(27 + 288 + 4608) * 2.0**-24 * np.abs(expected).max()
    )


def test_threads_are_those_that_were_asked_for_or_one_on_each_core_that_may_be_used() -> None:
    assert Session(LAYER, threads=5).threads == 5
    assert 1 <= (Session(LAYER).threads or 0) <= 256
    assert Session(LAYER, engine="reference").threads is None


def unaligned(array: Array) -> Array:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    moved = np.ndarray(array.shape, np.float32, memory.data, 1)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        unaligned,
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float64),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: memoryview(x),
        lambda x: x.tolist(),
    ],
    ids=["fortran", "unaligned", "other bytes", "float64", "strided", "reversed", "memoryview", "list"],
)
def test_the_same_numbers_give_the_same_result_however_they_lie(change: Any) -> None:
    session, x = Session(LAYER), normal(5, 6)
    np.testing.assert_array_equal(session(change(x)), session(x))
    np.testing.assert_array_equal(session.run({session.inputs[0].name: change(x)})[session.output_names[0]], session(x))


def test_an_input_is_read_only_to_the_engine() -> None:
    x = normal(2, 6)
    before = x.copy()
    x.flags.writeable = False
    Session(LAYER)(x)
    np.testing.assert_array_equal(x, before)


def test_one_array_may_be_several_inputs() -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Mul", [builder.input("a", ("batch", 3)), builder.input("b", ("batch", 3))])])
    x = normal(4, 3)
    np.testing.assert_array_equal(Session(encode(graph))(x, x), x * x)


@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_any_number_of_inputs_and_outputs_the_format_allows_is_taken(count: int) -> None:
    builder = GraphBuilder()
    inputs = [builder.input(f"x{index}", ("batch", 2)) for index in range(count)]
    session = Session(encode(builder.graph([builder.node("Add", [inputs[0], x]) for x in inputs])))
    arrays = [normal(3, 2) * index for index in range(1, count + 1)]
    outputs = session(*arrays)
    for given, array in zip((outputs,) if count == 1 else outputs, arrays, strict=True):
        np.testing.assert_array_equal(given, arrays[0] + array)


def test_an_input_without_axes_is_taken() -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Relu", [builder.input("x", ())])])
    output = Session(encode(graph))(np.float32(3.5))
    assert isinstance(output, np.ndarray)
    assert (output.shape, output.item()) == ((), 3.5)


def test_outputs_are_the_callers_own_and_outlive_the_session() -> None:
    session, x = Session(LAYER), normal(2, 6)
    first, second = session(x), session(x)
    assert isinstance(first, np.ndarray)
    assert isinstance(second, np.ndarray)
    assert not np.shares_memory(first, second)
    assert first.flags.owndata
    assert first.flags.writeable
    kept = second.copy()
    first[...] = 0
    del session
    gc.collect()
    np.testing.assert_array_equal(second, kept)


def test_loading_and_running_read_the_file_once() -> None:
    session = Session(LAYER)
    session(normal(2, 6))
    repr(session)
    assert "packed" not in vars(session)
    assert session.packed is session.packed
    assert session.graph is session.packed.graph


def large() -> Graph:
    """Numbers of rows, and pictures, with more weights than a session keeps: a table, 3 x 3 windows, two layers."""
    generator, builder = np.random.default_rng(3), GraphBuilder()
    table = builder.constant(generator.normal(size=(1000, 64)).astype(np.float32))
    rows = builder.node("Embedding", [builder.input("rows", ("batch", 3), ValueType.INT64), table])
    picture = builder.input("picture", ("batch", 64, 16, 16))
    windows = builder.constant(generator.normal(size=(64, 64, 3, 3)).astype(np.float32))
    value = builder.node("Relu", [builder.node("Conv", [picture, windows], pads=(1, 1, 1, 1))])
    value = builder.node("Reshape", [value], shape=(-1, 64 * 16 * 16))
    full = builder.constant(sparse(generator, 48, 64 * 16 * 16, density=0.5))
    few = builder.constant(sparse(generator, 24, 64 * 16 * 16))
    outputs = [builder.node("Linear", [value, weight]) for weight in (full, few)]
    return builder.graph([rows, *outputs])


def test_weights_that_were_let_go_of_are_there_for_every_size_and_for_sums_that_are_not_finite() -> None:
    content = encode(large())
    session = Session(content, threads=2)
    for batch in (1, 1, 4, 1, 16, 4):
        inputs = (np.arange(3 * batch).reshape(batch, 3) * 17, normal(batch, 64, 16, 16))
        inputs[1][0, 0, 5, 5] = np.nan
        expected = Session(content, threads=2)(*inputs)
        for given, wanted in zip(session(*inputs), expected, strict=True):
            np.testing.assert_array_equal(given, wanted)
        assert np.isfinite(expected[1][1:]).all()


TOLD_BY_THE_SYSTEM = """
import numpy
from netsurgery.graph.ir import GraphBuilder
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session
def told(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells the resident set as Linux does")
def test_a_session_that_has_run_keeps_no_more_than_its_plan_and_the_file() -> None:
    code = """
builder = GraphBuilder()
weight = numpy.random.default_rng(0).normal(size=(2000, 4000)).astype(numpy.float32)
weight[numpy.abs(weight) < 1] = 0
kept = numpy.count_nonzero(weight)
layer = builder.node("Linear", [builder.input("x", ("batch", 4000)), builder.constant(weight)])
content = encode(builder.graph([layer]))
x = numpy.ones((1, 4000), numpy.float32)
del weight, builder
Session(content, threads=1)(x)
before = told("VmRSS:")
sessions = [Session(content, threads=1) for _ in range(4)]
for session in sessions:
    session(x)
print((told("VmRSS:") - before) / 4 / kept)
"""
    done = subprocess.run(
        [sys.executable, "-c", TOLD_BY_THE_SYSTEM + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 10  # bytes: a float and an offset, not another float and a column of 32 bits too


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells the resident set as Linux does")
def test_weights_are_let_go_of_one_by_one_while_the_first_plan_is_made() -> None:
    code = """
layers, side = 8, 1000
builder, random = GraphBuilder(), numpy.random.default_rng(0)
value = builder.input("x", ("batch", side))
for _ in range(layers):
    weight = random.normal(size=(side, side)).astype(numpy.float32)
    value = builder.node("Linear", [value, builder.constant(weight)])
content = encode(builder.graph([value]))
x = numpy.ones((1, side), numpy.float32)
del weight, builder
session = Session(content, threads=1)
open("/proc/self/clear_refs", "w").write("5")
before = told("VmHWM:")
session(x)
print((told("VmHWM:") - before) / (4 * layers * side * side))
"""
    done = subprocess.run(
        [sys.executable, "-c", TOLD_BY_THE_SYSTEM + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.4  # of all weights: those of two layers, where it would be those of all eight


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])  # noqa: S301
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_copy_is_a_session_of_its_own(again: Any, engine: Any) -> None:
    session = Session(LAYER, None if engine == "reference" else 3, engine, ns.Limits(elements=100))
    other, x = again(session), normal(2, 6)
    assert other is not session
    assert (other.engine, other.threads, repr(other)) == (session.engine, session.threads, repr(session))
    expected = session(x)
    del session
    np.testing.assert_array_equal(other(x), expected)


MOST_SECONDS = 120
"""A wait for ever, to a test of what takes less than one."""


def in_threads(*works: Any) -> None:
    """Runs all at the same time; an exception in one of them is raised here, and so is a wait for ever.

    Nobody waits for a thread that hangs, at the interpreter's end neither.
    """
    raised: list[BaseException] = []

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    until = time.monotonic() + MOST_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    if raised:
        raise raised[0]
    assert not any(thread.is_alive() for thread in threads), f"still running after {MOST_SECONDS} seconds"


@pytest.mark.parametrize("shared", [False, True], ids=["own sessions", "one session"])
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_python_get_their_own_results(shared: bool, threads: int) -> None:
    one = Session(PICTURES, threads)
    sessions = [one, one if shared else Session(PICTURES, threads)]
    images = [normal(batch, 3, 24, 24) for batch in (1, 20)]
    expected = [Session(PICTURES, 1)(array) for array in images]

    def work(index: int) -> None:
        for turn in range(40):
            which = (index + turn) % 2
            np.testing.assert_array_equal(sessions[index](images[which]), expected[which])

    in_threads(lambda: work(0), lambda: work(1))


def test_other_threads_of_python_go_on_while_a_network_runs() -> None:
    session, images = Session(PICTURES, threads=1), normal(512, 3, 24, 24)
    session(images)
    running, steps = threading.Event(), 0

    def work() -> None:
        running.set()
        session(images)
        running.clear()

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    while running.is_set():
        steps += 1
        time.sleep(0)
    thread.join()
    assert steps > 100


@pytest.mark.parametrize("threads", [0, -1, 257, 2**40, True, 1.0, "2"])
def test_a_number_of_threads_that_there_can_not_be_is_refused(threads: Any) -> None:
    with pytest.raises(SettingError, match="threads="):
        Session(LAYER, threads=threads)


def test_an_engine_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingError, match="engine='fast' is not allowed: engine must be 'native' or 'reference'"):
        Session(LAYER, engine="fast")  # type: ignore[arg-type]


def test_instructions_that_this_machine_lacks_are_refused_without_blaming_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.nsm").write_bytes(LAYER)
    monkeypatch.setenv("NETSURGERY_ISA", "sse9")
    with pytest.raises(SettingError, match=r"^NETSURGERY_ISA is 'sse9'"):
        ns.load(tmp_path / "model.nsm")


@pytest.mark.parametrize("instructions", _native.available_instructions())
def test_each_instruction_set_gives_the_same_but_for_rounding(
    instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = normal(3, 3, 24, 24)
    expected = Session(PICTURES)(images)
    monkeypatch.setenv("NETSURGERY_ISA", instructions)
    given = Session(PICTURES)(images)
    np.testing.assert_allclose(given, expected, rtol=0, atol=(27 + 288 + 4608) * 2.0**-24 * np.abs(expected).max())


def test_a_batch_that_the_network_contradicts_is_refused_and_others_still_run() -> None:
    builder = GraphBuilder()
    second = builder.node("Slice", [builder.input("x", ("batch", 1))], axis=0, start=1, stop=2)
    session = Session(encode(builder.graph([second])))
    reason = r"can't run at batch 1: batch is 1: it must be at least 2\. \(node 1, Slice: start=1, stop=2 must lie"
    with pytest.raises(InputError, match=reason):
        session(np.ones((1, 1)))
    with pytest.raises(InputError, match=reason):
        session.prepare(batch=1)
    np.testing.assert_array_equal(session(np.array([[1], [2]])), [[2]])


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_only_a_batch_can_be_prepared(batch: Any) -> None:
    session = Session(LAYER)
    session.prepare(batch=7)
    with pytest.raises(SettingError, match="batch="):
        session.prepare(batch=batch)


def test_each_refusal_of_a_file_has_its_exception() -> None:
    for content, error in (
        (b"", PackedFileError),
        (LAYER[:-1], PackedFileError),
        (LAYER[:3] + b"\7" + LAYER[4:], FileVersionError),
    ):
        with pytest.raises(NetsurgeryError) as caught:
            Session(content)
        assert type(caught.value) is error


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_memory_that_there_is_not_is_a_memory_error_and_the_session_stays_whole() -> None:
    builder = GraphBuilder()
    padded = builder.node(
        "Pad", [builder.input("x", ("batch", 4))], pads=(0, 0, 0, 2**27 - 4), mode="constant", value=1.0
    )
    content = encode(builder.graph([builder.node("Mean", [padded], axes=(1,), keepdims=True)]))
    code = f"""
import resource
import numpy
from netsurgery.runtime.session import Session
session = Session({content!r}, threads=1)
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
for _ in range(2):
    try:
        session(numpy.ones((4, 4), numpy.float32))
    except MemoryError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["run a smaller batch, or let this process have more memory"] * 2


def test_a_session_that_lives_until_the_process_ends_leaves_no_word(tmp_path: Path) -> None:
    (tmp_path / "model.nsm").write_bytes(PICTURES)
    code = (
        "import sys, numpy, netsurgery\n"
        "session = netsurgery.load(sys.argv[1], threads=2)\n"
        "session(numpy.ones((40, 3, 24, 24), numpy.float32))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.nsm"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_pruned_connection_carries_nothing_and_a_kept_one_carries_nan_and_infinity() -> None:
    builder = GraphBuilder()
    weight = builder.constant([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    session = Session(encode(builder.graph([builder.node("Linear", [builder.input("x", ("batch", 3)), weight])])))
    given = np.array([[np.nan, 1, np.inf], [1, -np.inf, np.nan]], np.float32)
    np.testing.assert_array_equal(session(given), [[np.nan, 2, 0], [1, -np.inf, 0]])


def without_the_first_input(outputs: int, inputs: int, density: float) -> Array:
    """Whole numbers of this density, so many that they are no planes; those of the first input, and others, are 0."""
    weight = np.random.default_rng(3).integers(1, 1000, (outputs, inputs)).astype(np.float32)
    weight[:, : round((1 - density) * inputs)] = 0
    return weight


@pytest.mark.parametrize("instructions", _native.available_instructions())
@pytest.mark.parametrize("given", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("density", "batch", "dense"), [(0.35, 1, False), (0.35, 16, False), (0.45, 1, True), (0.85, 16, True)]
)
def test_zeros_of_fuller_linear_layers_are_connections_and_to_the_reference_always(
    density: float, batch: int, dense: bool, given: float, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSURGERY_ISA", instructions)
    builder = GraphBuilder()
    weight = builder.constant(without_the_first_input(60, 100, density))
    content = encode(builder.graph([builder.node("Linear", [builder.input("x", ("batch", 100)), weight])]))
    x = np.ones((batch, 100), np.float32)
    x[0, 0] = given
    engine, reference = (np.asarray(Session(content, engine=engine)(x)) for engine in ("native", "reference"))
    assert np.isnan(reference[0]).all()
    assert np.isnan(engine[0]).any() == dense
    np.testing.assert_array_equal(engine[1:], reference[1:])


@pytest.mark.parametrize("instructions", _native.available_instructions())
@pytest.mark.parametrize(("channels", "density", "dense"), [(100, 0.45, False), (20, 0.45, False), (100, 0.95, True)])
def test_zeros_of_convolutions_are_connections_in_nearly_full_ones_and_always_to_the_reference(
    channels: int, density: float, dense: bool, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSURGERY_ISA", instructions)
    builder = GraphBuilder()
    weight = builder.constant(without_the_first_input(60, channels, density).reshape(60, channels, 1, 1))
    content = encode(builder.graph([builder.node("Conv", [builder.input("x", ("batch", channels, 8, 8)), weight])]))
    x = np.ones((1, channels, 8, 8), np.float32)
    x[0, 0, 2, 3] = np.nan
    engine, reference = (np.asarray(Session(content, engine=engine)(x)) for engine in ("native", "reference"))
    assert np.isnan(reference[0, :, 2, 3]).all()
    assert np.isnan(engine[0, :, 2, 3]).any() == dense
    np.testing.assert_array_equal(np.delete(engine, 2, axis=2), np.delete(reference, 2, axis=2))


def after_a_fork(setting: str) -> subprocess.CompletedProcess[str]:
    """What a child prints of `session`, which has been run in the parent, and of a copy of it."""
    code = f"""
import copy, os, signal, sys, threading, time
import numpy
from netsurgery.runtime.session import Session
session = Session({PICTURES!r}, threads=2)
images = numpy.ones((2048, 3, 24, 24), numpy.float32)
expected = session(images[:8])
session.prepare(batch=2048)
{setting}
if os.fork() == 0:
    signal.alarm(60)
    for name, one in (("session", session), ("session", session), ("copy", copy.copy(session))):
        try:
            result = "equal" if (one(images[:8]) == expected).all() else "different"
        except RuntimeError as error:
            result = str(error)
        print(name, result, flush=True)
    del session, one
    os._exit(0)
_, status = os.wait()
stopped = True
for thread in set(threading.enumerate()) - {{threading.current_thread()}}:
    thread.join()
sys.exit(os.waitstatus_to_exitcode(status) or not (session(images[:8]) == expected).all())
"""
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)


RUNNING_ELSEWHERE = """
running = threading.Event()
def work():
    while not stopped:
        running.set()
        session(images)
stopped = False
threading.Thread(target=work).start()
running.wait()
time.sleep(0.02)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that fork")
def test_a_session_works_in_a_child_that_was_forked_while_no_thread_ran_it() -> None:
    done = after_a_fork("")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["session equal", "session equal", "copy equal"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that fork")
def test_a_session_that_another_thread_ran_during_a_fork_is_an_error_in_the_child_and_not_a_wait_for_ever() -> None:
    for _ in range(20):  # a fork that falls between two runs of the thread leaves a session whole, and rightly
        done = after_a_fork(RUNNING_ELSEWHERE)
        assert (done.returncode, done.stderr) == (0, "")
        first, second, copied = done.stdout.splitlines()
        assert (second, copied) == (first, "copy equal")
        if first != "session equal":
            break
    assert re.fullmatch("session another thread was running this session .* load the file again in this .*", first)


def test_whole_numbers_of_numpy_are_numbers_of_threads_and_batch_sizes() -> None:
    session = Session(LAYER, threads=np.int64(2))
    assert session.threads == 2
    session.prepare(batch=np.int32(3))
    with pytest.raises(SettingError, match=r"threads=.*False"):
        Session(LAYER, threads=np.False_)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_limits_of_0_and_below_grant_nothing(engine: Any) -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Mul", [builder.input("x", ()), builder.constant(2.5)])])
    content = encode(graph)
    for one in (1, np.int64(1), 2**70):
        Session(content, engine=engine, limits=ns.Limits(elements=one, value_elements=one))
    for nothing in (0, -1, -(2**70)):
        with pytest.raises(FileLimitError, match=r"raise Limits\.elements"):
            Session(content, engine=engine, limits=ns.Limits(elements=nothing))
        with pytest.raises(FileLimitError, match=r"raise Limits\.value_elements"):
            Session(content, engine=engine, limits=ns.Limits(value_elements=nothing))


def test_a_profile_names_every_product_and_its_useful_work():
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 8))
    weight = np.zeros((4, 8), np.float32)
    weight[:, 0] = [1, 2, 3, 4]
    graph = builder.graph([builder.node("Linear", [x, builder.constant(weight)])])
    steps = Session(encode(graph), 1).profile(np.ones((2, 8), np.float32))
    assert sum(multiply_adds for _, _, _, multiply_adds in steps) == 2 * 4
    assert all(microseconds >= 0 and kind for _, kind, microseconds, _ in steps)
