"""The strategy that a plan names, with its settings, and whether enough updates can come for it."""

from __future__ import annotations

from policies.errors import ConfigError
from policies.plans.training import TrainingPlan
from researcher.strategies import Strategy, build


def strategy_of(plan: TrainingPlan) -> Strategy:
    """The plan's strategy with the settings that stand in the plan."""
    shared = {"server_momentum": plan.server_momentum, "server_averaging": plan.server_averaging}
    return build(plan.server.strategy, **shared, **plan.server.read)


def check_enough(strategy: Strategy, min_clients: int) -> None:
    """Refuses rounds that could end with fewer client updates than the strategy needs, before anybody is asked.

    Raises:
        ConfigError: `min_clients` is too few, or the strategy lacks what it steps by.
    """
    if lacks := getattr(strategy, "lacks", ""):
        raise ConfigError(lacks)
    least = getattr(strategy, "least_updates", 1)
    if min_clients < least:
        raise ConfigError(
            f"The study's strategy needs {least} client updates a round, min_clients is {min_clients}. Set min_clients "
            f"to {least} or more, or choose another strategy."
        )
