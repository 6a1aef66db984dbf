"""Graphs as exporters of TensorFlow, PyTorch and old frameworks write them, at many sizes, beside ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import numpy_helper, parser  # noqa: E402
from tests.graph.onnx_reading import onnx_runtime_outputs, read_onnx  # noqa: E402

import netsurgery as ns  # noqa: E402
from netsurgery.errors import CaptureError, InputError, UnsupportedOperatorError  # noqa: E402
from netsurgery.graph.passes import simplify  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run_node  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

RANDOM = np.random.default_rng(5)
PICTURES = [(2, 3, height, width) for height, width in ((7, 7), (8, 8), (12, 13), (13, 12), (30, 41), (101, 100))]
PICTURE = "g (float[B,3,H,W] x) => (float[B,C,u,v] y)"


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def model(text: str, opset: int = 17, **constants: np.ndarray) -> Any:
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return made


def assert_as_onnx_runtime(made: Any, every: Sequence[Sequence[np.ndarray]]) -> None:
    session = Session(encode(simplify(read_onnx(made), run_node)), threads=1)
    names = [given.name for given in made.graph.input]
    for arrays in every:
        wanted = onnx_runtime_outputs(made, dict(zip(names, arrays, strict=True)))
        given = session(*arrays)
        for mine, theirs in zip(given if isinstance(given, tuple) else (given,), wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4, strict=True)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (2, 2), (3, 2), (5, 2), (3, 3), (2, 3)])
def test_windows_of_strides_are_padded_as_sizes_ask_for_it(kernel: int, stride: int, auto: str) -> None:
    """TensorFlow pads odd sizes otherwise than even ones."""
    node = f'y = Conv<strides=[{stride},{stride}], auto_pad="{auto}">(x, w)'
    made = model(f"{PICTURE} {{ {node} }}", w=floats(2, 3, kernel, kernel))
    assert_as_onnx_runtime(made, [[floats(*shape)] for shape in PICTURES])


@pytest.mark.parametrize("node", ["MaxPool<", "AveragePool<", "AveragePool<count_include_pad=1, "])
def test_pools_of_strides_are_padded_as_sizes_ask_for_it(node: str) -> None:
    text = f'{PICTURE} {{ y = {node}kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER">(x) }}'
    assert_as_onnx_runtime(model(text), [[floats(*shape)] for shape in PICTURES])


def test_layers_behind_each_other_are_padded_as_their_own_sizes_ask_for_it() -> None:
    text = f"""{PICTURE} {{
        a = Conv<strides=[2,2], auto_pad="SAME_UPPER">(x, w)
        b = Relu(a)
        y = Conv<strides=[2,2], auto_pad="SAME_UPPER", group=2>(b, v)
    }}"""
    made = model(text, w=floats(2, 3, 3, 3), v=floats(2, 1, 5, 5))
    assert_as_onnx_runtime(made, [[floats(*shape)] for shape in PICTURES])


def test_sounds_are_padded_as_their_length_asks_for_it() -> None:
    text = 'g (float[B,3,T] x) => (float[B,2,u] y) { y = Conv<strides=[2], auto_pad="SAME_UPPER">(x, w) }'
    assert_as_onnx_runtime(model(text, w=floats(2, 3, 3)), [[floats(2, 3, time)] for time in (3, 4, 11, 100)])


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_a_table_of_positions_is_resized_to_the_picture(mode: str) -> None:
    text = f"""g (float[B,4,H,W] x) => (float[B,4,H,W] y) {{
        hw = Shape<start=2>(x)
        size = Concat<axis=0>(front, hw)
        table = Resize<mode="{mode}">(positions,,,size)
        y = Add(x, table)
    }}"""
    made = model(text, front=np.array([1, 4]), positions=floats(1, 4, 7, 7))
    assert_as_onnx_runtime(made, [[floats(2, 4, *size)] for size in ((7, 7), (5, 9), (14, 14), (20, 33))])


@pytest.mark.parametrize("opset", [9, 13])
def test_a_batch_norm_that_names_its_training_outputs_is_refused(opset: int) -> None:
    constants = {name: floats(3) for name in "sbm"} | {"v": abs(floats(3))}
    text = f"{PICTURE} {{ y, m1, v1, m2, v2 = BatchNormalization<momentum=0.9>(x, s, b, m, v) }}"
    with pytest.raises(UnsupportedOperatorError, match="BatchNormalization is in training mode"):
        read_onnx(model(text, opset, **constants))
    text = f"{PICTURE} {{ y = BatchNormalization<momentum=0.9>(x, s, b, m, v) }}"
    assert_as_onnx_runtime(model(text, opset, **constants), [[floats(2, 3, 5, 5)]])


def test_the_last_token_by_the_sum_of_a_mask() -> None:
    text = """g (float[B,S,4] x, int64[B,S] mask) => (float[B,4] y) {
        count = ReduceSum<keepdims=0>(mask, axis)
        last = Sub(count, one)
        place = Unsqueeze(last, axis)
        y = GatherND<batch_dims=1>(x, place)
    }"""
    made = model(text, 13, axis=np.array([1]), one=np.int64(1))
    masks = [(np.arange(time) <= RANDOM.integers(0, time, (2, 1))).astype(np.int64) for time in (1, 5, 17)]
    assert_as_onnx_runtime(made, [[floats(2, mask.shape[1], 4), mask] for mask in masks])


@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_sums_and_extremes_of_whole_numbers(kind: str) -> None:
    text = f"""g ({kind}[B,S,3] x) => ({kind}[B,1,3] a, {kind}[B,3] b, {kind} c, {kind}[S] d) {{
        a = ReduceMax<axes=[1]>(x)
        b = ReduceMin<axes=[1], keepdims=0>(x)
        c = ReduceSum<keepdims=0>(x)
        d = ReduceSum<keepdims=0>(x, axes)
    }}"""
    made = model(text, 13, axes=np.array([0, 2]))
    assert_as_onnx_runtime(made, [[RANDOM.integers(-9, 9, (2, time, 3)).astype(kind)] for time in (1, 5, 17)])


def test_magnitudes_and_squares_of_whole_numbers_are_summed_up() -> None:
    text = """g (int32[B,S,3] x) => (int32[B,1,3] a, int32[S] b, int32[B,S,3] c, int32[B,S,3] d) {
        a = ReduceL1(x, one)
        b = ReduceSumSquare<keepdims=0>(x, others)
        c = Relu(x)
        d = BitwiseNot(x)
    }"""
    made = model(text, 18, one=np.array([1]), others=np.array([0, 2]))
    large = 2**12 + 1  # of which floats don't hold the sums of squares
    assert_as_onnx_runtime(
        made, [[RANDOM.integers(-large, large, (2, time, 3)).astype("int32")] for time in (1, 5, 17)]
    )


@pytest.mark.parametrize("way", ["Min(n, k)", "ReduceMin<axes=[0]>(both)"])
def test_the_best_ones_are_no_more_than_there_are(way: str) -> None:
    text = f"""g (float[B,S] x) => (float[B,q] y) {{
        shape = Shape(x)
        n = Slice(shape, one, two)
        both = Concat<axis=0>(n, k)
        count = {way}
        y, places = TopK(x, count)
    }}"""
    made = model(text, 13, k=np.array([30]), one=np.array([1]), two=np.array([2]))
    assert_as_onnx_runtime(made, [[floats(2, size)] for size in (5, 29, 30, 31, 90)])


def test_what_may_come_in_any_order_comes_ranked(tmp_path: Path) -> None:
    made = model("g (float[B,40] x) => (float[B,2] y) { y, places = TopK<sorted=0>(x, k) }", 13, k=np.array([2]))
    ns.pack(made, tmp_path / "n.nsm")
    x = floats(3, 40)
    np.testing.assert_array_equal(ns.load(tmp_path / "n.nsm")(x), -np.sort(-x, 1)[:, :2])
    assert made.graph.node[0].attribute[0].i == 0


@pytest.mark.parametrize(
    "text",
    [
        "n = Shape<start=1>(x) s = Slice(x, zero, ten, one) y = ReduceSum<keepdims=0>(s, one)",
        "s = Slice(x, minus, most, one) y = Relu(s)",
    ],
)
def test_what_is_cut_beyond_the_sizes_that_were_read_is_cut(text: str) -> None:
    numbers = {"zero": 0, "ten": 200, "one": 1, "minus": -150, "most": 2**62}
    made = model(
        f"g (float[B,T,2] x) => (float[B,u,v] y) {{ {text} }}" if "Relu" in text else
        f"g (float[B,T,2] x) => (float[B,2] y) {{ {text} }}",
        **{name: np.array([number]) for name, number in numbers.items()},
    )  # fmt: skip
    assert_as_onnx_runtime(made, [[floats(2, time, 2)] for time in (1, 2, 149, 151, 199, 200, 201, 999)])


COUNT = "shape = Shape(x) length = Slice(shape, i1, i2) n = Squeeze(length)"
PLACES = {
    "all but the first": ("m = Sub(n, o) r = Range(z, m, o) places = Add(r, o)", lambda n: np.arange(1, n)),
    "from the end": ("m = Sub(n, o) r = Range(z, n, o) places = Sub(m, r)", lambda n: np.arange(n)[::-1]),
    "counted down": ("m = Sub(n, o) places = Range(m, minus, minus)", lambda n: np.arange(n)[::-1]),
    "counted down by two": ("m = Sub(n, o) places = Range(m, minus, two_less)", lambda n: np.arange(n - 1, -1, -2)),
    "the second half": ("h = Div(n, two) places = Range(h, n, o)", lambda n: np.arange(n // 2, n)),
    "windows": (
        "m = Sub(n, four) r = Range(z, m, o) u = Unsqueeze(r, i1) places = Add(u, five)",
        lambda n: np.arange(n - 4)[:, None] + np.arange(5),
    ),
    "windows of every second": (
        "m = Sub(n, four) r = Range(z, m, two) u = Unsqueeze(r, i1) places = Add(u, five)",
        lambda n: np.arange(0, n - 4, 2)[:, None] + np.arange(5),
    ),
}
NUMBERS = {
    "z": np.int64(0), "o": np.int64(1), "two": np.int64(2), "four": np.int64(4), "minus": np.int64(-1),
    "two_less": np.int64(-2), "i1": np.array([1]), "i2": np.array([2]), "five": np.arange(5)[None],
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_entries_are_picked_by_places_that_are_counted(name: str) -> None:
    nodes, expected = PLACES[name]
    rank = np.ndim(expected(9)) + 2
    sizes = ",".join([*["B", "p", "q", "r"][: rank - 1], "4"])
    made = model(
        f"g (float[B,S,4] x) => (float[{sizes}] y) {{ {COUNT} {nodes} y = Gather<axis=1>(x, places) }}", 13, **NUMBERS
    )
    content = encode(simplify(read_onnx(made), run_node))
    assert len(content) < 200  # places are counted, and not kept
    session = Session(content, threads=1)
    for length in (6, 7, 11, 40, 300):
        x = floats(2, length, 4)
        np.testing.assert_array_equal(session(x), x[:, expected(length)])


def test_rows_of_a_table_are_looked_up_from_the_end() -> None:
    table = floats(400, 4)
    nodes = f"{COUNT} {PLACES['from the end'][0]} rows = Gather<axis=0>(table, places) y = Add(x, rows)"
    made = model(f"g (float[B,S,4] x) => (float[B,S,4] y) {{ {nodes} }}", 13, table=table, **NUMBERS)
    session = Session(encode(simplify(read_onnx(made), run_node)), threads=1)
    for length in (1, 6, 40, 400):
        x = floats(2, length, 4)
        np.testing.assert_array_equal(session(x), x + table[:length][::-1])


def test_what_is_cut_out_of_a_table_from_a_place_that_turns_is_right_or_refused() -> None:
    """pos[max(n - 200, 0):n]: at the sizes of readings it begins at 0."""
    nodes = f"{COUNT} m = Sub(n, c) b = Max(m, z) s = Unsqueeze(b, i0) e = Unsqueeze(n, i0) y = Slice(table, s, e, i0)"
    table = floats(400, 4)
    made = model(
        f"g (float[B,S,4] x) => (float[p,4] y) {{ {nodes} }}",
        13, table=table, c=np.int64(200), i0=np.array([0]), **NUMBERS,
    )  # fmt: skip
    session = Session(encode(simplify(read_onnx(made), run_node)), threads=1)
    for length in (1, 6, 199, 200, 201, 300):
        np.testing.assert_array_equal(session(floats(2, length, 4)), table[max(length - 200, 0) : length])


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embeddings_take_rows_of_known_tables(interleaved: int) -> None:
    """ONNX takes the operator apart, where it knows the types of constants."""
    if onnx.defs.onnx_opset_version() < 23:
        pytest.skip("this onnx has no such operator")
    node = f"y = RotaryEmbedding<interleaved={interleaved}>(x, cosines, sines, places)"
    made = model(
        f"g (float[B,4,S,8] x, int64[B,S] places) => (float[B,4,S,8] y) {{ {node} }}",
        23,
        cosines=floats(50, 4),
        sines=floats(50, 4),
    )
    every = [[floats(2, 4, time, 8), np.tile(np.arange(time), (2, 1))] for time in (1, 5, 17)]
    assert_as_onnx_runtime(made, every)


def test_the_number_of_all_entries_follows_the_picture() -> None:
    """A standard deviation as torch writes it: h * w and h * w - 1 are among what is computed with."""
    nodes = """s = Shape(x) g = Gather(s, axes) n = ReduceProd<keepdims=0>(g) f = Cast<to=1>(n)
        m = ReduceMean<axes=[2, 3]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes=[2, 3], keepdims=0>(q)
        w = Mul(v, f) less = Sub(f, one) u = Div(w, less) y = Sqrt(u)"""
    numbers = {"axes": np.array([2, 3]), "one": np.float32(1)}
    made = model(f"g (float[B,3,H,W] x) => (float[B,3] y) {{ {nodes} }}", 13, **numbers)
    assert_as_onnx_runtime(made, [[floats(*shape)] for shape in PICTURES])


@pytest.mark.parametrize("rows", [12, 16, 17])
def test_a_table_of_positions_may_be_read_to_its_end(rows: int) -> None:
    """Where all of its rows are taken nothing is cut, which makes it another graph than anywhere before."""
    nodes = "s = Shape(ids) t = Gather(s, one) c = Range(zero, t, one) p = Gather(table, c) w = Gather(words, ids)"
    tables = {"table": floats(rows, 4), "words": floats(20, 4), "zero": np.int64(0), "one": np.int64(1)}
    made = model(f"g (int64[B,T] ids) => (float[B,T,4] y) {{ {nodes} y = Add(w, p) }}", 13, **tables)
    assert read_onnx(made).axes == ("B", "T")
    assert_as_onnx_runtime(made, [[RANDOM.integers(0, 20, shape)] for shape in ((1, 3), (3, 1), (2, rows))])


@pytest.mark.parametrize("kind", ["int64", "int32"])
@pytest.mark.parametrize("operator", ["Sign", "Abs", "Neg"])
def test_signs_of_whole_numbers(operator: str, kind: str) -> None:
    made = model(f"g ({kind}[B,T] x) => ({kind}[B,T] y) {{ y = {operator}(x) }}")
    assert_as_onnx_runtime(made, [[RANDOM.integers(-2, 3, (batch, 5)).astype(kind)] for batch in (1, 3)])


@pytest.mark.parametrize("stride", [2, 32])
def test_rows_and_columns_are_looked_up_by_places_that_are_spread_along_each_other(stride: int) -> None:
    """As exporters of PyTorch write `x[rows[:, None], columns]`; all sizes that are looked at may have one column."""
    constants = {"all": [0, -1], "none": 0, "one": 1, "back": [1], "front": [0], "end": [-1], "stride": stride}
    made = model(
        f"""g (float[B,1,H,W] x) => (float[B,n] y) {{
            every = MaxPool<kernel_shape=[1,1], strides=[{stride},{stride}]>(x)
            flat = Reshape(every, all)
            batch = Shape<start=0, end=1>(x)
            height = Shape<start=2, end=3>(x)
            width = Shape<start=3, end=4>(x)
            above = Sub(height, one)
            before = Sub(width, one)
            down = Div(above, stride)
            along = Div(before, stride)
            high = Add(down, one)
            wide = Add(along, one)
            each = Mul(high, wide)
            images = Squeeze(batch)
            pixels = Squeeze(each)
            counted_images = Range(none, images, one)
            counted_pixels = Range(none, pixels, one)
            rows = Unsqueeze(counted_images, back)
            columns = Unsqueeze(counted_pixels, front)
            both = Max(rows, columns)
            shape = Shape(both)
            spread_rows = Expand(rows, shape)
            spread_columns = Expand(columns, shape)
            of_rows = Unsqueeze(spread_rows, end)
            of_columns = Unsqueeze(spread_columns, end)
            places = Concat<axis=-1>(of_rows, of_columns)
            y = GatherND(flat, places)
        }}""",
        18,
        **{name: np.asarray(value, np.int64) for name, value in constants.items()},
    )
    shapes = [(1, 1, 1, 1), (3, 1, 5, 9), (2, 1, 64, 33), (130, 1, 65, 70)]
    assert_as_onnx_runtime(made, [[floats(*shape)] for shape in shapes])
    assert len(encode(simplify(read_onnx(made), run_node))) < 200, "places are counted, not listed"


@pytest.mark.parametrize("rows", [12, 40])
def test_positions_are_repeated_for_each_of_a_batch_and_looked_up(rows: int) -> None:
    """As in BART; the table ends where the axis is only as long as in the readings."""
    nodes = """s = Shape(ids) b = Gather(s, z) t = Gather(s, o) c = Range(z, t, o) d = Unsqueeze(b, i0)
        e = Concat<axis=0>(d, i1) p = Expand(c, e) q = Gather(table, p) w = Gather(words, ids) y = Add(w, q)"""
    tables = {"table": floats(rows, 4), "words": floats(20, 4), "i0": np.array([0])}
    made = model(f"g (int64[B,T] ids) => (float[B,T,4] y) {{ {nodes} }}", 13, **tables, **NUMBERS)
    assert_as_onnx_runtime(made, [[RANDOM.integers(0, 20, shape)] for shape in ((1, 3), (3, 1), (2, rows))])


def test_the_sizes_of_what_is_known_follow_axes() -> None:
    """A mask of ones is made for a sequence, and as long as that mask is, positions are counted."""
    nodes = """s = Shape(x) d = Slice(s, i0, i2) ones = ConstantOfShape(d) k = Shape(ones) t = Gather(k, o)
        c = Range(z, t, o) row = Unsqueeze(c, i0) column = Unsqueeze(c, i1) m = LessOrEqual(row, column)
        f = Cast<to=1>(m) y = Mul(x, f)"""
    made = model(f"g (float[B,T,T] x) => (float[B,T,T] y) {{ {nodes} }}", 13, **NUMBERS, i0=np.array([0]))
    assert_as_onnx_runtime(made, [[floats(batch, time, time)] for batch, time in ((1, 1), (3, 7), (2, 300))])


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 1), (2, 3)])
def test_pads_are_computed_of_sizes_as_floats(kernel: int, stride: int) -> None:
    """As torch writes a network of TensorFlow's: max((ceil(w / stride) - 1) * stride + kernel - w, 0)."""
    nodes = """s = Shape(x) n = Gather(s, last) f = Cast<to=1>(n) g = Div(f, stride) h = Ceil(g) i = Sub(h, one)
        j = Mul(i, stride) k = Add(j, kernel) l = Sub(k, f) m = Clip(l, none) o = Div(m, two) p = Cast<to=7>(o)
        q = Cast<to=1>(p) r = Sub(m, q) t = Unsqueeze(q, i0) u = Unsqueeze(r, i0)
        v = Concat<axis=0>(nones, t, nones, u) pads = Cast<to=7>(v) z = Pad(x, pads)"""
    conv = f"y = Conv<strides=[{stride}]>(z, w)"
    numbers = {"stride": stride, "one": 1, "kernel": kernel, "none": 0, "two": 2}
    made = model(
        f"g (float[B,3,W] x) => (float[B,2,v] y) {{ {nodes} {conv} }}",
        last=np.int64(2), i0=np.array([0]), nones=np.zeros(2, np.float32), w=floats(2, 3, kernel),
        **{name: np.float32(number) for name, number in numbers.items()},
    )  # fmt: skip
    assert_as_onnx_runtime(made, [[floats(2, 3, width)] for width in (4, 5, 6, 7, 8, 41, 100)])


