"""From what a researcher wants (rounds, local epochs, an epsilon) to a plan with every value written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policies import validate
from policies.budget.accountant import GaussianSteps, calibrate_noise
from policies.budget.limits import PrivacyBudget
from policies.errors import FederationError, PlanError
from policies.plans.features import check_features
from policies.plans.tokeniser import TEXT_MODELS, check_text
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan
from researcher.hospitals.hospital import DatasetInfo
from researcher.planning import recipes


@dataclass(frozen=True)
class Wishes:
    """The settings that a researcher chooses; the rest of the plan follows from them and from the datasets' schema.

    Attributes:
        study: Name of the study.
        model: Name of the model.
        options: The model's options.
        recipe: `auto` derives all settings of training, the attributes from `local_epochs` to `server_averaging`
            without `epsilon`, `delta`, `repetitions`, `augmentation` and `pictures_per_patient`, by
            `researcher.planning.recipes`; `none` takes them from here.
        num_rounds: Rounds; 5 if None, or the recipe's.
        local_epochs: Expected passes over a hospital's pictures in one round.
        sample_rate: Poisson probability of a unit to join a step.
        epsilon: What the whole study may cost at each hospital; None for no differential privacy.
        noise_multiplier: Instead of epsilon: the noise itself.
        delta: At which epsilon is stated.
        repetitions: How many studies of this length the epsilon has to cover.
        max_grad_norm: Clipping bound.
        learning_rate, momentum, schedule, augmentation: Of the local optimiser.
        augmentation_multiplicity: Views of each drawn picture in a step.
        pictures_per_patient: Of each drawn patient, in a step.
        server_momentum, server_averaging: Of the researcher's federated averaging.
        weights_encoding, update_encoding: How global weights and client updates travel.
        run: Performance settings.
    """

    study: str = "study"
    model: str = "small_cnn"
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    recipe: str = "none"
    num_rounds: int | None = None
    local_epochs: float = 1.0
    sample_rate: float = 0.1
    epsilon: float | None = 8.0
    noise_multiplier: float | None = None
    delta: float = 1e-5
    repetitions: int = 1
    max_grad_norm: float = 1.0
    learning_rate: float = 0.5
    schedule: str = "cosine"
    momentum: float = 0.0
    augmentation: str = "none"
    augmentation_multiplicity: int = 1
    pictures_per_patient: int = 1
    server_momentum: float = 0.0
    server_averaging: float = 0.0
    weights_encoding: str = "none"
    update_encoding: str = "none"
    run: RunSpec = field(default_factory=RunSpec)


def make_plan(wishes: Wishes, datasets: Sequence[DatasetInfo]) -> TrainingPlan:
    """Returns the plan that fulfils the wishes on these datasets, which must agree in what a model sees.

    Args:
        wishes: What the researcher chose.
        datasets: What the hospitals publish, as `Federation.datasets` gives it.

    Raises:
        FederationError: The datasets differ in name, classes, picture shape or unit, or, for a model that takes
            reports, in their form.
        PlanError: A wish is out of range, the model takes reports and the datasets have none, or the engine cannot
            train the model with differential privacy.
        BudgetTooSmall: No noise keeps the study within the epsilon.
    """
    first = _agreeing(datasets, with_text=wishes.model in TEXT_MODELS)
    if wishes.local_epochs <= 0 or not 0 < wishes.sample_rate <= 1:
        raise PlanError(
            f"local_epochs must be above 0 and sample_rate in (0, 1], got "
            f"{wishes.local_epochs} and {wishes.sample_rate}."
        )
    options = dict(wishes.options)
    if wishes.model in TEXT_MODELS and first.text is not None:
        options = {**first.text.options, **options}
    model = ModelSpec(wishes.model, first.image_shape, len(first.class_names), options)
    check_text(model, first.text)
    plan = TrainingPlan(
        study=wishes.study,
        dataset=first.name,
        model=model,
        augmentation=wishes.augmentation,
        pictures_per_patient=wishes.pictures_per_patient,
        weights_encoding=wishes.weights_encoding,
        update_encoding=wishes.update_encoding,
        run=wishes.run,
        **_training(wishes, model, datasets),
    )
    check_features(plan)
    if plan.privacy is not None:
        from datasites.training.engines import check_trainable  # late: torch takes seconds to import

        check_trainable(model, plan.run.engine)
    return plan


def _training(wishes: Wishes, model: ModelSpec, datasets: Sequence[DatasetInfo]) -> dict[str, Any]:
    """The plan's settings of training: the recipe's, or the wishes'."""
    unit = datasets[0].unit
    if validate.choice("recipe", wishes.recipe, recipes.RECIPES) == "none":
        rounds, steps = wishes.num_rounds or 5, max(1, round(wishes.local_epochs / wishes.sample_rate))
        return {
            "rounds": rounds,
            "steps_per_round": steps,
            "sample_rate": wishes.sample_rate,
            "learning_rate": wishes.learning_rate,
            "learning_rate_schedule": wishes.schedule,
            "momentum": wishes.momentum,
            "augmentation_multiplicity": wishes.augmentation_multiplicity,
            "server_momentum": wishes.server_momentum,
            "server_averaging": wishes.server_averaging,
            "privacy": _privacy(wishes, unit, steps * rounds),
        }
    recipe = recipes.auto(
        model,
        [dataset.public_size for dataset in datasets],
        epsilon=wishes.epsilon,
        delta=wishes.delta,
        rounds=wishes.num_rounds,
        augmentation=wishes.augmentation,
        repetitions=wishes.repetitions,
    )
    return recipe.settings(delta=wishes.delta, unit=unit)


def _privacy(wishes: Wishes, unit: str, steps: int) -> PrivacySpec | None:
    noise = wishes.noise_multiplier
    if noise is None:
        if wishes.epsilon is None:
            return None
        budget = PrivacyBudget(wishes.epsilon, wishes.delta)
        noise = calibrate_noise(budget, sample_rate=wishes.sample_rate, steps=steps * wishes.repetitions)
    return PrivacySpec(noise, wishes.max_grad_norm, wishes.delta, unit)


def study_epsilon(plan: TrainingPlan) -> float | None:
    """Returns the epsilon that the whole study costs at each hospital, at the plan's delta.

    Args:
        plan: The study's plan.

    Returns:
        Epsilon per privacy unit; None without differential privacy.
    """
    from policies.budget.accountant import epsilon_spent

    if plan.privacy is None:
        return None
    steps = GaussianSteps(plan.privacy.noise_multiplier, plan.sample_rate, plan.total_steps)
    return epsilon_spent((steps,), plan.privacy.delta)


def _agreeing(datasets: Sequence[DatasetInfo], *, with_text: bool) -> DatasetInfo:
    if not datasets:
        raise FederationError("No dataset to plan for. Connect to at least one hospital that publishes one.")
    first = datasets[0]
    for other in datasets[1:]:
        for what in ("name", "class_names", "image_shape", "unit", *(("text",) if with_text else ())):
            if getattr(first, what) != getattr(other, what):
                here, there = getattr(first, what) or "none", getattr(other, what) or "none"
                raise FederationError(
                    f"The datasets differ in {what}: {here} at {first.datasite}, {there} at {other.datasite}. One "
                    "study needs the same at every hospital."
                )
    return first
