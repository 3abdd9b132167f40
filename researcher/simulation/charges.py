"""Charges of made-up hospitals, by the hospitals' own accountant. There is no ledger here to keep them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from policies.budget.accountant import epsilon_spent, plan_spend
from policies.plans.training import TrainingPlan


class Charges:
    """The rounds that each hospital began: a round that is trained again is charged once, as its noise is the same."""

    def __init__(self, plan: TrainingPlan, rounds: int, hospitals: tuple[str, ...]) -> None:
        """Begins with what an earlier part of the simulation came to.

        Args:
            plan: The study's.
            rounds: That every hospital has done.
            hospitals: Their names.
        """
        self._plan = plan
        self._begun = {name: set(range(rounds)) for name in hospitals}
        self._known: dict[int, float] = {}

    def begin(self, hospital: str, round_index: int) -> None:
        """Charges a hospital's round when its training begins, unless that was done."""
        self._begun[hospital].add(round_index)

    def epsilon(self) -> dict[str, float]:
        """Hospital → epsilon of all rounds that it began, at the plan's delta; empty where nothing is private."""
        return self.so_far()()

    def so_far(self) -> Callable[[], dict[str, float]]:
        """What computes the epsilons of what was begun until now: workers need not wait for it."""
        rounds = {name: len(begun) for name, begun in self._begun.items() if begun and self._plan.privacy}
        return lambda: {name: self._epsilon(count) for name, count in rounds.items()}

    def _epsilon(self, rounds: int) -> float:
        privacy = self._plan.privacy
        if privacy is None:
            return 0.0
        if rounds not in self._known:
            spent = plan_spend(replace(self._plan, rounds=rounds))
            self._known[rounds] = epsilon_spent(spent, privacy.delta)
        return self._known[rounds]
