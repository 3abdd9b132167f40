"""Finds a study's rounds in the hospital's own books: what was released, and what of it is still kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasites.approvals.approvals import Approvals, Decision
from datasites.files.blob import blob_file
from datasites.files.state_folder import StateFolder
from datasites.runs.queue import RunQueue
from datasites.state.kept_books import open_ledger
from policies.answers.runs import CANARY
from policies.budget.steps import GaussianSteps
from policies.contracts import encodings
from policies.errors import ConfigError
from policies.plans.model_options import check_features
from policies.plans.server.beside import apart, taken_in
from policies.plans.server.local_part import keeps_part
from policies.plans.tokeniser import text_form
from policies.plans.training import TrainingPlan

MAX_ROUNDS = 50  # each takes two passes over thousands of pictures
_MAX_BYTES = 1 << 40
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class KeptRound:
    """One round whose update was released, with the files that are kept of it.

    Attributes:
        round: From 0.
        weights: The global weights that it began with.
        update: What the hospital released.
    """

    round: int
    weights: Path
    update: Path


@dataclass(frozen=True)
class ReleasedStudy:
    """A training study at this hospital, as its books have it.

    Attributes:
        decision: On its request.
        plan: What was approved.
        dataset_version: Which version of the dataset its rounds read.
        spent: What its rounds are charged.
        released: How many rounds released an update.
        rounds: Those of which weights and update are kept, oldest first.
    """

    decision: Decision
    plan: TrainingPlan
    dataset_version: int
    spent: tuple[GaussianSteps, ...]
    released: int
    rounds: tuple[KeptRound, ...]

    def read(self, kept: KeptRound) -> tuple[Weights, Weights]:
        """A round's global weights, and the local ones: these with the update that was released."""
        plan, decision = self.plan, self.decision
        expected = taken_in(plan, kept.round, decision.inputs)
        came = encodings.decode(kept.weights, expected, plan.weights_encoding, max_bytes=_MAX_BYTES)
        weights = dict(apart(plan, kept.round, came)[0])
        update = encodings.decode(kept.update, decision.outputs, plan.update_encoding, max_bytes=_MAX_BYTES)
        return weights, {name: weights[name] + update[name] for name in weights}


def find_study(state: StateFolder, study: str) -> ReleasedStudy:
    """Finds a training study by its name, or by the beginning of its request's identifier.

    Raises:
        ConfigError: There is none here, or several, or it is no study whose updates can be looked at, or none is kept.
        LedgerBroken: The ledger does not hold.
    """
    held = open_ledger(state).reservations().values()
    found = [one for one in held if one.study == study or one.request_id.startswith(study)] if study else []
    if len(found) != 1:
        named = ", ".join(one.request_id[:8] for one in found)
        raise ConfigError(
            f"Several requests are of study '{study}': {named}. Name one of them."
            if found
            else f"No study '{study}' was approved here. 'python -m datasites requests' lists them."
        )
    reservation = found[0]
    with _tables(state) as (approvals, queue):
        decision = approvals.of_request(reservation.request_id)
        runs = [run for run in queue.list(reservation.request_id) if run.state == "done" and run.round != CANARY]
    if decision is None:
        raise ConfigError("The decision on that request is not in the table of decisions. Look with the doctor.")
    plan = decision.approved_plan
    if not isinstance(plan, TrainingPlan):
        raise ConfigError("That request released counts, not updates: there is no model to report on.")
    if keeps_part(plan):
        raise ConfigError(
            f"The study's strategy, {plan.server.strategy}, keeps a part of the model here: what came in and left is "
            "no whole model to report on."
        )
    if check_features(plan) is not None or text_form(plan.model) is not None:
        raise ConfigError("A study report reads models of pictures alone, not of features or of pictures and reports.")
    kept = [
        KeptRound(run.round, *(blob_file(state.blobs, run.account, one) for one in (run.weights, run.update_digest)))
        for run in sorted(runs, key=lambda run: run.round)
    ]
    whole = tuple(one for one in kept if one.weights.is_file() and one.update.is_file())
    if not whole:
        raise ConfigError(
            f"The study released {len(runs)} updates, and of none are the update and the weights that it began with "
            "still kept. Make the report sooner after a study, or raise blob_expiry_hours."
        )
    return ReleasedStudy(decision, plan, reservation.dataset_version, reservation.spent, len(runs), whole[-MAX_ROUNDS:])


@contextmanager
def _tables(state: StateFolder) -> Iterator[tuple[Approvals, RunQueue]]:
    with closing(Approvals(state.approvals)) as approvals, closing(RunQueue(state.runs)) as queue:
        yield approvals, queue
