"""Commands about code requests: `requests`, `show`, `approve`, `deny`, `end`. A person decides; a reason goes out."""

from __future__ import annotations

import argparse
from typing import Any

from datasites.cli import console
from datasites.cli.commands import Commands
from policies.terminal.printing import say


def requests(options: argparse.Namespace) -> None:
    """Lists code requests."""
    from datasites.console.tables import request_table

    console.show(options, console.call(options, "GET", "/requests"), request_table)


def show(options: argparse.Namespace) -> None:
    """Shows one request's card."""
    from datasites.console.tables import request_card

    console.show(options, console.call(options, "GET", f"/requests/{_request(options)}"), request_card)


def approve(options: argparse.Namespace) -> None:
    """Approves a request and reserves its budget."""
    card = console.call(options, "POST", f"/requests/{_request(options)}/approve")
    if card["state"] == "pending":
        given, needed = len(card["approvals"]), card["approvals_needed"]
        say(f"Approval {given} of {needed} for {card['id'][:8]}; nothing is reserved before the last one.")
        return
    say(f"Approved {card['id'][:8]}: {card['plan']['rounds']} rounds on '{card['plan']['dataset']}', {_cost(card)}.")


def deny(options: argparse.Namespace) -> None:
    """Denies a request with a reason."""
    card = console.call(options, "POST", f"/requests/{_request(options)}/deny", {"reason": options.reason})
    say(f"Denied {card['id'][:8]}: {card['reason']}")


def end(options: argparse.Namespace) -> None:
    """Ends an approved request; its unused budget becomes free."""
    card = console.call(options, "POST", f"/requests/{_request(options)}/end", {"reason": options.reason})
    say(f"Ended {card['id'][:8]}: {card['reason']}")


def _request(options: argparse.Namespace) -> str:
    return console.called("request", options.request)


def _cost(card: dict[str, Any]) -> str:
    if card["epsilon"] is None:
        return "without differential privacy"
    return f"epsilon {card['epsilon']:.2f} reserved at delta {card['delta']:g}"


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    commands.add("requests", requests)
    for name, command in (("show", show), ("approve", approve), ("deny", deny), ("end", end)):
        about_one = commands.add(name, command)
        about_one.add_argument("request", help="identifier, or its beginning")
        if command in (deny, end):
            about_one.add_argument("--reason", required=True, help="the researcher will read it")
