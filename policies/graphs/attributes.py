"""Attributes of operators: what each may be, checked before a rule looks at it. Text comes in, plain numbers go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policies.errors import GraphError
from policies.graphs.limits import MOST_AXES, MOST_OF_AN_AXIS
from policies.validate import Checks

CHECKS = Checks(GraphError)
_FAR = 1e30


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int
    high: int

    def check(self, field: str, value: Any) -> int:
        """Returns the value, or raises GraphError."""
        return CHECKS.integer(field, value, low=self.low, high=self.high)


@dataclass(frozen=True)
class Wholes:
    """A list of `least` to `most` whole numbers from `low` to `high`."""

    low: int
    high: int
    least: int
    most: int

    def check(self, field: str, value: Any) -> tuple[int, ...]:
        """Returns the values, or raises GraphError."""
        _check_list(field, value, self.least, self.most)
        return tuple(CHECKS.integer(f"{field}[{i}]", one, low=self.low, high=self.high) for i, one in enumerate(value))


@dataclass(frozen=True)
class Number:
    """A finite number from `low` to `high`."""

    low: float = -_FAR
    high: float = _FAR

    def check(self, field: str, value: Any) -> float:
        """Returns the value, or raises GraphError."""
        return CHECKS.number(field, value, low=self.low, high=self.high)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def check(self, field: str, value: Any) -> bool:
        """Returns the value, or raises GraphError."""
        return CHECKS.boolean(field, value)


@dataclass(frozen=True)
class Shape:
    """A list of lengths; `["B", k]` is k for each picture, and stands at most once."""

    def check(self, field: str, value: Any) -> tuple[tuple[int, ...], int | None]:
        """Returns the lengths and which axis is that of the pictures, or raises GraphError."""
        _check_list(field, value, 0, MOST_AXES)
        batch, sizes = None, []
        for axis, size in enumerate(value):
            if isinstance(size, list):
                if len(size) != 2 or size[0] != "B" or batch is not None:
                    raise GraphError(f'{field} must be lengths, of which one at most is ["B", k] for k rows a picture.')
                batch, size = axis, size[1]
            sizes.append(CHECKS.integer(f"{field}[{axis}]", size, low=1, high=MOST_OF_AN_AXIS))
        return tuple(sizes), batch


Attribute = Whole | Wholes | Number | Flag | Shape
AXIS = Whole(0, MOST_AXES - 1)
AXES = Wholes(0, MOST_AXES - 1, 1, MOST_AXES)
EPS = Number(0.0, 1.0)


def pair(low: int, high: int) -> Wholes:
    """Two whole numbers: one for the rows of a picture, one for its columns."""
    return Wholes(low, high, 2, 2)


def _check_list(field: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, list) or not least <= len(value) <= most:
        got = f"{len(value)} entries" if isinstance(value, list) else type(value).__name__
        raise GraphError(f"{field} must be a list of {least} to {most} entries, got {got}.")
