"""Checks the short texts that the ledger keeps. They stay in the hospital."""

from __future__ import annotations

from policies.errors import PlanError


def short_text(field: str, value: object, *, longest: int = 200) -> str:
    """Returns `value` if it is a text of 1 to `longest` printable characters.

    Raises:
        PlanError: It is not.
    """
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        raise PlanError(f"{field} must be 1 to {longest} printable characters, got {value!r:.80}.")
    return value
