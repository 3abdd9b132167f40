"""Commands about the audit log: `audit verify`, `audit export`, which need no running datasite, and `audit search`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, tell
from datasites.cli.state_option import chosen_state
from policies.terminal.commands import argument, option, path, switch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path


def verify(chosen: Chosen) -> None:
    """Checks the audit log's chain and its sealed end, and the ledger against it."""
    from datasites.audit_log import chain as audit_chain
    from datasites.audit_log import ledger_witness
    from datasites.state.kept_books import open_ledger, read_audit, seal_of

    state = chosen_state(chosen)
    head = audit_chain.verify(state.audit, seal_of(state))
    events = read_audit(state, ledger_witness.is_witness).entries
    unknown = ledger_witness.check(open_ledger(state).entries(), events)
    tell(
        chosen,
        {"entries": head.entries, "head": head.hash, "ledger_entries_after": unknown},
        f"The audit log's chain holds: {head.entries} entries, its head is {head.hash[:16]}.",
        f"The ledger is the one that the log names; {unknown} of its entries came after the last it names.",
    )


def export(chosen: Chosen, *, file: Path, since: date | None, until: date | None) -> None:
    """Writes the audit log, or some days of it, to a file for an auditor."""
    from datasites.audit_log import export as audit_export
    from datasites.state.kept_books import seal_of

    state = chosen_state(chosen)
    count = audit_export.export(state.audit, file, seal=seal_of(state), since=since, until=until)
    told = f"{count} events written to {file}; its last line holds their digest."
    tell(chosen, {"events": count, "file": str(file)}, told)


def search(
    chosen: Chosen,
    *,
    words: Sequence[str],
    event: str | None,
    by: str | None,
    since: date | None,
    until: date | None,
    count: int,
    after: int | None,
    all_pages: bool,
    verify_chain: bool,
) -> None:
    """Lists events of the audit log, the newest last: all, or those with words, of a kind, of a person or of days."""
    from datasites.console.shown.tables import audit_table

    page = console.pages(
        chosen,
        "/audit",
        all_pages,
        text=" ".join(words),
        event=event,
        by=by,
        since=since,
        until=until,
        count=count,
        after=after,
        verify=verify_chain,
    )
    console.show(chosen, page, audit_table, rows=True)


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    audit = commands.within("audit", "The audit log.")
    days = (
        option("--since", "first day, as 2026-11-23 (UTC)", kind=_day, value="DAY"),
        option("--until", "last day, included", kind=_day, value="DAY"),
    )
    audit.add("verify", verify)
    audit.add(
        "export",
        export,
        argument("file", "file to write: .csv for CSV, else JSON lines", kind=path),
        *days,
    )
    audit.add(
        "search",
        search,
        argument("words", "each of them begins a word of the event", repeated=True),
        option("--event", "of this name, such as 'request approved'"),
        option("--by", "done by this person, account or researcher", value="WHO"),
        *days,
        option("--count", "how many of the newest", kind=int, default=50),
        option("--after", "go on after this line of the log, the oldest of the page before", kind=int, value="LINE"),
        switch("--all", "list all of them", name="all_pages"),
        switch("--verify", "check the whole chain first", name="verify_chain"),
    )


def _day(text: str) -> date:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"expected a day such as 2026-11-23, got {text!r}") from error