@pytest.mark.parametrize("shift", [-3, -1, 1, 2, 5])
def test_what_is_rolled_along_an_open_axis_is_cut_at_a_remainder(shift: int) -> None:
    """As torch's newer exporter writes it; an axis is longer than the shift."""
    text = """g (float[B,3,T] x) => (float[B,3,U] y) {
        size = Shape<start=2, end=3>(x)
        place = Mod(shift, size)
        head = Slice(x, zero, place, two)
        tail = Slice(x, place, size, two)
        y = Concat<axis=2>(tail, head)
    }"""
    made = model(text, 18, shift=np.array([shift]), zero=np.array([0]), two=np.array([2]))
    longer = range(abs(shift) + 1, 20)
    assert_as_onnx_runtime(made, [[floats(2, 3, time)] for time in longer])
    session = Session(encode(simplify(read_onnx(made), run_node)), threads=1)
    for time in range(1, abs(shift) + 1):
        with pytest.raises(InputError, match="it must be at least"):
            session(floats(2, 3, time))


def test_quotients_of_sizes_of_unknown_sign_are_followed() -> None:
    """As torch's newer exporter writes the size of a strided convolution, and what is left of a product without it."""
    text = """g (float[B,3,H,W] x) => (float[B,P,3] y) {
        small = Conv<strides=[4,4]>(x, w)
        batch = Shape<start=0, end=1>(x)
        height = Shape<start=2, end=3>(x)
        width = Shape<start=3, end=4>(x)
        above = Sub(height, four)
        right = Sub(width, four)
        rows = Div(above, four)
        columns = Div(right, four)
        high = Add(rows, one)
        wide = Add(columns, one)
        all = Mul(batch, three)
        some = Mul(all, high)
        entries = Mul(some, wide)
        places = Div(entries, all)
        shape = Concat<axis=0>(batch, three, places)
        row = Reshape(small, shape)
        y = Transpose<perm=[0,2,1]>(row)
    }"""
    numbers = {"one": np.array([1]), "three": np.array([3]), "four": np.array([4])}
    made = model(text, 18, w=floats(3, 3, 4, 4), **numbers)
    assert read_onnx(made).axes == ("B", "H", "W")
    sizes = ((1, 3, 4, 4), (2, 3, 7, 12), (3, 3, 33, 18))
    assert_as_onnx_runtime(made, [[floats(*shape)] for shape in sizes])


