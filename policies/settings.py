"""Settings are declared once, as a field with its help. Options, files and reference pages are made from that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, field, fields
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Declared(NamedTuple):
    """What a field says of its setting, or what it is made from: see `setting_of`.

    Attributes:
        name: Of the field.
        help: What the setting is.
        default: What holds if it is not given; None where that depends on other settings or it has to be given.
        choices: The words that it may be; empty for any value.
        kind: What reads a value from a text.
        derived: Whether a recipe sets it, so that it is None in the field until somebody gives it.
        while_serving: Whether it may change while a datasite serves.
    """

    name: str
    help: str
    default: Any
    choices: tuple[str, ...] = ()
    kind: Callable[[str], Any] = str
    derived: bool = False
    while_serving: bool = False


def setting(
    help_text: str,
    *,
    choices: Sequence[str] = (),
    kind: Callable[[str], Any] | None = None,
    plain: Any = None,
    derived: bool = False,
    while_serving: bool = False,
    **form: Any,
) -> Any:
    """A dataclass field that is a setting.

    Args:
        help_text: What the setting is.
        choices: The words that it may be.
        kind: What reads a value from a text; that of the default if None.
        plain: What holds where the field's own default is None, which then means that nobody gave the setting.
        derived: Whether a recipe sets it.
        while_serving: Whether it may change while a datasite serves.
        form: As of `dataclasses.field`.
    """
    told = {
        "help": help_text,
        "choices": tuple(choices),
        "kind": kind,
        "plain": plain,
        "derived": derived,
        "while_serving": while_serving,
    }
    return field(metadata={**told, **form.pop("metadata", {})}, **form)


def setting_of(told: Declared) -> Any:
    """The dataclass field of a setting that is declared apart, where a help reads it without the dataclass."""
    return setting(told.help, default=told.default, choices=told.choices, kind=told.kind)


def file(text: str) -> Path:
    """Reads the path of a file. No help waits until pathlib is imported."""
    from pathlib import Path

    return Path(text)


def numbers(text: str) -> tuple[float, ...]:
    """Reads `1,2.5,4`.

    Raises:
        ValueError: A part is no number.
    """
    return tuple(float(part) for part in text.split(","))


@cache
def declared(owner: type) -> Mapping[str, Declared]:
    """The settings that a dataclass declares, by name, in order."""
    found = {}
    for one in fields(owner):
        if "help" in one.metadata:
            told = one.metadata
            default = told["plain"] if one.default in (None, MISSING) else one.default
            kind = told["kind"] or _kind(default)
            found[one.name] = Declared(
                one.name, told["help"], default, told["choices"], kind, told["derived"], told["while_serving"]
            )
    return MappingProxyType(found)


def _kind(default: Any) -> Callable[[str], Any]:
    return type(default) if isinstance(default, int | float) else str
