"""The library's reader and what a session keeps, beside the specification's reader: the same graph or refusal."""

from __future__ import annotations

import math
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.each_case import each_case
from tests.packed import test_refusals as refusals
from tests.packed.graphs import all_graphs, random_lenet5, whole_numbers
from tests.packed.test_files import GOLDEN, ODD_NAMES, renamed
from tests.packed.test_reader_bounds import begun, far_from_expected, joined, one_output
from tests.packed.test_tensors import TENSORS

from fuzz import engine
from fuzz.checking import SMALL, Finding, check
from fuzz.corpus import corpus
from fuzz.mutations import mutated, with_header
from netsurgery import _native
from netsurgery.errors import FileLimitError, FileVersionError, GraphError, PackedFileError
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.planes import sum_of_planes
from netsurgery.packed.format import Context, Limits, Mask
from netsurgery.packed.reader import decode
from netsurgery.packed.structure import zigzag
from netsurgery.packed.writer import encode

READERS = ("library", "native", "engine")
GRAPHS = all_graphs()
NETWORKS = Path(__file__).parents[2] / "engine" / "tests" / "networks"


def read_as_python_does(content: bytes, limits: Limits | None = None) -> bool:
    """Whether the file is accepted; raises Finding unless both readers say the same."""
    return check(content, READERS, Limits() if limits is None else limits)


@each_case("names", [False, True])
@each_case("name", GRAPHS)
def test_a_graph_comes_back_from_its_file(name: str, names: bool) -> None:
    assert read_as_python_does(encode(GRAPHS[name], names=names))


def test_larger_files_golden_ones_and_the_corpus_are_read() -> None:
    contents = [encode(random_lenet5(0)), *map(bytes.fromhex, GOLDEN.values()), *corpus()]
    assert all(read_as_python_does(content) for content in contents)


@each_case("path", sorted(NETWORKS.glob("*.nsm")), ids=lambda path: path.stem)
def test_each_network_of_the_engines_own_tests_is_read(path: Path) -> None:
    assert read_as_python_does(path.read_bytes())


def test_odd_names_of_inputs_and_outputs_come_back() -> None:
    graph = GRAPHS["several_in_and_out"]
    every = [*(one.name for one in graph.inputs), *(made.output for made in graph.nodes)]
    odd = renamed(graph, dict(zip(every, ODD_NAMES[2:], strict=False)))
    found = _native.read_graph(encode(odd, names=True))
    assert [name for name, _, _ in found["inputs"]] == [one.name for one in odd.inputs]
    assert found["output_names"] == odd.outputs


TWO_NAMES = [
    *("a\nb", "\n ", "é\nb", "\u07ff\n\u0800", "\ud7ff\n\ue000", "\uffff\n\U00010000", "\U0010ffff\nb"),
    "a\x00\na",
]
NOT_TWO_NAMES = ["a", "a\na", "\n", "\n\n", "a\nb\nc"]
NO_TEXTS = [
    *(b"\x80\nb", b"\xc0\x80\nb", b"\xc1\xbf\nb", b"\xe0\x9f\xbf\nb", b"\xed\xa0\x80\nb", b"\xed\xbf\xbf\nb"),
    *(b"\xf0\x8f\xbf\xbf\nb", b"\xf4\x90\x80\x80\nb", b"\xf8\x88\x80\x80\x80\nb", b"\xff\nb", b"a\n\xe2\x82", b"\xc3"),
]


@pytest.mark.parametrize("text", TWO_NAMES)
def test_two_names_are_read_whatever_letters_they_have(text: str) -> None:
    assert read_as_python_does(refusals.written(refusals.named(text.encode())))


@pytest.mark.parametrize("text", [*(text.encode() for text in NOT_TWO_NAMES), *NO_TEXTS])
def test_names_that_are_no_text_or_not_two_are_refused(text: bytes) -> None:
    assert not read_as_python_does(refusals.written(refusals.named(text)))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(tensors=st.lists(TENSORS, min_size=1, max_size=4))
def test_constants_come_back_bit_for_bit_in_the_form_that_suits_them(tensors: list[np.ndarray]) -> None:
    builder = GraphBuilder()
    builder.input("x", ("batch", 2))
    content = encode(builder.graph([builder.node("Relu", [builder.constant(tensor)]) for tensor in tensors]))
    assert read_as_python_does(content)
    for (form, shape, entries), tensor in zip(_native.read_graph(content)["constants"], tensors, strict=True):
        assert shape == tensor.shape
        assert entries.tobytes() == tensor.tobytes()
        rows = tensor.shape[0] if tensor.ndim > 1 else 1
        assert entries.shape == (rows, tensor.size // rows)
        kept = np.count_nonzero(tensor.view(np.uint32))
        assert form == ("sparse" if kept <= 0.6 * tensor.size else "dense") or (form == "planes" and kept)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), planes=st.integers(1, 8), rows=st.integers(1, 4), columns=st.integers(1, 9))