SPREAD = {
    "Expand": "many = Expand(number, count)",
    "Expand and Reshape": "one = Expand(number, count)  many = Reshape(one, all)",
    "ConstantOfShape": "many = ConstantOfShape<value = float[1] {-1}>(count)",
}


@pytest.mark.parametrize("spread", SPREAD)
@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("mask", ["x", "row"])
def test_what_is_set_where_a_mask_is_true_is_a_choice(mask: str, opset: int, spread: str) -> None:
    """y[mask] = -1, of a mask that may have fewer axes than y."""
    first = "row = ReduceMax<axes=[2], keepdims=0>(x)" if mask == "row" else ""
    many = SPREAD[spread].replace("  ", "\n")
    text = f"""g (float[B,T,4] x) => (float[B,T,4] z) {{
        y = Mul(x, two)
        {first}
        mask = Greater({mask}, edge)
        listed = NonZero(mask)
        places = Transpose<perm=[1,0]>(listed)
        shape = Shape(places)
        found = Slice(shape, zero, first)
        count = {"Concat<axis=0>(found, four)" if mask == "row" else "Identity(found)"}
        {many if mask == "x" or "Reshape" not in many else SPREAD["Expand"]}
        z = ScatterND(y, places, many)
    }}"""
    constants = {"two": np.float32(2), "edge": np.float32(0.5), "zero": np.array([0]), "first": np.array([1])}
    constants |= {"four": np.array([4]), "number": np.float32(-1), "all": np.array([-1])}
    made = model(text, opset, **constants)
    assert read_onnx(made).axes == ("B", "T")
    assert_as_onnx_runtime(made, [[floats(batch, time, 4)] for batch, time in ((1, 1), (2, 5), (3, 17))])


