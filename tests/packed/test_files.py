"""A file holds the whole graph, every bit of its constants; and the same graph gives the same file."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.each_case import each_case
from tests.packed.graphs import (
    all_graphs,
    numbered,
    random_inputs,
    random_lenet5,
    several_in_and_out,
    whole_numbers,
)
from tests.packed.readers import READERS, decode
from tests.samples.table import SAMPLES

from netsurgery.errors import FileLimitError, GraphError
from netsurgery.graph.ir import Graph, GraphBuilder, Input, node
from netsurgery.graph.operators import OPERATORS
from netsurgery.packed import writer
from netsurgery.packed.format import MOST_CONSTANTS, MOST_NAME_BYTES, MOST_NODES, MOST_OPERANDS
from netsurgery.packed.writer import constants_in_order, encode
from netsurgery.runtime.reference import run
from specification import coder as reference_coder

GRAPHS = all_graphs()
ROOT = Path(__file__).resolve().parents[2]


def renamed(graph: Graph, name_of: dict[str, str]) -> Graph:
    """The same network with other names."""
    return Graph(
        tuple(Input(name_of[given.name], given.shape) for given in graph.inputs),
        tuple(
            node(
                made.operator,
                [None if name is None else name_of[name] for name in made.inputs],
                name_of[made.output],
                **made.attributes,
            )
            for made in graph.nodes
        ),
        tuple(name_of[name] for name in graph.outputs),
        {name_of[name]: value for name, value in graph.constants.items()},
    )


def test_the_cases_show_every_operator_attribute_choice_and_operand() -> None:
    for operator in OPERATORS.values():
        cases = [(one.operands, operator.complete(one.attributes)) for one in SAMPLES[operator.name].files]
        assert cases, operator.name
        for attribute in operator.attributes:
            values = {attributes[attribute.name] for _, attributes in cases}
            assert attribute.default is None or values - {attribute.default}, (operator.name, attribute.name)
            assert set(attribute.choices) <= values
        for place, operand in enumerate(operator.operands):
            given = {len(operands) > place and operands[place] is not None for operands, _ in cases}
            assert given == ({True, False} if operand.optional else {True}), (operator.name, operand.name)


@each_case("name", GRAPHS)
def test_a_graph_comes_back_from_its_file(name: str) -> None:
    graph = GRAPHS[name]
    content = encode(graph)
    assert encode(graph, encoder=reference_coder.Encoder()) == content
    for coder in READERS:
        packed = decode(content, coder=coder)
        assert numbered(packed.graph) == numbered(graph)
        assert encode(packed.graph) == content
        assert (packed.size_bytes, packed.version) == (len(content), 1)
        assert list(packed.stored) == list(packed.graph.constants) == constants_in_order(packed.graph)
        spent = packed.structure_bits + sum(stored.bits for stored in packed.stored.values())
        assert spent == pytest.approx(8 * (len(content) - 8), abs=32)


@each_case("name", GRAPHS)
def test_what_came_back_computes_the_same_bits(name: str) -> None:
    graph = GRAPHS[name]
    back = decode(encode(graph, names=True)).graph
    for sizes in graph.tried_sizes():
        inputs = random_inputs(graph, sizes)
        for ours, theirs in zip(run(back, inputs), run(graph, inputs), strict=True):
            assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())


ODD_NAMES = ["", " ", "a b", "\x00", "\t\r", "gewicht/é.重み", "🙂", "input", "relu_1", "conv_1.weight", "a" * 300]


@pytest.mark.parametrize("coder", READERS)
def test_names_come_back_however_odd_they_are(coder) -> None:
    graph = GRAPHS["constants_everywhere"]
    every = [*(one.name for one in graph.inputs), *(made.output for made in graph.nodes), *graph.constants]
    odd = renamed(graph, dict(zip(every, [*ODD_NAMES, *(f"{number}" for number in every)], strict=False)))
    content = encode(odd, names=True)
    back = decode(content, coder=coder).graph
    assert numbered(back) == numbered(odd)
    assert back.inputs == odd.inputs
    assert [made.output for made in back.nodes] == [made.output for made in odd.nodes]
    assert back.outputs == odd.outputs
    assert list(back.constants) == constants_in_order(odd)
    assert encode(back, names=True) == content
    assert encode(back) == encode(graph)


@pytest.mark.parametrize("name", ["whole_numbers", "several_in_and_out", "constants_everywhere", "every_encoding"])
def test_names_mean_nothing_to_a_file_without_names(name: str) -> None:
    graph = GRAPHS[name]
    every = sorted(graph.names())
    assert encode(renamed(graph, dict(zip(every, every[::-1], strict=True)))) == encode(graph)
    assert b"scores" not in encode(graph)


@pytest.mark.parametrize("names", [True, False])
def test_names_that_a_reader_makes_up_are_different_and_say_the_operator(names: bool) -> None:
    graph = decode(encode(whole_numbers(), names=names)).graph
    made_up = ["input", "conv_1", "relu_1", "maxpool_1", "reshape_1", "linear_1"]
    given = ["image", "conv", "relu", "maxpool", "reshape", "scores"]
    assert [graph.inputs[0].name, *(made.output for made in graph.nodes)] == (given if names else made_up)


@pytest.mark.parametrize(
    ("first", "second"), [("a\nb", "a b"), ("\ud800", "?")], ids=["line break", "half a surrogate pair"]
)
def test_names_that_would_be_equal_in_the_file_are_refused(first: str, second: str) -> None:
    graph = Graph((Input(first, ("batch", 2)), Input(second, ("batch", 2))), (), (first,), {})
    with pytest.raises(GraphError, match=r"names .* don.t differ, .*; rename them, or write the file without names"):
        encode(graph, names=True)
    assert numbered(decode(encode(graph)).graph) == numbered(graph)


def test_a_line_break_in_a_name_becomes_a_space() -> None:
    graph = Graph((Input("a\nb", ("batch", 2)),), (node("Relu", ["a\nb"], "c"),), ("c",), {})
    assert decode(encode(graph, names=True)).graph.inputs[0].name == "a b"


def test_the_only_name_may_not_be_empty() -> None:
    with pytest.raises(GraphError, match="name"):
        encode(Graph((Input("", ("batch", 2)),), (), ("",), {}), names=True)


def test_a_fixed_batch_stays_fixed_and_an_open_one_open() -> None:
    shapes = [given.shape for given in decode(encode(several_in_and_out())).graph.inputs]
    assert shapes == [("batch", 3), (1, 3), (2, 5, 5)]


def test_constants_that_nothing_reads_are_left_out() -> None:
    assert decode(encode(GRAPHS["unread_constant"])).graph.constants == {}


@pytest.mark.parametrize("order", ["F", "strided"])
def test_the_layout_of_a_constant_in_memory_means_nothing(order: str) -> None:
    graph = whole_numbers()
    laid = {
        name: np.array(value.values, order="F") if order == "F" else np.repeat(value.values, 2, axis=-1)[..., ::2]
        for name, value in graph.constants.items()
    }
    assert encode(graph.replaced(constants=laid)) == encode(graph)


@pytest.mark.parametrize("part_bytes", [1, 300, 2**20])
def test_a_file_written_part_by_part_is_the_same(part_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_lenet5(0)
    whole = encode(graph, names=True)
    monkeypatch.setattr(writer, "PART_BYTES", part_bytes)
    file = io.BytesIO()
    writer.encode_to(file, graph, names=True)
    assert file.getvalue() == whole


PRINT_DIGEST = """
import hashlib
from netsurgery.packed.writer import encode
from tests.packed.graphs import all_graphs, random_lenet5
graphs = [*all_graphs().values(), random_lenet5(0)]
print(hashlib.sha256(b"".join(encode(graph, names=True) for graph in graphs)).hexdigest())
"""


def test_another_process_with_another_hash_seed_writes_the_same_bytes() -> None:
    here = hashlib.sha256(b"".join(encode(graph, names=True) for graph in [*GRAPHS.values(), random_lenet5(0)]))
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PRINT_DIGEST]
        there = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert there.stdout.strip() == here.hexdigest()


GOLDEN = {
    "no_nodes": "4e534d014eedf014be3c",
    "whole_numbers": (
        "4e534d018caa61ed27a22c4e3b67481df5890a67523dc6b0c889471f4f345b41a1738de20558e957e77be3079e6724a21dc96b5c"
        "c3273111086205620f2c80fcf7beb31b18d077b8fce34dafca01e8ae02b8da63aee58fd30cbf44"
    ),
    "every_encoding": (
        "4e534d01f02255b8bb3f1e036dedb7659b20607d9964bb6612538a23474bcdca9781f718a6fb46a691c8ea99dc0ce562cd797dea"
        "c58c97b52630692b49ebda7ab5b3a8d6291d0db6c1afa2fe745e322612602f45ff73b50e2dce42ce5c4ae4951be51ee47c565134"
        "9e8b3912b7b85523029f7f384652e5197ecebdd9b0016e26afb8ac1ca9977068901349ff1cb7dedeec4385d0a6b3d04ab38f0385"
        "4054f39a7ec88fbfda1b8ec3d938ec0f3d3d98943f00c29ecf6713a534e8a9e8cc99683d8cbe615d42f2f86401ef39f827c8da09"
        "4071a1157ed2e8d052245ddf4e7df9b1ebe34ae8cccd8cdd6016a918ecfb031a550f942a7fc97e56ca5134fba586a2e3b1d1ab8b"
        "13dcbb1508159871588eea460e51dd581a7efe3385aaca316e4928b6afa57143949d2ad9eebc85ae2914d38db1206eb2a5894727"
        "11604ef3586b2eeb70e8889de62021241d80968f1cb9e07091dcd9c17765dada7fbbf519ab5fc17a5171456c6921a0057269f921"
        "f641ee8a61de0cc0f61090df669b03ba876e2314d5c43e8fad8347a6d68b29e2f24c48a4d3ce6de38ee2404fb920b57bab24f977"
        "5b37ef46eef78f7d1c1bafeaf224f27d556a7724316d7df37697d5b40ccae3509637ab04473ab1d20664243f1fe6a3ce65e74ecf"
        "af844dbbd133459d328a6cfd0216646339aa2370cad2607ed0359a09eb08e5c1eda22c30f7211ee528477d398e505427c8771af4"
        "4823030c2b4e95d5137d7741fef6d141f4ec5d9ef8e6d49bee47a8ad15ffd6d97fc55822dd2042c8407f5f8abd45d2609efec27f"
        "67591d3e04009efec379335823913d809ef5f186ceb6efbf34c1b2f2667931491048999e4d0d9986ceb7e9836661b330665ff847"
        "87f6c1be5312f62a49d03d796bdace2c1229d159697a1b764f1dc3d726a036f2beabfe131a8e705ef5ca6023fc72f706ae242886"
        "1e65a038b6648d0f21b43567a4c5c4b58f0182a33f1416a2fab947"
    ),
}
"""Files of version 1, which every later release has to read. They change only with the version."""


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("coder", READERS)
def test_files_of_version_1_are_read(name: str, coder) -> None:
    assert numbered(decode(bytes.fromhex(GOLDEN[name]), coder=coder).graph) == numbered(GRAPHS[name])


@pytest.mark.parametrize("name", GOLDEN)
def test_the_writer_writes_the_bytes_of_version_1(name: str) -> None:
    assert encode(GRAPHS[name], names=name == "whole_numbers").hex() == GOLDEN[name]


def test_the_golden_files_show_every_encoding() -> None:
    stored = list(decode(bytes.fromhex(GOLDEN["every_encoding"])).stored.values())
    assert [one.encoding for one in stored] == [
        *("zero", "float16", "powers of two", "scaled powers of two", "codebook of 3", "2 binary planes"),
        *("6-bit mantissa", "3-bit mantissa"),
    ]
    assert [one.kept < 240 for one in stored] == [True, *[False] * 5, True, True]


@pytest.mark.parametrize("seed", range(3))
def test_the_structure_of_a_lenet5_costs_at_most_20_bytes(seed: int) -> None:
    packed = decode(encode(random_lenet5(seed)))
    assert packed.structure_bits <= 8 * 20
    connections = sum(stored.kept for stored in packed.stored.values())
    assert packed.size_bytes < 6 * connections  # a float32 alone takes 4


def test_a_constant_as_output_is_refused_by_name() -> None:
    builder = GraphBuilder()
    builder.input("x", ("batch", 2))
    graph = builder.graph([builder.constant([1.0], "answer")])
    with pytest.raises(GraphError, match="output 'answer' is a constant; outputs have to depend on an input"):
        encode(graph)


def test_a_graph_that_contradicts_itself_is_refused() -> None:
    graph = Graph((Input("x", ("batch", 2)),), (node("Relu", ["z"], "y"),), ("y",), {})
    with pytest.raises(GraphError, match="reads 'z', which nothing before it makes"):
        encode(graph)


def chain(operator: str, count: int) -> Graph:
    names = ["x", *(str(number) for number in range(count))]
    nodes = tuple(node(operator, [before], after) for before, after in pairwise(names))
    return Graph((Input("x", ("batch", 1)),), nodes, (names[-1],), {})


def inputs(count: int) -> Graph:
    return Graph(tuple(Input(f"x{number}", ("batch", 2)) for number in range(count)), (), ("x0",), {})


def outputs(count: int) -> Graph:
    return Graph((Input("x", ("batch", 2)),), (), ("x",) * count, {})


def input_of(*shape: int) -> Graph:
    return Graph((Input("x", ("batch", *shape)),), (), ("x",), {})


def operands(count: int) -> Graph:
    return Graph((Input("x", ("batch", 1)),), (node("Concat", ["x"] * count, "y", axis=1),), ("y",), {})


def constants(count: int, shape: tuple[int, ...] = (1, 1)) -> Graph:
    value = np.zeros(shape, np.float32)
    names = [f"c{number}" for number in range(count)]
    return Graph(
        (Input("x", ("batch", 1)),), (node("Concat", names, "y", axis=0),), ("y", "x"), dict.fromkeys(names, value)
    )


def named(length: int) -> Graph:
    return Graph((Input("x" * length, ("batch", 1)),), (), ("x" * length,), {})


@pytest.mark.parametrize(
    ("at_most", "too_much", "sentence"),
    [
        (lambda: inputs(64), lambda: inputs(65), "has 65 inputs; an .nsm file holds at most 64"),
        (lambda: outputs(64), lambda: outputs(65), "has 65 outputs; an .nsm file holds at most 64"),
        (None, lambda: chain("Relu", MOST_NODES + 1), "has 65,537 nodes; an .nsm file holds at most 65,536"),
        (None, lambda: operands(MOST_OPERANDS + 1), "has 262,145 operands; an .nsm file holds at most 262,144"),
        (None, lambda: constants(MOST_CONSTANTS + 1), "has 65,537 constants; an .nsm file holds at most 65,536"),
        (lambda: input_of(*[1] * 7), lambda: input_of(*[1] * 8), "has 9 axes of a value; an .nsm file holds at most 8"),
        (lambda: constants(1, (1,) * 8), lambda: constants(1, (1,) * 9), "has 9 axes of a value"),
        (lambda: input_of(2**28), lambda: input_of(2**28 + 1), "has 268,435,457 entries of a value; .* 268,435,456"),
        (lambda: constants(1, (2**12, 2**12)), lambda: constants(1, (2**12, 2**13)), "has 33,554,432 entries of con"),
        (
            lambda: named(MOST_NAME_BYTES),
            lambda: named(MOST_NAME_BYTES + 1),
            "has 1,048,577 bytes of names; an .nsm file holds at most 1,048,576",
        ),
    ],
)
def test_the_writer_refuses_just_what_a_reader_would_refuse(at_most, too_much, sentence: str) -> None:
    with pytest.raises(FileLimitError, match=sentence):
        encode(too_much(), names="names" in sentence)
    if at_most is not None:
        graph = at_most()
        assert numbered(decode(encode(graph, names="names" in sentence)).graph) == numbered(graph)
