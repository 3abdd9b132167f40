"""Limits of a graph: how much a model of somebody else may be, before its text is read and after."""

from __future__ import annotations

from dataclasses import dataclass

MOST_AXES = 8
MOST_OF_AN_AXIS = 1 << 24
MOST_SOURCE_CHARACTERS = 200


@dataclass(frozen=True)
class GraphLimits:
    """How large a graph may be. All numbers follow from the graph alone, none from pictures.

    Attributes:
        characters: Of the graph's text, constants included.
        nodes: Operators in the text, and as often as they are carried out.
        parameters: Names of trained parameters.
        parameter_numbers: Numbers of all trained parameters together.
        constant_bytes: Bytes of all constants together.
        multiplications: For one picture, forward.
        activation_numbers: Numbers that all nodes together make for one picture; a backward pass keeps them.
    """

    characters: int = 12_000_000
    nodes: int = 5_000
    parameters: int = 4_000
    parameter_numbers: int = 100_000_000
    constant_bytes: int = 8_000_000
    multiplications: int = 100_000_000_000
    activation_numbers: int = 200_000_000


LIMITS = GraphLimits()
"""The limits that hold where a hospital says no others."""