def test_sums_of_planes_round_as_in_python_and_keep_the_sign_of_zero(
    seed: int, planes: int, rows: int, columns: int
) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, (rows, planes), np.uint32)
    bits &= np.uint32(rng.choice([0x80000000, 0xC1FFFFFF, 0xFFFFFFFF]))  # zeros, numbers of moderate size, any
    signs = rng.integers(0, 2, (planes, rows, columns), np.uint8)
    calls = [
        *(*refusals.plus_constant(rows, columns), refusals.integer(Context.PLANE, 0)),
        *(refusals.integer(Context.MASK + 1, Mask.DENSE), refusals.integer(Context.ENCODING + 1, 2)),
        *(refusals.integer(Context.PLANES, planes - 1), *refusals.form(), refusals.table(rows, *bits.reshape(-1))),
        ("plain_bits", signs),
    ]
    content = refusals.written(calls)
    expected = sum_of_planes(bits.view(np.float32), signs)
    assert read_as_python_does(content) == bool(np.isfinite(expected).all())
    if np.isfinite(expected).all():
        [(form, _, entries)] = _native.read_graph(content)["constants"]
        assert (form, entries.tobytes()) == ("planes", expected.tobytes())


def test_sums_of_planes_do_not_depend_on_the_order_of_more_than_two() -> None:
    scales = np.array([[1.0, 2.0**-24, 2.0**-24]], np.float32)  # from the right it would be more than 1
    assert sum_of_planes(scales, np.ones((3, 1, 1), np.uint8))[0, 0] == 1
    entries = refusals.written(
        [
            *refusals.row(refusals.PLANES, refusals.integer(Context.PLANES, 2), *refusals.form()),
            refusals.table(1, *scales.view(np.uint32)[0]),
            ("plain_bits", np.ones((3, 4), np.uint8)),
        ]
    )
    assert _native.read_graph(entries)["constants"][0][2].tolist() == [[1.0] * 4]


@pytest.mark.parametrize("name", refusals.ACCEPTED)
def test_what_is_right_to_the_last_is_accepted(name: str) -> None:
    assert read_as_python_does(refusals.written(refusals.ACCEPTED[name]))


@each_case("name", refusals.DAMAGED)
def test_a_file_that_means_nothing_is_refused_with_the_same_reason(name: str) -> None:
    content = refusals.written(refusals.DAMAGED[name][0])
    with pytest.raises(PackedFileError) as refusal:
        _native.read_graph(content)
    assert refusal.type is PackedFileError
    assert not read_as_python_does(content)


@pytest.mark.parametrize("name", refusals.LIMITED)
def test_a_file_beyond_the_limits_is_refused_with_what_is_allowed(name: str) -> None:
    content = refusals.written(refusals.LIMITED[name][0])
    with pytest.raises(FileLimitError):
        _native.read_graph(content)
    assert not read_as_python_does(content)


def test_a_caller_can_raise_and_lower_the_limits() -> None:
    matrix = refusals.written(refusals.MATRIX)
    value = refusals.written([*refusals.head(2**14, 2**15, nodes=0), *refusals.OUTPUT])
    for content, limits, accepted in [
        (matrix, Limits(elements=2049 * 2048 - 1), False),
        (matrix, Limits(elements=2049 * 2048), True),
        (matrix, Limits(elements=0), False),
        (value, Limits(elements=0, value_elements=2**29), True),
        (value, Limits(value_elements=2**29 - 1), False),
        (value, Limits(value_elements=2**29), True),
    ]:
        assert read_as_python_does(content, limits) == accepted


def test_limits_beyond_all_counting_are_no_overflow() -> None:
    content = refusals.written(refusals.plus_constant(*[2**31 - 1] * 8))
    with pytest.raises(FileLimitError, match="constants of more than 1,152,921,504,606,846,976 entries"):
        _native.read_graph(content, elements=2**63 - 1, value_elements=2**63 - 1)


SMALL_FILE = encode(whole_numbers(), names=True)