def test_what_a_mask_picks_for_itself_is_refused() -> None:
    text = """g (float[B,4] x, float[N] many) => (float[B,4] y) {
        mask = Greater(x, edge)
        listed = NonZero(mask)
        places = Transpose<perm=[1,0]>(listed)
        y = ScatterND(x, places, many)
    }"""
    with pytest.raises(UnsupportedOperatorError, match="NonZero"):
        read_onnx(model(text, 18, edge=np.float32(0.5)))


def test_floats_are_counted_down_from_a_size_to_below_zero() -> None:
    """As positions of Conformer, relative to each other."""
    text = """g (float[B,T,4] x) => (float[P,4] y) {
        shape = Shape(x)
        time = Gather(shape, one)
        last = Sub(time, one)
        below = Neg(time)
        first = Cast<to=1>(last)
        limit = Cast<to=1>(below)
        places = Range(first, limit, down)
        column = Unsqueeze(places, one_axis)
        waves = Sin(column)
        most = ReduceMax<axes=[0, 1], keepdims=0>(x)
        y = Mul(waves, most)
    }"""
    made = model(text, 17, one=np.array(1), down=np.float32(-1), one_axis=np.array([1]))
    assert read_onnx(made).axes == ("B", "T")
    assert_as_onnx_runtime(made, [[floats(batch, time, 4)] for batch, time in ((1, 1), (2, 5), (3, 17))])


