"""Own models of made-up hospitals, and how models do at home. They are the researcher's: no hospital made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from policies.plans.server.local_part import LOCAL
from policies.plans.server.server_spec import PERSONAL
from policies.plans.training import TrainingPlan
from researcher.evaluation.evaluation import Evaluation
from researcher.simulation.work import Work
from researcher.simulation.workers import Workers
from researcher.strategies import ServerState, Weights

_WITH_OWN = (*PERSONAL, *LOCAL)


def has_own(plan: TrainingPlan) -> bool:
    """Whether each hospital ends with a model of its own."""
    return plan.server.strategy in _WITH_OWN


def own_models(plan: TrainingPlan, state: ServerState) -> dict[str, Callable[[], Weights]]:
    """Hospital → what reads the whole model that it would begin another round with; empty for most strategies.

    Args:
        plan: The study's.
        state: After the last round.
    """
    kept = state.kept
    if kept is None or not has_own(plan):
        return {}

    def of(name: str) -> Callable[[], Weights]:
        return lambda: {**state.weights, **(kept.read(name) or {})}

    return {name: of(name) for name in kept.hospitals}


def score_own(workers: Workers, plan: TrainingPlan, state: ServerState) -> dict[str, Evaluation]:
    """Hospital → how its own model does on the hold-out; one model after the other is in memory."""
    models = own_models(plan, state)
    return dict(zip(models, workers.score_models(list(models.values())), strict=True))


def at_home(work: Work, confusions: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, float]:
    """Hospital → accuracy on hold-out pictures that are weighted to its own mix of classes.

    Args:
        work: Says each hospital's mix.
        confusions: Hospital → counts of the model that it would use, rows are true classes; empty for findings.

    Returns:
        Nothing of hospitals with a class of which the hold-out has no picture, nor where labels are findings.
    """
    found = {}
    for hospital in work.hospitals:
        confusion = np.array(confusions[hospital.name])
        if not confusion.size:
            return {}
        counts = np.bincount(work.pictures.labels[hospital.first : hospital.end], minlength=len(confusion))
        there, of_class = counts > 0, confusion.sum(axis=1)
        if of_class[there].all():
            recall = confusion.diagonal()[there] / of_class[there]
            found[hospital.name] = float((counts[there] * recall).sum() / counts.sum())
    return found