def test_truncated_files_and_flipped_bits_are_refused() -> None:
    truncated = [SMALL_FILE[:length] for length in range(len(SMALL_FILE))]
    flipped = []
    for bit in range(8 * len(SMALL_FILE)):
        changed = bytearray(SMALL_FILE)
        changed[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(changed))
    behind = [with_header(SMALL_FILE[8:] + more) for more in (bytes(4), b"\x01" * 4, b"\xff" * 20)]
    assert not any(map(read_as_python_does, [*truncated, *flipped, *behind]))


@pytest.mark.parametrize(("version", "advice"), [(0, "write it again"), (2, "install a newer netsurgery")])
def test_another_version_is_refused_with_what_to_do(version: int, advice: str) -> None:
    with pytest.raises(FileVersionError, match=f"has version {version} of the format; this release reads 1: {advice}"):
        _native.read_graph(SMALL_FILE[:3] + bytes([version]) + SMALL_FILE[4:-5])


def test_mutated_files_are_refused_alike_or_read_alike() -> None:
    accepted = [check(mutated(1, number, corpus()), READERS, SMALL) for number in range(3000)]
    assert 100 < sum(accepted) < 2000


def test_an_engine_that_reads_something_else_or_refuses_for_another_reason_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, bad = corpus()[0], refusals.written(refusals.DAMAGED["choice"][0])
    read = engine.read
    monkeypatch.setattr(engine, "read", lambda content, limits: read(content, limits)[:-1])
    with pytest.raises(Finding, match="different graph"):
        read_as_python_does(good)

    def refuse(content: bytes, limits: Limits) -> None:
        raise PackedFileError("approximate has no choice 3.")

    monkeypatch.setattr(engine, "read", refuse)
    with pytest.raises(Finding, match=r"no choice 2\.; .*no choice 3\."):
        read_as_python_does(bad)


@each_case("batch", [1, 2, 3, 1000, 2**31 - 1])
@each_case("name", GRAPHS)
def test_shapes_follow_the_batch_as_in_python(name: str, batch: int) -> None:
    graph = GRAPHS[name]
    expected = shapes_of(decode(encode(graph)).graph, batch)
    if expected is None:
        with pytest.raises(PackedFileError):
            _native.read_graph(encode(graph), sizes=[batch] * len(graph.axes))
    else:
        assert _native.read_graph(encode(graph), sizes=[batch] * len(graph.axes))["shapes"] == expected


def shapes_of(graph: Graph, batch: int) -> tuple[tuple[int, ...], ...] | None:
    names = [*(one.name for one in graph.inputs), *(made.output for made in graph.nodes), *graph.constants]
    try:
        shapes = graph.shapes(dict.fromkeys(graph.axes, batch))
    except GraphError:
        return None
    possible = all(size < 2**31 and math.prod(shape) <= 2**60 for shape in shapes.values() for size in shape)
    return tuple(shapes[name] for name in names) if possible else None


def said(name: str, *numbers: int, default: bool = True, low: int = 0) -> refusals.Calls:
    """An attribute of so many whole numbers, each written out."""
    calls = [refusals.flag(refusals.attribute(name), True)] if default else []
    calls += [refusals.flag(Context.RANK, True), refusals.integer(Context.RANK, len(numbers))]
    for place, number in enumerate(numbers):
        calls += [refusals.flag(Context.KERNEL, True)] if place else []
        calls.append(refusals.integer(refusals.attribute(name), number - low))
    return calls


def padded(before: int, after: int, mode: int) -> bytes:
    pads = [zigzag(before), zigzag(after)]
    calls = [*refusals.head(3), refusals.operator("Pad"), *refusals.value(), *said("pads", *pads, default=False)]
    calls += [refusals.flag(refusals.attribute("mode"), True), refusals.integer(refusals.attribute("mode"), mode)]
    return refusals.written([*calls, refusals.flag(refusals.attribute("value"), False), *refusals.OUTPUT])


def pooled(kernel: int, stride: int, dilation: int, pads: tuple[int, int], ceil: bool) -> bytes:
    calls = [*refusals.head(1, 1, 5), refusals.operator("MaxPool"), *refusals.value()]
    calls += said("kernel", kernel, default=False, low=1) + said("strides", stride, low=1) + said("pads", *pads)
    calls += [*said("dilations", dilation, low=1), refusals.flag(refusals.attribute("ceil_mode"), ceil)]
    return refusals.written([*calls, *refusals.OUTPUT])


def test_pads_are_refused_just_where_python_refuses_them() -> None:
    sides = range(-4, 5)
    files = [padded(before, after, mode) for before in sides for after in sides for mode in range(4)]
    accepted = [read_as_python_does(content) for content in files]
    assert 100 < sum(accepted) < len(files)


