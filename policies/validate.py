"""Checks of single values. Each names the field, what was expected and what came."""

from __future__ import annotations

import math
import re
from typing import Any, NoReturn

from policies.errors import PlanError

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def _fail(field: str, expected: str, value: Any) -> NoReturn:
    raise PlanError(f"{field} must be {expected}, got {value!r}.")


def integer(field: str, value: Any, *, low: int, high: int) -> int:
    """Returns `value` if it is an int (not a bool) in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _fail(field, f"a whole number from {low} to {high}", value)
    return value


def number(
    field: str, value: Any, *, low: float, high: float, open_low: bool = False, open_high: bool = False
) -> float:
    """Returns `value` as a float if it is a finite number between `low` and `high`."""
    bounds = f"{'above' if open_low else 'at least'} {low:g} and {'below' if open_high else 'at most'} {high:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        _fail(field, f"a number {bounds}", value)
    too_low = value <= low if open_low else value < low
    too_high = value >= high if open_high else value > high
    if too_low or too_high:
        _fail(field, f"a number {bounds}", value)
    return float(value)


def choice(field: str, value: Any, options: tuple[str, ...]) -> str:
    """Returns `value` if it is one of `options`."""
    if value not in options:
        _fail(field, "one of " + ", ".join(options), value)
    return str(value)


def name(field: str, value: Any) -> str:
    """Returns `value` if it is a short lower-case name: letters, digits, `_`, `.`, `-`; 1 to 64 characters."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        _fail(field, "1 to 64 of a-z, 0-9, '_', '.', '-', beginning and ending with a letter or digit", value)
    return value


def digest(field: str, value: Any) -> str:
    """Returns `value` if it is a SHA-256 in lower-case hexadecimal."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        _fail(field, "a SHA-256 digest of 64 lower-case hexadecimal digits", value)
    return value


def boolean(field: str, value: Any) -> bool:
    """Returns `value` if it is a bool."""
    if not isinstance(value, bool):
        _fail(field, "true or false", value)
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False
