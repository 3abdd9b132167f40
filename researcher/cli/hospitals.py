"""Commands about the hospitals: `catalog`, `check`. They show what a hospital tells any researcher with an account."""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import WanwuError
from policies.terminal.commands import argument, switch
from policies.terminal.printing import say_json
from researcher.cli.access import CREDENTIALS, connect, credentials_option
from researcher.cli.commands import ResearcherCommands


def catalog(*, credentials: Sequence[str]) -> None:
    """Shows what the hospitals publish and what is left of their budgets."""
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.terminal.tables import catalog_table

    with connect(credentials) as federation:
        offered, missing = [], federation.missing
        for found in federation.datasets():
            try:
                offered.append((found, federation.hospitals[found.datasite].routes.budget(found.name)))
            except WanwuError as error:
                missing[found.datasite] = f"{error.code}: {error.public}"
    PlainConsole().print(catalog_table(offered, missing))


def check(*, credentials: Sequence[str], json: bool) -> int:
    """Looks at every hospital before a study: reachable, versions, clock, speed, datasets. Status 1 on a problem."""
    from policies.terminal.rich_terminal import PlainConsole
    from researcher.hospitals.federation import check_all
    from researcher.terminal.tables import check_table

    with PlainConsole(stderr=True).status("Looking at each hospital, for some seconds ..."):
        checks = check_all(list(credentials) or [CREDENTIALS])
    if json:
        say_json([one.to_dict() for one in checks], indent=2)
    else:
        PlainConsole().print(check_table(checks))
    return int(any(one.problems for one in checks))


def add_commands(commands: ResearcherCommands) -> None:
    """Adds these commands to the program."""
    commands.add("catalog", catalog, credentials_option())
    files = f"credentials files or patterns (default {CREDENTIALS})"
    as_json = switch("--json", "print JSON instead of a table")
    commands.add("check", check, argument("CREDENTIALS", files, repeated=True), as_json)
