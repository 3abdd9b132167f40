"""Commands about what datasets may cost: `budget`, `limits`. The hospital sets the limits; a change is logged."""

from __future__ import annotations

import argparse
import json
from typing import Any

from datasites.cli import console
from datasites.cli.commands import Commands
from policies.errors import ConfigError


def budget(options: argparse.Namespace) -> None:
    """Shows the privacy budget of each dataset."""
    from datasites.console.tables import budget_table

    console.show(options, console.call(options, "GET", "/budget"), budget_table)


def limits(options: argparse.Namespace) -> None:
    """Shows the dataset's limits, or changes some of them."""
    from datasites.console.tables import limits_table

    changes = dict(_assignment(text) for text in options.set)
    call = ("POST", "/limits", changes) if changes else ("GET", "/limits")
    console.show(options, console.call(options, *call), limits_table)


def _assignment(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        read = json.loads(value)
        json.dumps(read, allow_nan=False)  # JSON has no such number, so that it could not be sent
        return name, read
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"Expected NAME=VALUE such as max_rounds=100 or max_grad_norms=[0.01,10], got {text!r}."
        ) from error


def add_commands(commands: Commands) -> None:
    """Adds these commands to the program."""
    commands.add("budget", budget)
    commands.add("limits", limits).add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="epsilon=10, max_rounds=100, ... (repeatable)"
    )
