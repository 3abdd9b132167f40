"""Commands about the privacy ledger: `ledger verify`, which needs no running datasite, and `ledger show`."""

from __future__ import annotations

import argparse

from datasites.cli import console
from datasites.cli.commands import Commands
from datasites.cli.state_option import chosen_state
from policies.errors import ConfigError
from policies.printing import say, say_json


def verify(options: argparse.Namespace) -> None:
    """Checks the ledger's chain."""
    from policies.ledger import Ledger

    state = chosen_state(options)
    if not state.ledger.exists():
        raise ConfigError(f"No ledger at {state.ledger}: the datasite has not served yet.")
    ledger = Ledger(state.ledger)
    ledger.verify()
    say(f"The ledger's chain holds: {len(ledger.entries())} entries.")


def show(options: argparse.Namespace) -> None:
    """Prints the privacy ledger's entries, a JSON line each."""
    for entry in console.call(options, "GET", "/ledger"):
        say_json(entry)


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    ledger = commands.group("ledger", "The privacy ledger.")
    ledger.add("verify", verify)
    ledger.add("show", show)
