"""Commands about code requests and their runs. A person decides, and a reason goes out; of a run, states are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands
from datasites.cli.state_option import chosen_state
from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say

if TYPE_CHECKING:
    from pathlib import Path


def requests(chosen: Chosen) -> None:
    """Lists code requests."""
    from datasites.console.tables import request_table

    console.show(chosen, console.call(chosen, "GET", "/requests"), request_table)


def show(chosen: Chosen, *, request: str) -> None:
    """Shows one request's card."""
    from datasites.console.tables import request_card

    console.show(chosen, console.call(chosen, "GET", f"/requests/{_named(request)}"), request_card)


def approve(chosen: Chosen, *, request: str) -> None:
    """Approves a request and reserves its budget."""
    card = console.call(chosen, "POST", f"/requests/{_named(request)}/approve")
    if card["state"] == "pending":
        given, needed = len(card["approvals"]), card["approvals_needed"]
        say(f"Approval {given} of {needed} for {card['id'][:8]}; nothing is reserved before the last one.")
        return
    say(f"Approved {card['id'][:8]}: {card['plan']['rounds']} rounds on '{card['plan']['dataset']}', {_cost(card)}.")


def rehearse(chosen: Chosen, *, request: str) -> None:
    """Has a request rehearsed on the mock, again if it was before."""
    asked = console.call(chosen, "POST", f"/requests/{_named(request)}/rehearse")
    say(f"The rehearsal of {asked['request_id'][:8]} is {asked['state']}; 'show' says what it comes to.")


def deny(chosen: Chosen, *, request: str, reason: str) -> None:
    """Denies a request with a reason."""
    card = console.call(chosen, "POST", f"/requests/{_named(request)}/deny", {"reason": reason})
    say(f"Denied {card['id'][:8]}: {card['reason']}")


def end(chosen: Chosen, *, request: str, reason: str) -> None:
    """Ends an approved request; its unused budget becomes free."""
    card = console.call(chosen, "POST", f"/requests/{_named(request)}/end", {"reason": reason})
    say(f"Ended {card['id'][:8]}: {card['reason']}")


def study_report(chosen: Chosen, *, study: str, holdout: Path, column: Sequence[str], html: Path | None) -> None:
    """Reports, to the hospital alone, what a study's models are worth here and what its updates give away."""
    from datasites.study_report.printed import print_report

    print_report(chosen_state(chosen), study, holdout, column, page=html, as_json=chosen.json)


def runs(chosen: Chosen) -> None:
    """Lists runs."""
    from datasites.console.tables import run_table

    console.show(chosen, console.call(chosen, "GET", "/runs"), run_table)


def cancel(chosen: Chosen, *, run: str) -> None:
    """Cancels a run. One that has started stays charged, and its round is not run again."""
    left = console.call(chosen, "POST", f"/runs/{console.called('run', run)}/cancel")
    say(f"Run {left['id']} is {left['state']}.")


def _named(request: str) -> str:
    return console.called("request", request)


def _cost(card: Mapping[str, Any]) -> str:
    if card["epsilon"] is None:
        return "without differential privacy"
    return f"epsilon {card['epsilon']:.2f} reserved at delta {card['delta']:g}"


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    commands.add("requests", requests)
    request = argument("request", "identifier, or its beginning")
    reason = option("--reason", "the researcher will read it", required=True)
    commands.add("show", show, request)
    commands.add("approve", approve, request)
    commands.add("rehearse", rehearse, request)
    commands.add("deny", deny, request, reason)
    commands.add("end", end, request, reason)
    commands.add("runs", runs)
    commands.add(
        "study-report",
        study_report,
        argument("study", "name of the study, or the beginning of its request's identifier"),
        option(
            "--holdout", "own pictures that no study has read: a folder, an .npz or a table", kind=path, required=True
        ),
        option("--column", "column of the table whose values are subgroups", value="NAME", repeated=True),
        option("--html", "page to write, readable by this account alone", kind=path, value="FILE"),
    )
    commands.add("cancel", cancel, argument("run", "identifier of the run"))