def test_windows_fit_just_as_often_as_in_python() -> None:
    files = [
        pooled(kernel, stride, dilation, pads, ceil)
        for kernel, stride, dilation in product(range(1, 5), range(1, 8), range(1, 4))
        for pads, ceil in product(((0, 0), (1, 0), (0, 2), (2, 3), (6, 1)), (False, True))
    ]
    accepted = [read_as_python_does(content) for content in files]
    assert 100 < sum(accepted) < len(files)


def test_padding_that_would_fill_the_memory_when_run_is_refused() -> None:
    def content(kernel: int) -> bytes:
        calls = [*refusals.head(1, 1, 1, 1), refusals.operator("MaxPool"), *refusals.value()]
        calls += [
            *said("kernel", kernel, kernel, default=False, low=1),
            refusals.flag(refusals.attribute("strides"), False),
        ]
        calls += [*said("pads", kernel - 1, kernel - 1, 0, 0), refusals.flag(refusals.attribute("dilations"), False)]
        return refusals.written([*calls, refusals.flag(refusals.attribute("ceil_mode"), False), *refusals.OUTPUT])

    assert read_as_python_does(content(2**14))
    assert not read_as_python_does(content(2**14 + 1))
    with pytest.raises(FileLimitError, match="maxpool_1's padded input has 3,600,000,000 entries"):
        _native.read_graph(content(60_000))


def growing(times: int) -> bytes:
    """From a value (N,): (N, 1) + (N,) flattened, which has N * N entries; and so on."""
    to = refusals.attribute("shape")
    column = [refusals.flag(to, True), refusals.flag(Context.RANK, False), refusals.integer(to, 0)]
    column += [refusals.flag(Context.KERNEL, True), refusals.integer(to, 2)]
    row = [refusals.flag(to, True), refusals.flag(Context.RANK, True), refusals.integer(Context.RANK, 1)]
    calls = [*refusals.head(1, nodes=3 * times)[:3], refusals.flag(Context.RANK, False)]
    calls.append(refusals.integer(Context.NODE_COUNT, 3 * times))
    for time_ in range(times):
        calls += [refusals.operator("Reshape", "Reshape" if time_ else None), *refusals.value(), *column]
        calls += [refusals.operator("Add", "Reshape"), *refusals.value(), *refusals.value(1)]
        calls += [refusals.operator("Reshape", "Add"), *refusals.value(), *row, refusals.integer(to, 0)]
    return refusals.written([*calls, *refusals.OUTPUT])


def test_shapes_that_grow_beyond_all_numbers_with_the_batch_are_refused() -> None:
    assert _native.read_graph(growing(3), sizes=[2])["shapes"][-1] == (2**8,)
    for times in (4, 5, 6, 7, 64, 10_000):
        with pytest.raises(PackedFileError, match="sizes must be 1 to 2147483647, entries at most 2\\^60"):
            _native.read_graph(growing(times))
        assert not read_as_python_does(growing(times))


@pytest.mark.parametrize("name", ["entries", "beyond", "nodes", "operands", "names", "decisions", "constants", "ties"])
def test_a_small_file_that_declares_much_takes_no_time(name: str) -> None:
    declared = {
        "entries": lambda: refusals.noise(refusals.plus_constant(46_341, 46_341)),
        "beyond": lambda: refusals.noise(refusals.plus_constant(*[2**31 - 1] * 8)),
        "nodes": lambda: refusals.noise(refusals.head(1, nodes=65_536)),
        "operands": lambda: refusals.noise(
            [*refusals.head(1), refusals.operator("Concat"), refusals.integer(Context.OPERAND_COUNT, 262_143)]
        ),
        "names": lambda: refusals.noise(
            [*refusals.head(1, nodes=0, names=True), *refusals.OUTPUT, refusals.integer(Context.NAMES, 2**20 - 1)]
        ),
        "decisions": lambda: far_from_expected(70_000),
        "constants": lambda: joined(65_537, 0),
        "ties": lambda: joined(30_000, 230_000),
    }
    content = declared[name]()
    begin = time.process_time()
    if name == "ties":
        assert _native.read_graph(content)["shapes"][1] == (260_000,)
    else:
        with pytest.raises(PackedFileError):
            _native.read_graph(content, elements=70_000 if name == "decisions" else 0)
    assert time.process_time() - begin < 4


def test_an_empty_structure_is_a_graph_without_nodes() -> None:
    encoder = begun(nodes=0)
    one_output(encoder)
    found = _native.read_graph(with_header(encoder.finish()))
    assert (found["nodes"], found["outputs"], found["output_names"]) == ((), (0,), ("input",))
