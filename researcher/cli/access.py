"""Connects a command to the hospitals of its credentials files, which never leave this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from policies.terminal.commands import option
from policies.terminal.printing import say

if TYPE_CHECKING:
    from policies.errors import WanwuError
    from researcher.hospitals.federation import Federation

CREDENTIALS = "state/*/credentials/*.json"
"""Where credentials files lie unless a command is told otherwise."""


def credentials_option() -> click.Option:
    """The option of commands that speak to hospitals."""
    told = f"credentials files or a pattern (default {CREDENTIALS})"
    return option("--credentials", told, value="FILE", words=True)


class Missing:
    """The hospitals at which a command did not do what it does; each is said as it is told."""

    def __init__(self) -> None:
        self.status = 0

    def __call__(self, name: str, error: WanwuError) -> None:
        say(f"not done at {name}: {error.code}: {error.public}", to_errors=True)
        self.status = 1


def connect(
    credentials: Sequence[str], *, enough: int | None = None, begun: bool = False, announced: bool = False
) -> Federation:
    """Connects to the hospitals whose credentials files are given; to those where such files lie if there are none.

    `enough` and `begun` are as in `Federation.connect`. A command that takes seconds before its first result, since it
    imports what trains or submits, has the connecting `announced`.
    """
    from researcher.terminal import connecting

    return connecting.connect(list(credentials) or [CREDENTIALS], enough=enough, begun=begun, announced=announced)