def test_a_shape_of_which_a_size_is_replaced_follows_the_others() -> None:
    """As torch writes index_fill."""
    text = """g (float[B,4] x) => (float[B,4] y) {
        shape = Shape(x)
        column = ScatterElements<axis=0>(shape, place, one)
        places = Expand(two, column)
        numbers = Expand(half, column)
        y = ScatterElements<axis=1>(x, places, numbers)
    }"""
    made = model(text, 17, place=np.array([-1]), one=np.array([1]), two=np.array([[2]]), half=np.float32(0.5))
    assert read_onnx(made).axes == ("B",)
    assert_as_onnx_runtime(made, [[floats(batch, 4)] for batch in (1, 2, 7)])


PICKED: dict[str, tuple[str, str, str]] = {
    # name: what is computed for what x[mask] picks, as `f`; how ScatterND gets it, as `many`; of which mask
    "each entry": ("t = Exp(p) f = Mul(t, two)", "many = Identity(f)", "x"),
    "each entry, cut": ("f = Mul(p, two)", "r = Reshape(f, all) many = Slice(r, zero, count, zero)", "x"),
    "each entry, spread": ("f = Mul(p, two)", "r = Expand(f, count) many = Reshape(r, all)", "x"),
    "several axes before": ("t = MatMul(p, w) f = Add(t, b)", "many = Identity(f)", "row"),
    "a layer": ("f = Gemm<transB = 1>(p, w, b)", "many = Identity(f)", "row"),
    "rows": ("t = Softmax(p) r = ReduceMax<axes=[1]>(t) f = Sub(t, r)", "many = Identity(f)", "row"),
    "rows of other shapes": ("t = Reshape(p, pairs) s = Mul(t, b2) f = Reshape(s, fours)", "many = Identity(f)", "row"),
}


