"""Commands about what datasets may cost: `budget`, `limits`. The hospital sets the limits; a change is logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasites.cli import console
from datasites.cli.commands import Chosen, HospitalCommands
from policies.errors import ConfigError
from policies.terminal.commands import option


def budget(chosen: Chosen) -> None:
    """Shows the privacy budget of each dataset."""
    from datasites.console.tables import budget_table

    console.show(chosen, console.call(chosen, "GET", "/budget"), budget_table)


def limits(chosen: Chosen, *, changes: Sequence[str]) -> None:
    """Shows the dataset's limits, or changes some of them."""
    from datasites.console.tables import limits_table

    new = dict(_assignment(text) for text in changes)
    call = ("POST", "/limits", new) if new else ("GET", "/limits")
    console.show(chosen, console.call(chosen, *call), limits_table)


def _assignment(text: str) -> tuple[str, Any]:
    import json

    name, _, value = text.partition("=")
    try:
        read = json.loads(value)
        json.dumps(read, allow_nan=False)  # JSON has no such number, so that it could not be sent
        return name, read
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"Expected NAME=VALUE such as max_rounds=100 or max_grad_norms=[0.01,10], got {text!r}."
        ) from error


def add_commands(commands: HospitalCommands) -> None:
    """Adds these commands to the program."""
    commands.add("budget", budget)
    told = "epsilon=10, max_rounds=100, ... (repeatable)"
    commands.add("limits", limits, option("--set", told, name="changes", value="NAME=VALUE", repeated=True))
