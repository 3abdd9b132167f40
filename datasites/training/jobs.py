"""Runs one round of a plan of any kind. Its result is all that may leave, after the output contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import numpy as np

from datasites.training.dp_sgd.device_look import NOTHING_KEPT, KeptLook
from datasites.training.local_round import Progress, prepare_training
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.process_group import SINGLE_PROCESS, ProcessGroup
from datasites.training.releases.private_evaluation import evaluate_privately
from datasites.training.releases.private_gram import gram_privately
from datasites.training.releases.private_statistics import summarise_privately
from policies.errors import InputRefused, PlanError, RoundRefused
from policies.plans.kinds import Plan
from policies.plans.releases import EvaluationPlan, GramPlan
from policies.plans.training import TrainingPlan


class PreparedRound(Protocol):
    """A round that lacks nothing but its pictures."""

    def __call__(self, pictures: LabelledPictures, *, progress: Progress = ...) -> dict[str, np.ndarray]:
        """As `run_round`, with the pictures that the round lacks."""


def run_round(
    plan: Plan,
    round_index: int,
    weights: Mapping[str, np.ndarray],
    pictures: LabelledPictures,
    *,
    progress: Progress = lambda done, total: None,
    process_group: ProcessGroup = SINGLE_PROCESS,
) -> dict[str, np.ndarray]:
    """Runs one round of an approved plan on the hospital's pictures.

    Args:
        plan: What was approved, of any kind.
        round_index: From 0 to plan.rounds - 1.
        weights: float32 by name, exactly the model's parameters, each of its shape; none for statistics, which have no
            model, and Gram matrices, which are of what no weights change.
        pictures: The hospital's pictures, their classes and their privacy units.
        progress: Told (done, total).
        process_group: The processes that take a training plan's steps together; all call this, and the first one's
            result is the round's. Other plans, and training without differential privacy, take one process.

    Returns:
        float32 by name: the client update of a training plan, else the noised sums in `plan.outputs`.

    Raises:
        RoundRefused: `round_index` is not a round of the plan.
        PlanError: The plan does not fit the pictures or their classes, names no known model, or takes one process and
            is given several.
        DataError: A training plan knows fewer classes than the dataset has.
        InputRefused: The weights are not the model's.
        NotRepeatable, OutOfMemory: The device is unfit for private training.
    """
    return prepare_round(plan, round_index, weights, public_size=pictures.public_size, process_group=process_group)(
        pictures, progress=progress
    )


def prepare_round(
    plan: Plan,
    round_index: int,
    weights: Mapping[str, np.ndarray],
    *,
    public_size: int,
    process_group: ProcessGroup = SINGLE_PROCESS,
    slower: Callable[[str], None] = lambda name: None,
    kept: KeptLook = NOTHING_KEPT,
) -> PreparedRound:
    """Does all of a round that needs no picture, so that what fails then fails before one is read.

    Training builds its model and tries its device (see `prepare_training`). The other kinds look at their
    arguments alone: they try nothing.

    Args:
        plan: As `run_round`, like all of these.
        round_index: Likewise.
        weights: Likewise.
        public_size: The number of units that the hospital declares.
        process_group: As `run_round`; all of its processes call this, and then what it returns.
        slower: As `prepare_training`.
        kept: Likewise.

    Raises:
        RoundRefused, PlanError, InputRefused, NotRepeatable, OutOfMemory: As `run_round`.
    """
    if isinstance(plan, TrainingPlan):
        return prepare_training(
            plan, round_index, weights, public_size=public_size, process_group=process_group, slower=slower, kept=kept
        ).train
    if process_group.size > 1:
        raise PlanError("Evaluations, statistics and Gram matrices take one process. Start one.")
    if not 0 <= round_index < plan.rounds:
        raise RoundRefused(f"The plan has rounds 1 to {plan.rounds}, got round {round_index + 1}.")
    if isinstance(plan, EvaluationPlan):
        return partial(evaluate_privately, plan, weights)
    if weights:
        raise InputRefused("Statistics and Gram matrices take no weights. Send none.")
    if isinstance(plan, GramPlan):
        return partial(gram_privately, plan)
    return partial(summarise_privately, plan)