@pytest.mark.parametrize("case", PICKED)
def test_what_a_mask_picks_and_puts_back_is_computed_for_all(case: str) -> None:
    """y[mask] = f(x[mask]), of a mask of all axes, or of those before the last."""
    computed, ending, of = PICKED[case]
    first = "row = ReduceMax<axes=[2], keepdims=0>(x)" if of == "row" else ""
    steps = f"{computed} {ending}".replace(" f =", "\nf =").replace(" many =", "\nmany =")
    for name in "trs":
        steps = steps.replace(f" {name} =", f"\n{name} =")
    text = f"""g (float[B,T,4] x) => (float[B,T,4] z) {{
        {first}
        mask = Greater({of}, edge)
        listed = NonZero(mask)
        places = Transpose<perm=[1,0]>(listed)
        p = GatherND(x, places)
        again = Greater({of}, edge)
        listed_again = NonZero(again)
        places_again = Transpose<perm=[1,0]>(listed_again)
        shape = Shape(places_again)
        count = Slice(shape, zero, first)
        {steps}
        z = ScatterND(x, places_again, many)
    }}"""
    constants = {"two": np.float32(2), "edge": np.float32(0.5), "zero": np.array([0]), "first": np.array([1])}
    constants |= {"all": np.array([-1]), "pairs": np.array([-1, 2, 2]), "fours": np.array([-1, 4])}
    constants |= {"w": floats(4, 4), "b": floats(4), "b2": floats(2, 2)}
    made = model(text, 17, **constants)
    assert read_onnx(made).axes == ("B", "T")
    assert_as_onnx_runtime(made, [[floats(batch, time, 4)] for batch, time in ((1, 1), (2, 5), (3, 17))])


