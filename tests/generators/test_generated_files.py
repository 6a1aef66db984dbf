"""Generated files are what Python's tables say; the engine's operator table among them."""

from __future__ import annotations

import math

import numpy as np

from generators.__main__ import outdated
from generators.operators_header import operators_header
from netsurgery.graph.operators import OPERATORS
from netsurgery.packed.format import ATTRIBUTES

BEFORE_NUMBER = "AttributeKind::kFloat, Length::kSpatial, false, Default::kValue, 0, "


def test_generated_files_are_what_their_tables_say() -> None:
    assert outdated() == [], "python -m generators"


def test_numbers_of_floats_come_back_from_their_literals_bit_for_bit() -> None:
    header = " ".join(operators_header().split())
    for operator in OPERATORS.values():
        for attribute in operator.attributes:
            if isinstance(attribute.default, float) and math.isfinite(attribute.default):
                table = header.split(f"k{operator.name}Attributes[] = ")[1]
                entry = table.split(
                    f'"{attribute.name}", AttributeKind::kFloat, Length::kSpatial, 16, false, Default::kValue, 0, '
                )[1]
                assert np.float32(entry.split("f,")[0]) == np.float32(attribute.default)


def test_names_of_attributes_are_numbered_as_their_contexts_in_the_file() -> None:
    enum = operators_header().split("enum class AttributeName : std::uint8_t {")[1].split("}")[0]
    names = [name.strip().removeprefix("k") for name in enum.split(",")]
    assert names == [name.title().replace("_", "") for name in ATTRIBUTES]
