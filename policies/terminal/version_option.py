"""The option `--version` of a program: its release, the protocol that it speaks, and what else has a version."""

from __future__ import annotations

from collections.abc import Callable

import click

from policies.terminal.printing import say


def version_option(*more: Callable[[], str]) -> click.Option:
    """The option, which a program takes in place of a command.

    Args:
        more: Further versions to tell, asked for when the option is given.
    """

    def tell(context: click.Context, option: click.Parameter, given: bool) -> None:
        if not given or context.resilient_parsing:
            return
        from policies.versions import protocol, releases

        spoken = " and ".join(map(str, protocol.PROTOCOLS))
        say(", ".join([f"Wanwu {releases.own()}", f"protocol {spoken}", *(one() for one in more)]))
        context.exit()

    told = "print the release, and the versions of what it speaks and keeps"
    return click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, help=told, callback=tell)
