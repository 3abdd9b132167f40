"""From a study's settings (rounds, local epochs, an epsilon) to a plan with every value written out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from policies.answers import rounded
from policies.budget.accountant import calibrate_noise, epsilon_spent, plan_spend
from policies.budget.limits import PrivacyBudget
from policies.errors import FederationError, PlanError
from policies.graphs.losses.own_loss import check_loss
from policies.graphs.own_model import check_graph
from policies.plans.model_options import check_features, check_options
from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.plans.rounds.sampling import RANDOM_ALLOCATION, check_sampling, steps_of_epoch
from policies.plans.tokeniser import TEXT_MODELS, check_text
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.settings import declared
from researcher.hospitals.differences import differences
from researcher.planning import few_rounds, recipes
from researcher.planning.count_settings import GramSettings
from researcher.planning.own_model import own_model, own_objective
from researcher.planning.settings import StudySettings

if TYPE_CHECKING:
    from researcher.hospitals.hospital import DatasetInfo


def make_plan(settings: StudySettings, datasets: Sequence[DatasetInfo]) -> TrainingPlan:
    """Returns the plan that follows from a study's settings on these datasets, which must agree in what a model sees.

    Args:
        settings: What the researcher chose.
        datasets: What the hospitals publish, as `Federation.datasets` gives it.

    Raises:
        FederationError: The datasets differ in name, classes, kind of labels, picture shape, picture form or unit, or,
            for a model that takes reports, in their form.
        PlanError: A setting is out of range, the model takes reports and the datasets have none, an own model is for
            other pictures or classes, or the engine cannot train the model with differential privacy.
        ConfigError: The file of an own model's or loss's graph cannot be read.
        GraphError: An own loss is for other labels than the datasets'.
        BudgetTooSmall: No noise keeps the study within the epsilon.
    """
    first = agreeing(datasets, with_text=settings.model in TEXT_MODELS)
    local_epochs, sample_rate = settings.chosen("local_epochs"), settings.chosen("sample_rate")
    if local_epochs <= 0 or not 0 < sample_rate <= 1:
        raise PlanError(
            f"local_epochs must be above 0 and sample_rate in (0, 1], got {local_epochs} and {sample_rate}."
        )
    model = _model(settings, first)
    check_text(model, first.text)
    if settings.epsilon is not None or settings.noise_multiplier is not None:
        check_delta(settings.delta, datasets)
    plan = TrainingPlan(
        study=settings.study,
        dataset=first.name,
        model=model,
        run=settings.run,
        objective=settings.objective if settings.loss_graph is None else own_objective(settings.loss_graph),
        statement=settings.statement,
        **{"server": settings.server, **_of_plan(settings, derived=False), **_training(settings, model, datasets)},
    )
    check_features(plan)
    check_graph(plan)
    check_loss(plan)
    if plan.privacy is not None:
        from datasites.training.engines import check_trainable  # late: torch takes seconds to import

        check_trainable(model, plan.run.engine)
    return plan


def make_gram_plan(settings: GramSettings, datasets: Sequence[DatasetInfo]) -> GramPlan:
    """Returns the plan of a Gram matrix that follows from its settings on these datasets, which must agree.

    Args:
        settings: What the researcher chose.
        datasets: What the hospitals publish, as `Federation.datasets` gives it.

    Raises:
        FederationError: The datasets differ in what a model sees or answers.
        PlanError: A setting is out of range, or the model is no head on features.
        BudgetTooSmall: No noise keeps it within the epsilon.
    """
    first = agreeing(datasets)
    check_delta(settings.delta, datasets)
    model = ModelSpec(settings.model, first.image_shape, len(first.class_names), settings.options, first.label_kind)
    check_options(model)
    noise = few_rounds.gram_noise(PrivacyBudget(settings.epsilon, settings.delta))
    return GramPlan(
        study=settings.study,
        dataset=first.name,
        model=model,
        privacy=ReleaseSpec(noise, settings.delta, first.unit),
        statement=settings.statement,
    )


def _model(settings: StudySettings, dataset: DatasetInfo) -> ModelSpec:
    """The model that the settings name, or the own one whose graph they give."""
    if settings.model_graph is not None:
        return own_model(settings.model_graph, dataset)
    options = dict(settings.options)
    if settings.model in TEXT_MODELS and dataset.text is not None:
        options = {**dataset.text.options, **options}
    return ModelSpec(settings.model, dataset.image_shape, len(dataset.class_names), options, dataset.label_kind)


def _training(settings: StudySettings, model: ModelSpec, datasets: Sequence[DatasetInfo]) -> dict[str, Any]:
    """The plan's settings of training: the recipe's, or the settings'."""
    unit = datasets[0].unit
    if settings.recipe == "none":
        rounds = settings.chosen("num_rounds")
        steps = max(1, round(settings.chosen("local_epochs") / settings.chosen("sample_rate")))
        check_sampling(settings.sampling, sample_rate=settings.chosen("sample_rate"), steps_per_round=steps)
        return {
            "rounds": rounds,
            "steps_per_round": steps,
            "sample_rate": settings.chosen("sample_rate"),
            "learning_rate": settings.chosen("learning_rate"),
            "privacy": _privacy(settings, unit, steps * rounds),
            **_of_plan(settings, derived=True),
        }
    sizes = [dataset.public_size for dataset in datasets]
    if settings.recipe == few_rounds.NAME:
        few = few_rounds.few_rounds(
            model,
            sizes,
            epsilon=settings.epsilon,
            delta=settings.delta,
            rounds=settings.num_rounds,
            repetitions=settings.repetitions,
        )
        return dict(few.settings(delta=settings.delta, unit=unit))
    recipe = recipes.auto(
        model,
        sizes,
        epsilon=settings.epsilon,
        delta=settings.delta,
        rounds=settings.num_rounds,
        augmentation=settings.augmentation,
        sampling=settings.sampling,
        repetitions=settings.repetitions,
    )
    found = recipe.settings(delta=settings.delta, unit=unit)
    if settings.server.strategy in ("fed_adagrad", "mr_mtl"):  # which keep no momentum
        found["server_momentum"] = 0.0
    if settings.server.strategy == "mr_mtl":  # each hospital's model is what its own updates made of it
        found["server_averaging"] = 0.0
    return found


