"""Scores of what hospitals share of a model of which each keeps a part. Public pictures alone come in here.

No hospital's local part is at the researcher's side, and scoring the shared part with the local part that a study began
with would say nothing. So one half of the hold-out fits a local part at home, and the other half scores it: how far a
newcomer gets with what the hospitals share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from policies.errors import DataError
from policies.plans.server.local_part import keeps_part, local_names
from policies.plans.training import TrainingPlan
from researcher.evaluation.evaluation import Evaluation, evaluate, inputs_of
from researcher.evaluation.hold_out import HoldOut

_HALVES: WeakKeyDictionary[HoldOut, tuple[HoldOut, HoldOut]] = WeakKeyDictionary()


def evaluate_round(plan: TrainingPlan, weights: Mapping[str, np.ndarray], hold_out: HoldOut) -> Evaluation:
    """Scores a round's global model; where hospitals keep a part of it, with one fitted here in its place.

    Args:
        plan: The study's.
        weights: Name → float32 array of each parameter.
        hold_out: Public pictures.

    Raises:
        DataError: As `evaluate`; or there are too few pictures to fit on some and score on others.
    """
    if not keeps_part(plan):
        return evaluate(plan.model, weights, hold_out)
    from datasites.training.local_fit import fit_local_part  # late: torch takes seconds to import

    if hold_out not in _HALVES:
        _HALVES[hold_out] = halves(hold_out)
    fitting, scoring = _HALVES[hold_out]
    stays = local_names(plan, weights)
    images = inputs_of(plan.model, fitting)
    fitted = fit_local_part(plan.model, plan.objective, weights, stays, images, fitting.labels)
    return evaluate(plan.model, fitted, scoring)


def halves(hold_out: HoldOut) -> tuple[HoldOut, HoldOut]:
    """Two halves of a hold-out: of each class every second picture; where patients are known, every second patient.

    Args:
        hold_out: Public pictures of at least two patients, or two pictures where nobody says whose they are.

    Raises:
        DataError: There are fewer.
    """
    patients = hold_out.patients or tuple(map(str, range(len(hold_out.images))))
    first: dict[str, int] = {}
    for row, patient in enumerate(patients):
        first.setdefault(patient, row)
    in_turn = sorted(first, key=lambda patient: (np.ravel(hold_out.labels[first[patient]]).tolist(), first[patient]))
    if len(in_turn) < 2:
        raise DataError(
            "The plan's strategy keeps a part of the model at each hospital: the hold-out needs pictures of at least "
            "two patients, to fit that part on some and score it on others. Give more public pictures."
        )
    of_fitting = set(in_turn[::2])
    fits = np.array([patient in of_fitting for patient in patients])
    return _chosen(hold_out, np.flatnonzero(fits)), _chosen(hold_out, np.flatnonzero(~fits))


def _chosen(hold_out: HoldOut, rows: np.ndarray) -> HoldOut:
    """The hold-out with some of its pictures."""
    of_each = {name: getattr(hold_out, name) for name in ("reports", "places", "patients", "sites")}
    return replace(
        hold_out,
        images=hold_out.images[rows],
        labels=hold_out.labels[rows],
        features=None if hold_out.features is None else hold_out.features[rows],
        left_out=(),
        **{name: tuple(values[row] for row in rows) if values else values for name, values in of_each.items()},
    )
