"""An operator of graphs as a declaration: what it takes, its rule of the pictures' axis, and its cost."""

from __future__ import annotations

import math
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


def leads_written_out(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    """Numbers of matrices that a product repeats along the axes before their own two, to those of its result.

    A matrix that is the same along all of these axes is read again and again; any other is written as often as it is
    used, and so is a parameter's, of which each picture has a copy.
    """
    lead = math.prod(made.shape[:-2])
    written = 0
    for one in inputs:
        own = math.prod(one.shape[:-2])
        alike = one.batch is None and own == 1 and not (one.trained and made.batch is not None)
        if own != lead and not alike:
            written += lead * math.prod(one.shape[-2:])
    return written


def scores_of_keys(inputs: tuple[Value, ...], attributes: Attributes, made: Value) -> int:
    """A number for each query and key, of an attention, and what it repeats of its queries, keys and values.

    More than two axes before the last two are made two, and a mask is written as often as it is used then.
    """
    scores = made.numbers // made.shape[-1] * inputs[1].shape[-2]
    masks = scores if len(inputs) > 3 and len(made.shape) > 4 else 0
    return scores + masks + leads_written_out(inputs[:3], attributes, made)


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
        flat: Inputs that the result has no gradient of, nearly everywhere.
        between: Numbers that it makes for one picture besides its result, which a backward pass may keep.
    """

    does: str
    pictures: str
    rule: Rule
    inputs: tuple[int, int] = (1, 1)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    multiplications: Cost = one_each
    shared: tuple[int, ...] = ()
    flat: tuple[int, ...] = ()
    between: Cost = nothing_more