def _of_plan(settings: StudySettings, *, derived: bool) -> dict[str, Any]:
    """The settings that the plan declares: those that a recipe derives, or the others."""
    known = declared(StudySettings)
    return {name: settings.chosen(name) for name in declared(TrainingPlan) if known[name].derived is derived}


def _privacy(settings: StudySettings, unit: str, steps: int) -> PrivacySpec | None:
    noise = settings.noise_multiplier
    if noise is None:
        if settings.epsilon is None:
            return None
        budget = PrivacyBudget(settings.epsilon, settings.delta)
        rate = settings.chosen("sample_rate")
        noise = calibrate_noise(
            budget,
            sample_rate=rate,
            steps=steps * settings.repetitions,
            allocated_over=steps_of_epoch(rate) if settings.sampling == RANDOM_ALLOCATION else 0,
        )
    return PrivacySpec(noise, settings.chosen("max_grad_norm"), settings.delta, unit)


def check_delta(delta: float, datasets: Sequence[DatasetInfo]) -> None:
    """Refuses a delta at which giving away one whole record, drawn at random, would count as private.

    Raises:
        PlanError: It is not below 1 divided by the public size of each.
    """
    for dataset in datasets:
        if delta * dataset.public_size >= 1:
            fits = rounded.number(float(f"{0.1 / dataset.public_size:.0e}"))
            raise PlanError(
                f"delta {rounded.number(delta)} promises nothing to the {dataset.public_size} units at "
                f"{dataset.datasite}: it must be below 1/{dataset.public_size}. Set --delta to {fits}."
            )


def study_epsilon(plan: TrainingPlan) -> float | None:
    """Returns the epsilon that the whole study costs at each hospital, at the plan's delta.

    Args:
        plan: The study's plan.

    Returns:
        Epsilon per privacy unit; None without differential privacy.
    """
    if plan.privacy is None:
        return None
    return epsilon_spent(plan_spend(plan), plan.privacy.delta)


def cost_of_counts(plan: EvaluationPlan | StatisticsPlan | GramPlan) -> str:
    """Returns what counts or a Gram matrix cost at each hospital, in words: `epsilon 2.05 at delta 1e-5`."""
    return rounded.at_delta(epsilon_spent(plan_spend(plan), plan.privacy.delta), plan.privacy.delta)


def agreeing(datasets: Sequence[DatasetInfo], *, with_text: bool = False) -> DatasetInfo:
    """The first of datasets that agree in what a model sees or answers.

    Raises:
        FederationError: There is none, or they differ.
    """
    if not datasets:
        raise FederationError("No dataset to plan for. Connect to at least one hospital that publishes one.")
    first = datasets[0]
    for other in datasets[1:]:
        for found in differences(first, other, with_text=with_text):
            raise FederationError(
                f"The datasets differ in {found.what}: {found.here} at {first.datasite}, {found.there} at "
                f"{other.datasite}. {found.means}"
            )
    return first
