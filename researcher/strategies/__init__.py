"""Strategies: make client updates the next global model. A strategy sees what hospitals released, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from policies import validate
from policies.errors import PlanError
from researcher.strategies.averager import Averager
from researcher.strategies.fed_avg import FedAvg
from researcher.strategies.state import ClientUpdate, ServerState, Strategy, Weights, check_update

__all__ = [
    "STRATEGIES",
    "Averager",
    "ClientUpdate",
    "FedAvg",
    "ServerState",
    "Strategy",
    "Weights",
    "build",
    "check_update",
]

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {"fed_avg": FedAvg}
"""Name → frozen dataclass of settings with `init` and `apply`. A new algorithm: a file, and a line here."""


def build(name: str, **options: Any) -> Strategy:
    """The strategy `name` with these settings.

    Raises:
        PlanError: No such strategy, a setting that it does not have, or a value out of range.
    """
    strategy = STRATEGIES[validate.choice("strategy", name, tuple(STRATEGIES))]
    known = [setting.name for setting in fields(strategy)]  # type: ignore[arg-type]
    if unknown := sorted(set(options) - set(known)):
        raise PlanError(f"Strategy {name} has no setting {unknown[0]!r}; it has {', '.join(known)}.")
    return strategy(**options)
