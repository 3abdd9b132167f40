"""Commands about the privacy ledger: `ledger verify`, which needs no running datasite, `show` and `extract`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, identifier, tell
from datasites.cli.state_option import chosen_state
from policies.errors import ConfigError
from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say, say_json

if TYPE_CHECKING:
    from pathlib import Path

    from datasites.files.state_folder import StateFolder


def verify(chosen: Chosen, *, receipts: Sequence[Path]) -> None:
    """Checks the ledger's chain and its sealed end, and compares the books with receipts that have left."""
    from datasites.state.kept_books import open_ledger

    state = chosen_state(chosen)
    ledger = open_ledger(state)
    ledger.verify()
    entries = len(ledger.entries())
    if not chosen.json:
        say(f"The ledger's chain holds: {entries} entries.")
    compared = _compare_receipts(chosen, state, receipts) if receipts else []
    if chosen.json:
        say_json({"entries": entries, "receipts": compared}, indent=2)


def _compare_receipts(chosen: Chosen, state: StateFolder, places: Sequence[Path]) -> list[dict[str, object]]:
    from datasites.state.last_known import disagree
    from datasites.state.outside_anchor import compare, find_receipts

    done = list(compare(state, find_receipts(places)))
    for one in () if chosen.json else done:
        say(f"{'ok' if one.own and not one.missing else 'PROBLEM' if one.own else 'skipped':<8}{one.file}: {one.told}")
        for what in one.missing:
            say(f"           {what}")
    if not any(one.own for one in done):
        raise ConfigError("None of these receipts is this datasite's; nothing was compared.")
    if wrong := [one.file.name for one in done if one.missing]:
        raise disagree(f"{len(wrong)} receipts state what the books do not hold: {', '.join(wrong)}")
    return [{"file": str(one.file), "own": one.own, "told": one.told} for one in done]


def show(chosen: Chosen) -> None:
    """Prints the privacy ledger's entries, a JSON line each, or with --json as one list."""
    entries = console.call(chosen, "GET", "/ledger")
    for entry in [entries] if chosen.json else entries:
        say_json(entry)


def extract(chosen: Chosen, *, request: str, out: Path) -> None:
    """Writes a signed extract for a study's papers: its rounds, and what all studies of the dataset hold together."""
    from datasites.console.records import keep_extract

    answer = console.call(chosen, "POST", f"/requests/{request}/extract")
    keep_extract(answer, out)
    told = f"Written to {out}. Whoever gets it reads what is left of the dataset's budget; it names no other study."
    tell(chosen, {"id": answer["request_id"], "file": str(out)}, told)


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    ledger = commands.within("ledger", "The privacy ledger.")
    told = "receipts, or folders of them, to compare the books with"
    ledger.add("verify", verify, option("--receipts", told, kind=path, value="PATH", words=True))
    ledger.add("show", show)
    written = option("--out", "file to write, such as NAME.ledger.json", kind=path, value="FILE", required=True)
    ledger.add("extract", extract, argument("request", "its identifier", kind=identifier("request")), written)
