"""Registers the commands of the hospital's program, each with its name, its help and the options that all take."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from policies.terminal.commands import Commands, option, path, switch

if TYPE_CHECKING:
    from pathlib import Path

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
    ) -> None:
        """Adds a command, whose function takes `Chosen` and its own parameters by name."""

        @functools.wraps(run)
        def command(state: Path | None, name: str | None, as_file: Path | None, json: bool, **own: Any) -> int | None:
            return run(Chosen(state, name, as_file, json), **own)

        super().add(name, command, *params, *_shared(), later=later)


@functools.cache
def _shared() -> tuple[click.Parameter, ...]:
    return (
        option("--state", "the datasite's state folder", kind=path),
        option("--name", "short for --state state/NAME"),
        option("--as", f"your own token file (default: ${STAFF_VARIABLE})", name="as_file", kind=path, value="FILE"),
        switch("--json", "print JSON instead of a table"),
    )
