"""Commands about what datasets may cost: `budget`, `limits`. The hospital sets the limits; a change is logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands, identifier, tell
from policies.errors import ConfigError
from policies.terminal.commands import argument, option


def budget(chosen: Chosen) -> None:
    """Shows the privacy budget of each dataset."""
    from datasites.console.shown.tables import budget_table

    console.show(chosen, console.call(chosen, "GET", "/budget"), budget_table)


def limits(chosen: Chosen, *, changes: Sequence[str], reason: str) -> None:
    """Shows the dataset's limits and what is proposed, or changes some; what allows more needs a reason."""
    new = dict(_assignment(text) for text in changes)
    if reason and not new:
        raise ConfigError("A reason goes with a change: --set NAME=VALUE --reason TEXT.")
    call = ("POST", "/limits", {"changes": new, "reason": reason}) if new else ("GET", "/limits")
    _show(chosen, console.call(chosen, *call), changed=bool(new))


def confirm(chosen: Chosen, *, proposal: str) -> None:
    """Confirms a proposal to allow more; with the last person that it takes, it is in force."""
    _show(chosen, console.call(chosen, "POST", f"/limits/proposals/{proposal}/confirm"), changed=True)


def withdraw(chosen: Chosen, *, proposal: str) -> None:
    """Withdraws a proposal to allow more."""
    answer = console.call(chosen, "POST", f"/limits/proposals/{proposal}/withdraw")
    tell(chosen, answer, f"Proposal {proposal} is withdrawn; the limits are as they were.")


def _show(chosen: Chosen, answer: Any, *, changed: bool) -> None:
    from datasites.console.shown.tables import limits_change, limits_table

    console.show(chosen, answer, limits_change if changed else limits_table)


def _assignment(text: str) -> tuple[str, Any]:
    from policies.answers.limit_values import read_limit

    name, _, value = text.partition("=")
    try:
        return name, read_limit(value)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            "Expected NAME=VALUE such as max_rounds=100, adaptive_filter=yes, 'max_grad_norms=0.01 to 10' or "
            f"'model_sources=built_in, graph', got {text!r}."
        ) from error


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    commands.add("budget", budget)
    told = "epsilon=10, max_rounds=100, ... (repeatable)"
    limit = commands.within("limits", "The dataset's limits: what is set, and proposals to allow more.")
    limit.alone(
        limits,
        option("--set", told, name="changes", value="NAME=VALUE", repeated=True),
        option("--reason", "why; needed by what allows more", default=""),
    )
    proposal = argument("proposal", "identifier of the proposal", kind=identifier("proposal"))
    limit.add("confirm", confirm, proposal)
    limit.add("withdraw", withdraw, proposal)
