"""From a declared type to plain JSON values and back: exactly the declared fields, each of its declared type.

A type is a frozen dataclass. Its fields are texts, numbers, truth values, tuples, mappings from texts, other such
dataclasses, or one of these or None. `Annotated[type, check]` asks for more: `check` takes the checks, the field's
name and the value, as the methods of `policies.validate.Checks` do.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union

from policies.untrusted_text import shown
from policies.validate import MAX_NUMBER, Checks, Refusal

_T = TypeVar("_T")
_PLAIN = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_MOST_OF_A_NAME = 60


def to_plain(value: Any) -> Any:
    """A declared type's value as plain JSON values, fields in their declared order."""
    if is_dataclass(value):
        told = [one for one in fields(value) if "added_later" not in one.metadata or not _holds_default(value, one)]
        return {one.name: to_plain(getattr(value, one.name)) for one in told}
    if isinstance(value, Mapping):
        return {name: to_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    return value


def _holds_default(value: Any, one: Field[Any]) -> bool:
    default = one.default if one.default_factory is MISSING else one.default_factory()
    return bool(getattr(value, one.name) == default)


def from_plain(kind: type[_T], values: Any, refusal: Refusal, *, more_fields: bool = False) -> _T:
    """Reads plain JSON values as a value of a declared type.

    Args:
        kind: A frozen dataclass.
        values: What JSON gave.
        refusal: Makes the error.
        more_fields: Whether fields that `kind` does not declare are left out instead of refused: of somebody whose
            version may be another.

    Raises:
        Exception: What `refusal` makes, where a field is missing, unknown, of another type or refused by its check.
    """
    return typing.cast(_T, _Reader(Checks(refusal), more_fields).value(kind, values, ""))


class _Reader:
    """Reads one answer."""

    def __init__(self, checks: Checks, more_fields: bool) -> None:
        self._checks, self._more_fields = checks, more_fields

    def value(self, hint: Any, value: Any, where: str) -> Any:
        origin, inner = typing.get_origin(hint), typing.get_args(hint)
        if origin is Annotated:
            return inner[1](self._checks, where, self.value(inner[0], value, where))
        if origin in (Union, types.UnionType):  # of one type and None
            return None if value is None else self.value(inner[0], value, where)
        if origin is tuple:
            return self._tuple(inner, value, where)
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(inner[1], value, where)
        if is_dataclass(hint):
            return self._fields(typing.cast(type, hint), value, where)
        return value if hint is Any else self._single(hint, value, where)

    def _single(self, hint: type, value: Any, where: str) -> Any:
        if hint is float and type(value) is int and abs(value) <= MAX_NUMBER:
            return float(value)
        fits = isinstance(value, float) and math.isfinite(value) if hint is float else type(value) is hint
        if not fits:
            raise self._refused(where, _PLAIN[hint])
        return value

    def _tuple(self, inner: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise self._refused(where, "a list")
        hints = inner[:1] * len(value) if inner[1:] == (Ellipsis,) else inner
        if len(hints) != len(value):
            raise self._refused(where, f"a list of {len(hints)}")
        return tuple(self.value(hint, one, where) for hint, one in zip(hints, value, strict=True))

    def _mapping(self, hint: Any, value: Any, where: str) -> dict[str, object]:
        if not isinstance(value, Mapping) or not all(type(name) is str for name in value):
            raise self._refused(where, "a table")
        return {
            name: self.value(hint, one, f"{where}.{shown(name, most=_MOST_OF_A_NAME)}") for name, one in value.items()
        }

    def _fields(self, kind: type, values: Any, where: str) -> Any:
        if not isinstance(values, Mapping):
            raise self._refused(where, "a table")
        hints = _hints(kind)
        needed = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
        if missing := sorted(needed - set(values)):
            raise self._checks.refusal(f"{where or 'an answer'} lacks {missing[0]!r}.")
        if (unknown := sorted(map(str, set(values) - set(hints)))) and not self._more_fields:
            name = shown(unknown[0], most=_MOST_OF_A_NAME)
            raise self._checks.refusal(f"{where or 'an answer'} has a field {name!r}, which it does not declare.")
        found = {
            name: self.value(hint, values[name], f"{where}.{name}".lstrip("."))
            for name, hint in hints.items()
            if name in values
        }
        return kind(**found)

    def _refused(self, where: str, expected: str) -> Exception:
        return self._checks.refusal(f"{where or 'an answer'} must be {expected}.")


@cache
def _hints(kind: type) -> dict[str, object]:
    return typing.get_type_hints(kind, include_extras=True)
