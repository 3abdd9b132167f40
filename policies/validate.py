"""Checks of single values. Each names the field, what was expected and what came, in the error that fits the place.

The functions here refuse with a `PlanError`. Where something else than a plan is checked, `Checks` takes the kind.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

from policies.errors import PlanError
from policies.untrusted_text import is_plain, shown

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,62}[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_OF_A_VALUE = 120
_IN_DIGITS = 1e-12  # a smaller number has more zeros than anybody counts
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
MAX_LABEL = 64
MAX_NUMBER = 2**53
# Makes the error that a value is refused with, out of its text: a class of `policies.errors`, say.
Refusal = Callable[[str], Exception]


@dataclass(frozen=True)
class Checks:
    """The checks, with the kind of error that they refuse a value with."""

    refusal: Refusal

    def integer(self, field: str, value: Any, *, low: int, high: int) -> int:
        """Returns `value` if it is an int (not a bool) in [low, high]."""
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._fail(field, f"a whole number from {low} to {high}", value)
        return value

    def number(
        self, field: str, value: Any, *, low: float, high: float, open_low: bool = False, open_high: bool = False
    ) -> float:
        """Returns `value` as a float if it is a finite number between `low` and `high`."""
        bounds = f"{'above' if open_low else 'at least'} {low:g} and {'below' if open_high else 'at most'} {high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            self._fail(field, f"a number {bounds}", value)
        too_low = value <= low if open_low else value < low
        too_high = value >= high if open_high else value > high
        if too_low or too_high:
            self._fail(field, f"a number {bounds}", value)
        return float(value)

    def choice(self, field: str, value: Any, options: tuple[str, ...]) -> str:
        """Returns `value` if it is one of `options`."""
        if value not in options:
            self._fail(field, "one of " + ", ".join(options), value)
        return str(value)

    def name(self, field: str, value: Any) -> str:
        """Returns `value` if it is a short lower-case name: letters, digits, `_`, `.`, `-`; 1 to 64 characters."""
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            self._fail(field, "1 to 64 of a-z, 0-9, '_', '.', '-', beginning and ending with a letter or digit", value)
        return value

    def label(self, field: str, value: Any) -> str:
        """Returns `value` if it is a name for people, in any script: 1 to 64 characters, none of which is obeyed."""
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_LABEL or not value.strip() or not is_plain(value):
            self._fail(field, f"1 to {MAX_LABEL} characters, none of them a control character or invisible", value)
        return value

    def text(self, field: str, value: Any, *, most: int) -> str:
        """Returns `value` if it is a text in one line: at most `most` characters of any script, none obeyed."""
        if not isinstance(value, str) or len(value) > most or not is_plain(value):
            got = f"{len(value)} characters" if isinstance(value, str) and len(value) > most else value
            self._fail(field, f"at most {most} characters in one line, none of them invisible", got)
        return value

    def option(self, field: str, value: Any) -> str | int | float | bool:
        """Returns `value` if it is a bool, a number up to 2^53, or a word for programs.

        A word is 1 to 100 of A-Z, a-z, 0-9, `_`, `.`, `-`.
        """
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            if not -MAX_NUMBER <= value <= MAX_NUMBER:
                self._fail(field, "a number of at most 2^53", value)
            return value
        if not isinstance(value, str) or not _WORD.fullmatch(value):
            self._fail(field, "a word of 1 to 100 of A-Z, a-z, 0-9, '_', '.', '-', a number, or true/false", value)
        return value

    def digest(self, field: str, value: Any) -> str:
        """Returns `value` if it is a SHA-256 in lower-case hexadecimal."""
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            self._fail(field, "a SHA-256 digest of 64 lower-case hexadecimal digits", value)
        return value

    def boolean(self, field: str, value: Any) -> bool:
        """Returns `value` if it is a bool."""
        if not isinstance(value, bool):
            self._fail(field, "true or false", value)
        return value

    def _fail(self, field: str, expected: str, value: Any) -> NoReturn:
        raise self.refusal(f"{field} must be {expected}, got {shown(repr(value), most=_MOST_OF_A_VALUE)}.")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


PLANS = Checks(PlanError)
integer, number, boolean = PLANS.integer, PLANS.number, PLANS.boolean
choice, option, digest = PLANS.choice, PLANS.option, PLANS.digest
name, label, text = PLANS.name, PLANS.label, PLANS.text
Check = Callable[[Checks, str, Any], Any]


def short_text(field: str, value: object, *, longest: int = 200) -> str:
    """Returns `value` if it is a text of 1 to `longest` printable characters, as the ledger keeps them.

    Raises:
        PlanError: It is not.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        raise PlanError(f"{field} must be 1 to {longest} printable characters, got {value!r:.80}.")
    return value


def whole(low: int, high: int) -> Check:
    """For an annotation: a whole number from `low` to `high`."""
    return lambda checks, field, value: checks.integer(field, value, low=low, high=high)


def one_of(*options: str) -> Check:
    """For an annotation: one of these texts."""
    return lambda checks, field, value: checks.choice(field, value, options)


def declared(value: Any) -> None:
    """Checks the fields of a dataclass whose type is `Annotated[type, check]`, which is how a shared type says more.

    Raises:
        PlanError: A value that its check refuses.
    """
    for field, hint in get_type_hints(type(value), include_extras=True).items():
        if get_origin(hint) is Annotated:
            get_args(hint)[1](PLANS, field, getattr(value, field))


def written(value: float, *, whole: bool = False) -> str:
    """A number as people write it, the same in every text: 1e-5, 0.25, 2.

    Args:
        value: It.
        whole: Whether no digit may be lost, so that two numbers that differ are two texts; else twelve are told.
    """
    mantissa, _, exponent = (repr(float(value)) if whole else f"{value:.12g}").partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa.removesuffix(".0")


def as_people_write(value: object) -> str:
    """A value as an officer writes it, with each of its digits: 0.00001, yes, 0.01 to 10."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        if not value:
            return "none"
        of_numbers = len(value) == 2 and not any(isinstance(one, str) for one in value)
        return (" to " if of_numbers else ", ").join(map(as_people_write, value))
    if not isinstance(value, float):
        return str(value)
    if value and abs(value) < _IN_DIGITS:
        return written(value, whole=True)
    from decimal import Decimal  # which a help of a command need not wait for

    return f"{Decimal(repr(value)):f}".removesuffix(".0")
