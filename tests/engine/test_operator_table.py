"""The engine's operator table is the one of Python."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from netsurgery.graph.operators import OPERATORS
from netsurgery.packed.format import ATTRIBUTES
from netsurgery.packed.operator_header import operator_header

HEADER = Path(__file__).parents[2] / "engine" / "src" / "operator_table.hpp"


def test_the_header_is_what_the_table_says() -> None:
    command = "python -m netsurgery.packed.operator_header > engine/src/operator_table.hpp"
    assert HEADER.read_text() == operator_header(), command


def test_numbers_of_floats_come_back_from_their_literals_bit_for_bit() -> None:
    header = " ".join(operator_header().split())
    for operator in OPERATORS.values():
        for attribute in operator.attributes:
            if isinstance(attribute.default, float) and math.isfinite(attribute.default):
                table = header.split(f"k{operator.name}Attributes[] = ")[1]
                entry = table.split(f'"{attribute.name}", AttributeKind::kFloat, Default::kValue, 0, ')[1]
                assert np.float32(entry.split("f,")[0]) == np.float32(attribute.default)


def test_names_of_attributes_are_numbered_as_their_contexts_in_the_file() -> None:
    enum = operator_header().split("enum class AttributeName : std::uint8_t {")[1].split("}")[0]
    names = [name.strip().removeprefix("k") for name in enum.split(",")]
    assert names == [name.title().replace("_", "") for name in ATTRIBUTES]