@pytest.mark.parametrize("opset", [11, 17])
def test_the_places_of_a_mask_take_the_entries_of_a_list_in_turn(opset: int) -> None:
    """masked_scatter, of features into the places that a text has for them."""
    text = """g (float[B,4] x, float[N,4] features) => (float[B,4] z) {
        mask = Greater(x, edge)
        listed = NonZero(mask)
        places = Transpose<perm=[1,0]>(listed)
        shape = Shape(places)
        count = Slice(shape, zero, first)
        row = Reshape(features, all)
        many = Slice(row, zero, count, zero)
        z = ScatterND(x, places, many)
    }"""
    constants = {"edge": np.float32(0.5), "zero": np.array([0]), "first": np.array([1]), "all": np.array([-1])}
    made = model(text, opset, **constants)
    assert_as_onnx_runtime(made, [[floats(batch, 4), floats(batch + 1, 4)] for batch in (1, 2, 7)])


@pytest.mark.parametrize(
    "steps",
    [
        "y = Softmax<axis=0>(p)",  # along what is picked
        "y = ReduceSum<keepdims=1>(p, zero)",
        "y = Mul(p, q)",  # of what another mask picks
        "y = Slice(p, first, count, zero)",  # others than the first
        "y = Slice(p, zero, count, zero, back)",
        "c = Slice(p, zero, first, zero)\ny = Mul(c, edge)",  # a cut of them, which isn't put back
        "y = Mul(p, b)",  # a number for each of them
    ],
)
def test_what_is_computed_across_what_a_mask_picks_is_refused(steps: str) -> None:
    text = f"""g (float[B,4] x) => (float[B,4] z) {{
        mask = Greater(x, edge)
        listed = NonZero(mask)
        places = Transpose<perm=[1,0]>(listed)
        p = GatherND(x, places)
        other = Less(x, edge)
        others = NonZero(other)
        rows = Transpose<perm=[1,0]>(others)
        q = GatherND(x, rows)
        shape = Shape(places)
        count = Slice(shape, zero, first)
        {steps}
        z = ScatterND(x, places, y)
    }}"""
    constants = {"edge": np.float32(0.5), "zero": np.array([0]), "first": np.array([1]), "back": np.array([-1])}
    with pytest.raises(UnsupportedOperatorError, match="NonZero"):
        read_onnx(model(text, 17, b=floats(4), **constants))


