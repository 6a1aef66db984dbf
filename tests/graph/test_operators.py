"""The operator table: consistent in itself, and what the documents say of it."""

from __future__ import annotations

import pytest
from tests.each_case import each_case

from netsurgery.errors import GraphError
from netsurgery.graph.ir import node
from netsurgery.graph.operators import OPERATORS
from netsurgery.packed.format import ATTRIBUTES, Context
from specification.integer_model import CONTEXTS


def test_codes_differ_and_each_has_a_context_in_the_file_for_what_follows_it() -> None:
    codes = [operator.code for operator in OPERATORS.values()]
    assert sorted(set(codes)) == codes
    assert codes[0] >= 1
    assert codes[-1] + Context.OPERATOR < CONTEXTS


def test_every_attribute_has_a_context_in_the_file_and_none_is_there_in_vain() -> None:
    used = {attribute.name for operator in OPERATORS.values() for attribute in operator.attributes}
    assert used == set(ATTRIBUTES)


@each_case("operator", OPERATORS.values(), ids=lambda operator: operator.name)
def test_defaults_are_allowed_and_canonical(operator) -> None:
    for attribute in operator.attributes:
        if attribute.default is not None:
            assert attribute.checked(attribute.default) == attribute.default


@each_case("operator", OPERATORS.values(), ids=lambda operator: operator.name)
def test_operands_after_an_optional_one_are_optional_and_only_the_last_is_variadic(operator) -> None:
    optional = [operand.optional for operand in operator.operands]
    assert optional == sorted(optional)
    assert not any(operand.variadic for operand in operator.operands[:-1])


def test_an_unknown_operator_is_refused_with_those_that_exist() -> None:
    with pytest.raises(GraphError, match=r"no operator 'Convolution'; there are Conv, Relu"):
        node("Convolution", ["x"], "y")


@pytest.mark.parametrize(
    ("operator", "attributes", "sentence"),
    [
        ("MaxPool", {}, "kernel is missing; it must be whole numbers >= 1"),
        ("MaxPool", {"kernel": (0, 2)}, r"kernel=\(0, 2\) is not allowed"),
        ("Relu", {"alpha": 1.0}, "unknown attribute alpha; Relu has none"),
        ("LeakyRelu", {"alpha": float("nan")}, "alpha=nan is not allowed"),
        ("Gelu", {"approximate": "erf"}, "must be one of none, tanh"),
        ("Softmax", {"axis": -1}, "axis=-1 is not allowed: axis must be a whole number >= 0"),
    ],
)
def test_attributes_out_of_range_are_refused_with_what_is_allowed(operator, attributes, sentence) -> None:
    with pytest.raises(GraphError, match=sentence):
        node(operator, ["x"], "y", **attributes)


def test_numbers_that_are_all_neutral_are_written_as_none() -> None:
    made = node("MaxPool", ["x"], "y", kernel=(2, 2), strides=(1, 1), pads=(0, 0, 0, 0))
    assert made.attributes["strides"] == () == made.attributes["pads"]


@each_case("name", [name for name, operator in OPERATORS.items() if operator.onnx])
def test_what_the_table_says_to_onnx_is_read_back(name) -> None:
    for attribute in OPERATORS[name].attributes:
        values = attribute.choices or ((False, True) if attribute.kind == "flag" else (1, 2))
        for value in values if attribute.onnx else ():
            given = {attribute.onnx: attribute.as_onnx(value)}
            assert attribute.checked(attribute.of_onnx(given)) == value
        if attribute.onnx:
            attribute.checked(attribute.of_onnx({}))  # what nothing is said of


@each_case("name", [name for name, operator in OPERATORS.items() if operator.torch])
def test_each_choice_has_a_number_in_torch_where_any_has(name) -> None:
    for attribute in OPERATORS[name].attributes:
        if attribute.torch_values:
            assert sorted(attribute.torch_values) == sorted(attribute.choices)
            assert [attribute.of_torch(number) for number in range(len(attribute.choices))] == [*attribute.torch_values]
