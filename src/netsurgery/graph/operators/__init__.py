"""The operator table: every operator that a graph can hold, with its operands, attributes, traits and shape rule.

Readers, passes, the file, the reference executor, the engine and docs/operators.md all read this one table. A trait
that isn't said is the safe one: nothing is known of what the operator does to entries, channels and images, and what
asks finds the general path.

Operands and outputs are float32 where nothing else is said. `N` is the batch, `C` channels, the axes after them are
spatial (one to three of them).

Attributes that have one number for each spatial axis (`strides`, `dilations`) or two (`pads`: all begins, then all
ends) may be the empty tuple, which means "all at their default"; `complete` writes them so.
"""

from netsurgery.graph.operators.operator import (
    LARGEST_INT,
    Attribute,
    AttributeValue,
    Expected,
    Gives,
    Images,
    Length,
    Operand,
    Operator,
    Shape,
    ShapeRule,
    Work,
)
from netsurgery.graph.operators.table import OPERATORS, working

__all__ = [
    "LARGEST_INT",
    "OPERATORS",
    "Attribute",
    "AttributeValue",
    "Expected",
    "Gives",
    "Images",
    "Length",
    "Operand",
    "Operator",
    "Shape",
    "ShapeRule",
    "Work",
    "working",
]