@pytest.mark.parametrize("written", ["z = ScatterND(x, places, twice)", "z = ScatterND(x, places, many)"])
def test_a_mask_of_one_row_is_none_of_all_rows(written: str) -> None:
    """Its places are those of the first row; a choice by it would be one in all rows."""
    text = f"""g (float[3,4] x, float[1,4] row) => (float[3,4] z) {{
        mask = Greater(row, edge)
        listed = NonZero(mask)
        places = Transpose<perm=[1,0]>(listed)
        p = GatherND(x, places)
        twice = Mul(p, two)
        shape = Shape(places)
        count = Slice(shape, zero, first)
        many = Expand(two, count)
        {written}
    }}"""
    constants = {"edge": np.float32(0.5), "zero": np.array([0]), "first": np.array([1]), "two": np.float32(2)}
    with pytest.raises(UnsupportedOperatorError, match="NonZero"):
        read_onnx(model(text, 17, **constants))


@pytest.mark.parametrize("pooled", [False, True])
def test_adaptive_pooling_that_was_written_out_for_one_size_is_told(pooled: bool) -> None:
    begins = "s = Shape<start=2>(x) m = Mul(a, s) f = Cast<to=1>(m) d = Div(f, three) b = Abs(d) p = Cast<to=7>(b)"
    constants = {"a": np.arange(3), "three": np.float32(3), "i": np.zeros((2, 1), np.int64)}
    text = f"g (float[B,3,H] x) => (float[u,3,v] y) {{ {begins} z = Gather<axis=2>(x, p) y = GatherND(z, i) }}"
    made = model(text, **{name: np.asarray(one) for name, one in constants.items()})
    if pooled:
        trace = "return F.adaptive_avg_pool1d(input, self.output_size)"
        made.graph.node[-1].metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    with pytest.raises(CaptureError) as refused:
        read_onnx(made)
    assert ("adaptive pooling" in str(refused.value)) == pooled
    assert read_onnx(made, {"x": ("B", 3, 13)}).axes == ("B",)


def test_what_is_one_entry_at_some_sizes_is_spread_at_all() -> None:
    """A norm over what is left of a picture, which is one entry at the smallest ones."""
    steps = "p = MaxPool<kernel_shape=[32], strides=[32]>(x) n = ReduceL2<axes=[2]>(p) s = Shape(p) y = Expand(n, s)"
    made = model(f"g (float[B,3,H] x) => (float[B,3,u] y) {{ {steps} }}")
    assert_as_onnx_runtime(made, [[floats(*shape)] for shape in ((2, 3, 100), (1, 3, 32), (3, 3, 63), (1, 3, 64))])
