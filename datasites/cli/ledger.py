"""Commands about the privacy ledger: `ledger verify`, which needs no running datasite, and `ledger show`."""

from __future__ import annotations

import argparse
import json

from datasites.cli import console
from datasites.cli.commands import Commands
from datasites.cli.state_option import chosen_state


def verify(options: argparse.Namespace) -> None:
    """Checks the ledger's chain and its sealed end."""
    from datasites.kept_books import open_ledger

    state = chosen_state(options)
    ledger = open_ledger(state)
    ledger.verify()
    print(f"The ledger's chain holds: {len(ledger.entries())} entries.")


def show(options: argparse.Namespace) -> None:
    """Prints the privacy ledger's entries, a JSON line each."""
    for entry in console.call(options, "GET", "/ledger"):
        print(json.dumps(entry))


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    ledger = commands.group("ledger", "The privacy ledger.")
    ledger.add("verify", verify)
    ledger.add("show", show)
