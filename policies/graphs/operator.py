"""An operator of graphs as a declaration: what it takes, its rule of the pictures' axis, and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.graphs.attributes import Attribute
from policies.graphs.values import Value

Attributes = Mapping[str, Any]
Rule = Callable[[tuple[Value, ...], Attributes], Value]
Cost = Callable[[tuple[Value, ...], Attributes, Value], int]


def one_each(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    """One multiplication for each number that is made."""
    return made.numbers


def nothing_more(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    """No number besides those of the result."""
    return 0


def scores_of_keys(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    """A number for each query and key, of an attention."""
    return made.numbers // made.shape[-1] * inputs[1].shape[-2]


@dataclass(frozen=True)
class Operator:
    """An operator that graphs may use.

    Attributes:
        does: What it computes, for people.
        pictures: What its rule asks of the axis of the pictures, for people.
        rule: From the inputs' values and the attributes to the result's value; raises `values.Refusal`.
        inputs: Least and greatest number of inputs.
        attributes: Each attribute, all of which a node must name.
        multiplications: For one picture.
        shared: Inputs that the engine reads once for all pictures, such as a layer's weight. Every other input that is
            trained and the same for all pictures gets a copy for each picture where it meets them.
        between: Numbers that it makes for one picture besides its result, which a backward pass may keep.
    """

    does: str
    pictures: str
    rule: Rule
    inputs: tuple[int, int] = (1, 1)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    multiplications: Cost = one_each
    shared: tuple[int, ...] = ()
    between: Cost = nothing_more
