"""Commands about the audit log: `audit verify`, `audit export`, which need no running datasite, and `audit show`."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from datasites.cli import console
from datasites.cli.commands import Commands
from datasites.cli.state_option import chosen_state
from policies.terminal.printing import say, say_json


def verify(options: argparse.Namespace) -> None:
    """Checks the audit log's chain and its sealed end, and the ledger against it."""
    from datasites.audit_log import chain as audit_chain
    from datasites.audit_log import ledger_witness
    from datasites.state.kept_books import open_ledger, read_audit, seal_of

    state = chosen_state(options)
    head = audit_chain.verify(state.audit, seal_of(state))
    say(f"The audit log's chain holds: {head.entries} entries, its head is {head.hash[:16]}.")
    events = read_audit(state, ledger_witness.is_witness).entries
    unknown = ledger_witness.check(open_ledger(state).entries(), events)
    say(f"The ledger is the one that the log names; {unknown} of its entries came after the last it names.")


def export(options: argparse.Namespace) -> None:
    """Writes the audit log, or some days of it, to a file for an auditor."""
    from datasites.audit_log import export as audit_export
    from datasites.state.kept_books import seal_of

    state = chosen_state(options)
    days = {"since": options.since, "until": options.until}
    count = audit_export.export(state.audit, options.file, seal=seal_of(state), **days)
    say(f"{count} events written to {options.file}; its last line holds their digest.")


def show(options: argparse.Namespace) -> None:
    """Prints the last events of the audit log, a JSON line each."""
    for event in console.call(options, "GET", f"/audit?count={options.count}"):
        say_json(event)


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    audit = commands.group("audit", "The audit log.")
    audit.add("verify", verify)
    exporting = audit.add("export", export)
    exporting.add_argument("file", type=Path, help="file to write: .csv for CSV, else JSON lines")
    exporting.add_argument("--since", type=_day, metavar="DAY", help="first day, as 2026-11-23 (UTC)")
    exporting.add_argument("--until", type=_day, metavar="DAY", help="last day, included")
    audit.add("show", show).add_argument("--count", type=int, default=100, help="how many (default 100)")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a day such as 2026-11-23, got {text!r}") from error
