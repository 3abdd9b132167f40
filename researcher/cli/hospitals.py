"""Commands about the hospitals: `catalog`, `check`. They show what a hospital tells any researcher with an account."""

from __future__ import annotations

import argparse
import sys

from policies.terminal.printing import say_json
from researcher.cli.access import CREDENTIALS, connect, credentials_option
from researcher.cli.commands import Commands


def catalog(options: argparse.Namespace) -> None:
    """Shows what the hospitals publish and what is left of their budgets."""
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.terminal.tables import catalog_table

    with connect(options) as federation:
        wires = {name: hospital.wire for name, hospital in federation.hospitals.items()}
        shown = catalog_table((found, wires[found.datasite].budget(found.name)) for found in federation.datasets())
    PlainConsole().print(shown)


def check(options: argparse.Namespace) -> None:
    """Looks at every hospital before a study: reachable, versions, clock, speed, datasets. Status 1 on a problem."""
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.hospitals.federation import check_all
    from researcher.terminal.tables import check_table

    checks = check_all(options.files or [CREDENTIALS])
    if options.json:
        say_json([one.to_dict() for one in checks], indent=2)
    else:
        PlainConsole().print(check_table(checks))
    if any(one.problems for one in checks):
        sys.exit(1)


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    commands.add("catalog", catalog, credentials_option())
    looking = commands.add("check", check)
    looking.add_argument(
        "files", nargs="*", metavar="CREDENTIALS", help=f"credentials files or patterns (default {CREDENTIALS})"
    )
    looking.add_argument("--json", action="store_true", help="print JSON instead of a table")
