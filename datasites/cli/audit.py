"""Commands about the audit log: `audit verify`, `audit export`, which need no running datasite, and `audit show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands
from datasites.cli.state_option import chosen_state
from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say, say_json

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path


def verify(chosen: Chosen) -> None:
    """Checks the audit log's chain and its sealed end, and the ledger against it."""
    from datasites.audit_log import chain as audit_chain
    from datasites.audit_log import ledger_witness
    from datasites.state.kept_books import open_ledger, read_audit, seal_of

    state = chosen_state(chosen)
    head = audit_chain.verify(state.audit, seal_of(state))
    say(f"The audit log's chain holds: {head.entries} entries, its head is {head.hash[:16]}.")
    events = read_audit(state, ledger_witness.is_witness).entries
    unknown = ledger_witness.check(open_ledger(state).entries(), events)
    say(f"The ledger is the one that the log names; {unknown} of its entries came after the last it names.")


def export(chosen: Chosen, *, file: Path, since: date | None, until: date | None) -> None:
    """Writes the audit log, or some days of it, to a file for an auditor."""
    from datasites.audit_log import export as audit_export
    from datasites.state.kept_books import seal_of

    state = chosen_state(chosen)
    count = audit_export.export(state.audit, file, seal=seal_of(state), since=since, until=until)
    say(f"{count} events written to {file}; its last line holds their digest.")


def show(chosen: Chosen, *, count: int) -> None:
    """Prints the last events of the audit log, a JSON line each."""
    for event in console.call(chosen, "GET", f"/audit?count={count}"):
        say_json(event)


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    audit = commands.within("audit", "The audit log.")
    audit.add("verify", verify)
    audit.add(
        "export",
        export,
        argument("file", "file to write: .csv for CSV, else JSON lines", kind=path),
        option("--since", "first day, as 2026-11-23 (UTC)", kind=_day, value="DAY"),
        option("--until", "last day, included", kind=_day, value="DAY"),
    )
    audit.add("show", show, option("--count", "how many", kind=int, default=100))


def _day(text: str) -> date:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"expected a day such as 2026-11-23, got {text!r}") from error
