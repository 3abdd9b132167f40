"""Commands about the privacy ledger: `ledger verify`, which needs no running datasite, and `ledger show`."""

from __future__ import annotations

import argparse
from pathlib import Path

from datasites.cli import console
from datasites.cli.commands import Commands
from datasites.cli.state_option import chosen_state
from datasites.files.state_folder import StateFolder
from policies.errors import ConfigError
from policies.terminal.printing import say, say_json


def verify(options: argparse.Namespace) -> None:
    """Checks the ledger's chain and its sealed end, and compares the books with receipts that have left."""
    from datasites.state.kept_books import open_ledger

    state = chosen_state(options)
    ledger = open_ledger(state)
    ledger.verify()
    say(f"The ledger's chain holds: {len(ledger.entries())} entries.")
    if options.receipts:
        _compare_receipts(state, options.receipts)


def _compare_receipts(state: StateFolder, places: list[Path]) -> None:
    from datasites.state.last_known import disagree
    from datasites.state.outside_anchor import compare, find_receipts

    done = list(compare(state, find_receipts(places)))
    for one in done:
        say(f"{'ok' if one.own and not one.missing else 'PROBLEM' if one.own else 'skipped':<8}{one.file}: {one.told}")
        for what in one.missing:
            say(f"           {what}")
    if not any(one.own for one in done):
        raise ConfigError("None of these receipts is this datasite's; nothing was compared.")
    if wrong := [one.file.name for one in done if one.missing]:
        raise disagree(f"{len(wrong)} receipts state what the books do not hold: {', '.join(wrong)}")


def show(options: argparse.Namespace) -> None:
    """Prints the privacy ledger's entries, a JSON line each."""
    for entry in console.call(options, "GET", "/ledger"):
        say_json(entry)


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    ledger = commands.group("ledger", "The privacy ledger.")
    ledger.add("verify", verify).add_argument(
        "--receipts",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="receipts, or folders of them, to compare the books with",
    )
    ledger.add("show", show)
