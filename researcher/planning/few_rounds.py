"""A study in few rounds: every setting of a head's preconditioned steps from public numbers alone, by fixed formulas.

What they are and what they were fixed on is in docs/explanation-few-rounds.md. Nothing private comes in here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies import validate
from policies.budget.accountant import MIN_NOISE_MULTIPLIER, calibrate_noise
from policies.budget.limits import PrivacyBudget
from policies.budget.steps import GaussianSteps
from policies.errors import PlanError
from policies.plans.features import width_of
from policies.plans.training import ModelSpec, PrivacySpec, ServerSpec

NAME = "few_rounds"
ROUNDS = 20
MOST_ROUNDS = 100
_GRAM_SHARE = 0.2  # of mu squared
_CLIP = 0.5  # of a gradient on rows of length 1
_RIDGE = 0.8  # of the size of the Gram matrix's noise
_RATE = 8.0
_MOMENTUM = 0.3
_AVERAGING = 0.5


@dataclass(frozen=True)
class FewRounds:
    """What `few_rounds` derives; each value stands in the plan.

    Attributes:
        rounds: Of one step each, in which all units take part.
        gram_noise: Noise multiplier of the Gram matrix, which is a request of its own.
        noise_multiplier: Of each step.
        max_grad_norm: Clipping bound.
        server_learning_rate, server_ridge: Of strategy dp_fc.
        server_momentum, server_averaging: Likewise.
    """

    rounds: int
    gram_noise: float
    noise_multiplier: float
    max_grad_norm: float
    server_learning_rate: float
    server_ridge: float
    server_momentum: float
    server_averaging: float

    def settings(self, *, delta: float, unit: str) -> Mapping[str, Any]:
        """The values by the names of `TrainingPlan`'s fields.

        Args:
            delta: At which epsilon is stated.
            unit: Privacy unit of the datasets.
        """
        return {
            "rounds": self.rounds,
            "steps_per_round": 1,
            "sample_rate": 1.0,
            "learning_rate": 1.0,
            "privacy": PrivacySpec(self.noise_multiplier, self.max_grad_norm, delta, unit),
            "server": ServerSpec("dp_fc", self.server_learning_rate, server_ridge=self.server_ridge),
            "server_momentum": self.server_momentum,
            "server_averaging": self.server_averaging,
        }


def gram_noise(budget: PrivacyBudget) -> float:
    """The noise multiplier of the Gram matrix of a study that costs `budget` together with it.

    Guarantees:
        The matrix takes at most a fifth of the squared mu that `budget` holds: see `policies.budget.gaussian`.

    Args:
        budget: Of matrix and study together.

    Raises:
        BudgetTooSmall: No noise keeps it within the budget.
    """
    whole = calibrate_noise(budget, sample_rate=1.0, steps=1)  # 1 / mu
    unit = 10.0 ** (math.floor(math.log10(whole)) - 3)
    return max(MIN_NOISE_MULTIPLIER, float(f"{math.ceil(whole / math.sqrt(_GRAM_SHARE) / unit) * unit:.6g}"))


def few_rounds(
    model: ModelSpec,
    public_sizes: Sequence[int],
    *,
    epsilon: float | None,
    delta: float,
    rounds: int | None = None,
    repetitions: int = 1,
) -> FewRounds:
    """Derives a study's settings. The same arguments always give the same.

    Guarantees:
        A Gram matrix at `gram_noise` and `repetitions` studies of the recipe's steps together spend at most `epsilon`
        at `delta` at each hospital, per privacy unit.

    Args:
        model: Which model is trained: a head on features.
        public_sizes: The declared number of privacy units of each hospital.
        epsilon: What the matrix and all repetitions together may cost.
        delta: At which epsilon is stated.
        rounds: Rounds of one step, or None for 20.
        repetitions: How many studies of this length the epsilon has to cover.

    Raises:
        PlanError: No hospital, a size or a number of rounds out of range, no epsilon, or a model that is no head.
        BudgetTooSmall: No noise keeps the study within the epsilon.
    """
    width = width_of(model)
    if width is None:
        raise PlanError(
            f"Recipe {NAME} trains a linear head on features: model must be scattering_linear or features, got "
            f"{model.name!r}. Use recipe auto."
        )
    if model.label_kind != "single":
        raise PlanError(f"Recipe {NAME} is for pictures of one class each, these have findings. Use recipe auto.")
    if epsilon is None:
        raise PlanError(f"Recipe {NAME} trains with differential privacy. Give an epsilon, or use recipe auto.")
    if not public_sizes:
        raise PlanError("A recipe needs the public size of at least one hospital, got none.")
    for size in public_sizes:
        validate.integer("public_size", size, low=1, high=10**12)
    rounds = ROUNDS if rounds is None else validate.integer("rounds", rounds, low=1, high=MOST_ROUNDS)
    budget, inputs = PrivacyBudget(epsilon, delta), width + 1
    of_gram = gram_noise(budget)
    noise = calibrate_noise(
        budget, sample_rate=1.0, steps=rounds * repetitions, history=(GaussianSteps(of_gram, 1.0, 1),)
    )
    return FewRounds(
        rounds=rounds,
        gram_noise=of_gram,
        noise_multiplier=noise,
        max_grad_norm=_rounded(_CLIP * math.sqrt(inputs)),
        server_learning_rate=_RATE,
        server_ridge=_rounded(_RIDGE * of_gram * math.sqrt(len(public_sizes) * inputs)),
        server_momentum=_MOMENTUM,
        server_averaging=_AVERAGING,
    )


def _rounded(value: float) -> float:
    """Three significant digits: what a reviewer reads is what is done."""
    return float(f"{value:.3g}")
