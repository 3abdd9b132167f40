"""Registers the commands of the hospital's program, each with its name, its help and the options that all take."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from policies.terminal.commands import Commands, option, path, switch
from policies.terminal.printing import say, say_json

if TYPE_CHECKING:
    from pathlib import Path

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
STAFF_VARIABLE = "WANWU_STAFF"
"""Environment variable with the path of a person's own token file."""


class Chosen(NamedTuple):
    """What each of the hospital's commands is told, beside its own options.

    Attributes:
        state: The datasite's state folder; None if not given.
        name: The datasite's name, which stands for a folder in `state/`; None if not given.
        as_file: The token file of the person who asks; None if not given.
        json: Whether to print JSON instead of a table.
    """

    state: Path | None = None
    name: str | None = None
    as_file: Path | None = None
    json: bool = False


class HospitalCommands(Commands):
    """The hospital's commands, each of which is told by `Chosen` which datasite it is about."""

    def add(
        self,
        name: str,
        run: Callable[..., int | None],
        *params: click.Parameter,
        later: Callable[[], Sequence[click.Parameter]] | None = None,
        tells: bool = True,
    ) -> None:
        """Adds a command, whose function takes `Chosen` and its own parameters by name.

        Args:
            name: As in `Commands`, as are `run`, `params` and `later`.
            run: What it does.
            params: Its own.
            later: Further ones.
            tells: Whether it ends with something to tell, and so can tell it as JSON.
        """
        shared = (*_shared(), *([_json()] if tells else []))
        super().add(name, _told_which(run), *params, *shared, later=later)

    def alone(self, run: Callable[..., int | None], *params: click.Parameter) -> None:
        """Says what the word does without a command after it; see `Commands.alone`."""
        super().alone(_told_which(run), *params, *_shared(), _json())


def tell(chosen: Chosen, content: Any, *lines: str) -> None:
    """Prints sentences about what was done, or, with --json, what they are made from."""
    if chosen.json:
        say_json(content, indent=2)
        return
    for line in lines:
        say(line)


def identifier(what: str) -> Callable[[str], str]:
    """What reads the identifier of a request, a run, a person: what is none would name another route of the console."""

    def read(text: str) -> str:
        if not _IDENTIFIER.fullmatch(text):
            raise ValueError(f"expected the identifier of a {what}, as the tables show it, got {text[:80]!r}.")
        return text

    return read


def _told_which(run: Callable[..., int | None]) -> Callable[..., int | None]:
    @functools.wraps(run)
    def command(
        state: Path | None, name: str | None, as_file: Path | None, json: bool = False, **own: Any
    ) -> int | None:
        return run(Chosen(state, name, as_file, json), **own)

    return command


def _json() -> click.Parameter:
    return switch("--json", "print JSON instead of a table or a sentence")


@functools.cache
def _shared() -> tuple[click.Parameter, ...]:
    return (
        option("--state", "the datasite's state folder", kind=path),
        option("--name", "short for --state state/NAME"),
        option("--as", f"your own token file (default: ${STAFF_VARIABLE})", name="as_file", kind=path, value="FILE"),
    )
