"""Recipes: every setting of private training from public numbers alone. Nothing private comes in here or goes out.

The rules, what they were tuned on, and their sources are in docs/explanation-recipes.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from policies import validate
from policies.budget.accountant import calibrate_noise
from policies.budget.limits import PrivacyBudget
from policies.errors import PlanError
from policies.plans.rounds.sampling import MOST_ALLOCATED, POISSON, RANDOM_ALLOCATION, steps_of_epoch
from policies.plans.training import MAX_ROUNDS, ModelSpec, PrivacySpec

HEADS = ("features", "linear", "scattering_linear")
"""Models that are one linear layer on what is fixed, so that the length of their inputs is known."""

_ROUNDS = 100
_SAMPLE_RATE = 0.2
_LEAST_BATCH = 64  # units that the smallest hospital's step expects
_MOST_BATCH = 16_384  # units that a step expects at all hospitals together
_MOMENTUM = 0.9  # with enough rounds for it to get going
_ROUNDS_OF_MOMENTUM = 5  # an average over more rounds than a fifth of the study's would still hold the first weights


@dataclass(frozen=True)
class _Kind:
    """What differs between kinds of models.

    Attributes:
        steps: Noisy steps of a study.
        clip: max_grad_norm; for heads over the square root of their inputs' number.
        most_rate: Largest learning rate; for heads times their inputs' number.
        travel: Learning rate that suits a noise of 1; for heads times their inputs' number; see `_learning_rate`.
        schedule: Of the learning rate.
        views: Augmentation multiplicity, where pictures are augmented.
    """

    steps: int
    clip: float
    most_rate: float
    travel: float
    schedule: str
    views: int


_HEAD = _Kind(steps=100, clip=0.3, most_rate=28.0, travel=28.0, schedule="constant", views=1)
_NETWORK = _Kind(steps=200, clip=1.0, most_rate=1.0, travel=5.2, schedule="cosine", views=1)


@dataclass(frozen=True)
class Recipe:
    """What `auto` derives; each value stands in the plan under the same name.

    Attributes:
        rounds, steps_per_round, sample_rate: How often hospitals look at how many of their units.
        noise_multiplier: None without differential privacy.
        max_grad_norm: Clipping bound.
        learning_rate, learning_rate_schedule: Of plain SGD in the hospitals.
        augmentation_multiplicity: Views of a picture in a step.
        server_momentum, server_averaging: Of the researcher's federated averaging.
    """

    rounds: int
    steps_per_round: int
    sample_rate: float
    noise_multiplier: float | None
    max_grad_norm: float
    learning_rate: float
    learning_rate_schedule: str
    augmentation_multiplicity: int
    server_momentum: float
    server_averaging: float

    def settings(self, *, delta: float, unit: str) -> dict[str, Any]:
        """The values by the names of `TrainingPlan`'s fields.

        Args:
            delta: At which epsilon is stated.
            unit: Privacy unit of the datasets.
        """
        values = asdict(self)
        noise, clip = values.pop("noise_multiplier"), values.pop("max_grad_norm")
        return {**values, "privacy": None if noise is None else PrivacySpec(noise, clip, delta, unit)}


def auto(
    model: ModelSpec,
    public_sizes: Sequence[int],
    *,
    epsilon: float | None,
    delta: float,
    rounds: int | None = None,
    augmentation: str = "none",
    sampling: str = POISSON,
    repetitions: int = 1,
) -> Recipe:
    """Derives a study's settings. The same arguments always give the same recipe.

    Guarantees:
        `repetitions` studies of the recipe's steps spend at most `epsilon` at `delta` at each hospital, per privacy
        unit.

    Args:
        model: Which model is trained.
        public_sizes: The declared number of privacy units of each hospital.
        epsilon: What all repetitions together may cost; None for no differential privacy.
        delta: At which epsilon is stated.
        rounds: Rounds, or None for as many as suit; with fewer, each has more steps.
        augmentation: Of the plan.
        sampling: Of the plan; random allocation takes whole epochs in each round, so the steps nearest to these.
        repetitions: How many studies of this length the epsilon has to cover.

    Raises:
        PlanError: No hospital, a size or number of rounds under 1, an unknown model, or rounds too short to allocate.
        BudgetTooSmall: No noise keeps the study within the epsilon.
    """
    if not public_sizes:
        raise PlanError("A recipe needs the public size of at least one hospital, got none.")
    for size in public_sizes:
        validate.integer("public_size", size, low=1, high=10**12)
    parameters, inputs = _numbers_of(model)
    kind = _NETWORK if inputs is None else _HEAD
    shorter = math.sqrt(model.num_classes) if model.label_kind == "multi" else 1.0  # gradients, as many findings divide
    rounds = _ROUNDS if rounds is None else validate.integer("rounds", rounds, low=1, high=MAX_ROUNDS)
    steps_per_round = max(1, round(kind.steps / rounds))
    rate, steps_per_round, allocated = _drawn(sampling, _sample_rate(public_sizes), steps_per_round, kind.steps)
    steps, noise = rounds * steps_per_round, None
    if epsilon is not None:
        noise = calibrate_noise(
            PrivacyBudget(epsilon, delta), sample_rate=rate, steps=steps * repetitions, allocated_over=allocated
        )
    in_step = (noise or 0) * math.sqrt(len(public_sizes) * parameters) / (rate * sum(public_sizes))
    momentum = _momentum(rounds)
    return Recipe(
        rounds=rounds,
        steps_per_round=steps_per_round,
        sample_rate=rate,
        noise_multiplier=noise,
        max_grad_norm=_rounded(kind.clip * math.sqrt(inputs or 1) / shorter),
        learning_rate=_rounded(shorter * _learning_rate(kind, in_step * math.sqrt(steps), momentum, inputs or 1)),
        learning_rate_schedule=kind.schedule,
        augmentation_multiplicity=1 if augmentation == "none" else kind.views,
        server_momentum=momentum,
        server_averaging=_rounded(max(0.0, 1 - _ROUNDS_OF_MOMENTUM / rounds)),
    )


def _numbers_of(model: ModelSpec) -> tuple[int, int | None]:
    """How many numbers are trained, and for a head how many inputs it has."""
    from datasites.training.models import trainable_shapes  # late: torch takes seconds to import

    shapes = trainable_shapes(model)
    parameters = sum(math.prod(shape) for shape in shapes.values())
    return parameters, shapes["head.weight"][1] if model.name in HEADS else None


def _sample_rate(sizes: Sequence[int]) -> float:
    """A fifth of the units; more where that would be few, less where it would be more than is of use."""
    enough = min(_SAMPLE_RATE, _MOST_BATCH / sum(sizes))
    return _rounded(min(1.0, max(enough, _LEAST_BATCH / min(sizes))))


def _drawn(sampling: str, rate: float, steps_per_round: int, most_rounds: int) -> tuple[float, int, int]:
    """Sample rate, steps in a round and steps of an epoch: with random allocation the nearest that are whole epochs."""
    if sampling != RANDOM_ALLOCATION:
        return rate, steps_per_round, 0
    epoch = min(MOST_ALLOCATED, max(2, steps_of_epoch(rate)))
    if steps_per_round < epoch:
        raise PlanError(
            f"sampling 'random_allocation' takes whole epochs of {epoch} steps in each round, and recipe auto takes "
            f"{steps_per_round} steps in each of so many rounds. Set num_rounds to at most {most_rounds // epoch}, or "
            "leave sampling out."
        )
    return 1 / epoch, epoch * round(steps_per_round / epoch), epoch


def _momentum(rounds: int) -> float:
    """0.9 from 50 rounds on, less below, none under 10: momentum needs rounds to get going, and to be forgotten."""
    if rounds < 2 * _ROUNDS_OF_MOMENTUM:
        return 0.0
    return _rounded(min(_MOMENTUM, 1 - _ROUNDS_OF_MOMENTUM / rounds))


def _learning_rate(kind: _Kind, noise: float, momentum: float, inputs: int) -> float:
    """The rate at which the noise of all steps together moves the weights so far and no farther.

    Args:
        kind: Of the model.
        noise: Length of the noise in a step's mean gradient over the clipping bound, times the root of the steps.
        momentum: At the researcher; less of it allows larger steps, up to twice.
        inputs: Of a head, else 1.
    """
    rate = min(kind.most_rate, kind.travel / noise) if noise else kind.most_rate
    return rate / inputs * min(2.0, (1 - momentum) / (1 - _MOMENTUM))


def _rounded(value: float) -> float:
    """Three significant digits: what a reviewer reads is what is done."""
    return float(f"{value:.3g}")
