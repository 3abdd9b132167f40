"""Sums that need torch, done in a process of their own, so that the datasite itself stays small and starts fast.

It is given plans and histories, never a path to a picture.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

from policies.budget.accountant import epsilon_spent, filter_epsilon
from policies.budget.limits import PrivacyBudget
from policies.budget.membership import MembershipBounds, membership_bounds
from policies.budget.remaining import studies_left
from policies.budget.steps import GaussianSteps
from policies.errors import PlanError, RunFailed, WanwuError
from policies.ledger.composed.kept_sums import KeptSums
from policies.plans.kinds import Plan
from policies.plans.releases import EvaluationPlan, GramPlan, StatisticsPlan
from policies.plans.server.local_part import shared
from policies.plans.training import ModelSpec, TrainingPlan

log = logging.getLogger(__name__)

MAX_REMEMBERED = 1000
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class DeclaredShapes:
    """Names and shapes of the arrays that a plan's round takes in and lets out."""

    inputs: Shapes
    outputs: Shapes


class Sums(Protocol):
    """What computes: `datasites.runs.processes.sums.SumsProcess`."""

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function gives; `RunFailed` where the process has ended."""

    def end(self) -> None:
        """Ends it."""


class Calculator:
    """Computes epsilons and parameter shapes, one question after the other, in a process that the first one starts.

    Guarantees:
        What a history costs is a finite number, or there is an error of the platform: `PlanError` where the sum fails
        or finds no bound, `RunFailed` where the process cannot be had. So no caller meets another error, and nothing
        without a price is taken for one that has one.
    """

    def __init__(self, start: Callable[[], Sums], kept: KeptSums | None = None) -> None:
        """Starts nothing yet.

        Args:
            start: Starts the process; raises `RunFailed` where it cannot.
            kept: What histories cost, from before; None keeps it until the process ends.
        """
        self._start, self._kept = start, kept
        self._sums: Sums | None = None
        self._lock = threading.Lock()
        self._remembered: dict[tuple[tuple[GaussianSteps, ...], float | PrivacyBudget], float] = {}
        self._shapes: dict[tuple[ModelSpec, str | None], Shapes] = {}
        self._bounds: dict[tuple[GaussianSteps, ...], MembershipBounds] = {}
        self._left: dict[tuple[object, ...], int] = {}

    def prepare(self) -> None:
        """Starts the process and has it import what sums need, so that the first question does not wait for that.

        A failure is left to the first question, which reports it.
        """
        with contextlib.suppress(RunFailed):
            self._ask(_first_sums)

    def epsilon_spent(self, history: Sequence[GaussianSteps], delta: float) -> float:
        """Same as `policies.budget.accountant.epsilon_spent`; answers that were given before cost nothing."""
        return self._asked(epsilon_spent, tuple(history), delta)

    def filter_epsilon(self, history: Sequence[GaussianSteps], budget: PrivacyBudget) -> float:
        """Same as `policies.budget.accountant.filter_epsilon`, likewise."""
        return self._asked(filter_epsilon, tuple(history), budget)

    def membership(self, history: Sequence[GaussianSteps]) -> MembershipBounds:
        """Same as `policies.budget.membership.membership_bounds`, likewise."""
        asked = tuple(history)
        known = self._bounds.get(asked)
        if known is None:
            known = membership_bounds(asked) if not asked else self._priced(membership_bounds, asked)
            _remember(self._bounds, asked, known)
        return known

    def studies_left(
        self,
        history: Sequence[GaussianSteps],
        spend: Sequence[GaussianSteps],
        budget: PrivacyBudget,
        *,
        adaptive: bool,
    ) -> int:
        """Same as `policies.budget.remaining.studies_left`, likewise."""
        asked = (tuple(history), tuple(spend), budget)
        known = self._left.get((*asked, adaptive))
        if known is None:
            known = int(self._priced(partial(studies_left, adaptive=adaptive), *asked))
            _remember(self._left, (*asked, adaptive), known)
        return known

    def shapes(self, plan: Plan) -> DeclaredShapes:
        """Names and shapes of what the plan takes in and lets out.

        Raises:
            PlanError: The plan names a model or an option that does not exist, or its engine cannot train its model
                with differential privacy.
        """
        if isinstance(plan, StatisticsPlan | GramPlan):
            return DeclaredShapes({}, plan.outputs)
        engine = plan.run.engine if isinstance(plan, TrainingPlan) and plan.privacy is not None else None
        key = (plan.model, engine)
        parameters = self._shapes.get(key)
        if parameters is None:
            parameters = self._ask(_parameter_shapes, *key)
            _remember(self._shapes, key, parameters)
        outputs = plan.outputs if isinstance(plan, EvaluationPlan) else shared(plan, parameters)
        return DeclaredShapes(parameters, outputs)

    def stop(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _asked(self, function: Any, history: tuple[GaussianSteps, ...], at: float | PrivacyBudget) -> float:
        if not history:
            return 0.0
        known = self._remembered.get((history, at))
        if known is None and self._kept is not None:
            known = self._kept.get(function.__name__, history, at)
            if known is not None:
                _remember(self._remembered, (history, at), known)
        if known is None:
            known = float(self._priced(function, history, at))
            if not math.isfinite(known):
                raise PlanError(
                    "What this costs in privacy has no bound that the accountant can find, so that it cannot be "
                    "approved. Submit a plan with more noise, or with another noise_multiplier, sample_rate or number "
                    "of steps."
                )
            _remember(self._remembered, (history, at), known)
            if self._kept is not None:
                self._kept.keep(function.__name__, history, at, known)
        return known

    def _priced(self, function: Any, *arguments: Any) -> Any:
        """What a sum about histories gives; whatever it fails with is told as an error of the platform."""
        try:
            return self._ask(function, *arguments)
        except WanwuError:
            raise
        except Exception as error:
            log.exception("a cost could not be computed")
            raise PlanError(
                "What this costs in privacy could not be computed, so that it cannot be approved. Submit a plan with "
                "another noise_multiplier, sample_rate or number of steps."
            ) from error

    def _ask(self, function: Any, *arguments: Any) -> Any:
        with self._lock:
            for last_try in (False, True):
                try:
                    if self._sums is None:
                        self._sums = self._start()
                    return self._sums.ask(function, *arguments)
                except RunFailed:
                    self._end()
                    if last_try:
                        raise

    def _end(self) -> None:
        if self._sums is not None:
            self._sums.end()
            self._sums = None


def _remember(answers: dict[Any, Any], key: Any, answer: Any) -> None:
    """Keeps an answer, and begins anew where as many are kept as may be."""
    if len(answers) >= MAX_REMEMBERED:
        answers.clear()
    answers[key] = answer


@lru_cache(maxsize=1)
def _torch_ready() -> bool:
    import torch

    torch.set_num_threads(1)
    return True


def _first_sums() -> None:
    """A small sum of each kind: what they need is imported with the first."""
    membership_bounds((GaussianSteps(10.0, 1.0, 1),))
    epsilon_spent((GaussianSteps(10.0, 1.0, 1),), 1e-5)
    _parameter_shapes(ModelSpec("small_cnn", (16, 16, 1), 2), "book_keeping")


@lru_cache(maxsize=64)
def _parameter_shapes(model: ModelSpec, engine: str | None) -> Shapes:
    """The shapes of a model's parameters, once it is known that `engine` can train it, where one is named."""
    _torch_ready()
    from datasites.training.engines import check_trainable
    from datasites.training.models import trainable_shapes

    if engine is not None:
        check_trainable(model, engine)
    return trainable_shapes(model)
