"""The work of a simulation: the plan, the made-up hospitals with their pictures, and what is scored on.

All of it follows from settings and data, so that a simulation can be gone on with and repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from policies.errors import ConfigError
from policies.plans.public_size import rounded_up
from policies.plans.server.local_part import keeps_part
from policies.plans.training import TrainingPlan
from researcher.evaluation.copies import trained_on_too
from researcher.evaluation.feature_hold_out import with_features
from researcher.evaluation.hold_out import HoldOut
from researcher.evaluation.shared_part import halves
from researcher.planning.planning import StudySettings, make_plan
from researcher.simulation.apart import Aside, apart
from researcher.simulation.data import Data, read_data, with_hold_out
from researcher.simulation.made_up import MadeUpHospital, SharedPictures, in_order
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.split import Share, shared_out
from researcher.strategies import Weights

if TYPE_CHECKING:
    from researcher.hospitals.hospital import DatasetInfo

DATASET = "simulated"
_RUNNING = ("ray_address", "workers", "worker_memory", "in_process")
"""Settings that change how fast a simulation runs, and nothing of what comes out."""


@dataclass(frozen=True, eq=False)
class Work:
    """The work of a simulation.

    Attributes:
        plan: As it would be submitted to such hospitals.
        first_weights: That the first round begins with, name → float32 array of the parameter's shape.
        pictures: Of all hospitals.
        hospitals: In order.
        hold_out: What is scored on.
        told: How the hospitals were made up, in words, and whether what is scored on is trained on too.
        shared: The latter alone; empty where nothing is.
        record: What the folder notes, to be gone on with by the same settings and data alone.
    """

    plan: TrainingPlan
    first_weights: Weights
    pictures: SharedPictures
    hospitals: tuple[MadeUpHospital, ...]
    hold_out: HoldOut
    told: str
    shared: str
    record: Mapping[str, object]


def make_work(
    study: StudySettings,
    simulation: SimulationSettings,
    path: Path | str,
    *,
    test: Path | str | None = None,
    backbone_weights: str | None = None,
    meanwhile: Callable[[int], None] = lambda data_bytes: None,
    aside: Aside | None = None,
) -> Work:
    """Reads the data, shares them out, and makes the plan.

    Args:
        study: The plan's settings.
        simulation: How hospitals are made up.
        path: What they share.
        test: Test data; a share of the units if None.
        backbone_weights: Of a model that reads features.
        meanwhile: Called while the plan is made, with the bytes of all pictures.
        aside: Where the plan is made; None: in a process that begins for it.

    Raises:
        DataError: The data cannot be read, or shared out as the settings say.
        PlanError, BudgetTooSmall: As `make_plan`.
        ConfigError: The strategy needs more of hospitals than a simulation's are sent.
    """
    data, hold_out = with_hold_out(read_data(path, simulation), test, simulation)
    shares = _shares(data, simulation)
    doing = apart if aside is None else aside.doing
    with doing(_planned, study, _published(simulation, data, shares), simulation.seed) as planned:
        meanwhile(bytes_of(data.pictures, hold_out) + data.units.nbytes)
        plan, first = planned()
    _check_strategy(plan.server.strategy)
    held = with_features(data.pictures, plan.model, backbone_weights)
    hold_out = with_features(hold_out, plan.model, backbone_weights)
    if keeps_part(plan):
        halves(hold_out)  # refuses one that is too small, before anything is trained
    pictures, hospitals = in_order(shares, held.images, held.labels, data.units, held.features)
    about = {name: value for name, value in asdict(simulation).items() if name not in _RUNNING}
    record: dict[str, object] = {
        "settings": about,
        "plan": plan.digest(),
        "data": _digest(pictures.images, pictures.labels, pictures.units, hold_out.images, hold_out.labels),
        "hospitals": {share.name: share.value for share in shares} if simulation.column else {},
    }
    shared = trained_on_too(hold_out.images, data.pictures.images)
    told = "; ".join(filter(None, [_told(simulation, len(hospitals), Path(path).name), shared]))
    return Work(plan, first, pictures, hospitals, hold_out, told, shared, record)


def bytes_of(*held: HoldOut | SharedPictures) -> int:
    """Bytes of pictures with their classes and features, and of what else a simulation shares."""
    return sum(array.nbytes for one in held for array in vars(one).values() if isinstance(array, np.ndarray))


def _check_strategy(name: str) -> None:
    if name == "dp_fc":
        raise ConfigError(
            "Strategy dp_fc steps by the Gram matrix that hospitals release, and made-up hospitals release none. "
            "Simulate another strategy, such as fed_avg, or run this one in a study."
        )


def _shares(data: Data, simulation: SimulationSettings) -> tuple[Share, ...]:
    classes = data.classes_of_units if simulation.split == "dirichlet" else np.zeros(data.units.max() + 1, np.int64)
    return shared_out(simulation, classes, data.values_of_units)


def _published(simulation: SimulationSettings, data: Data, shares: Sequence[Share]) -> list[DatasetInfo]:
    """The datasets that such hospitals would publish."""
    from researcher.hospitals.hospital import DatasetInfo  # late: its channel's libraries, while workers begin

    height, width, channels = data.pictures.images.shape[1:]
    return [
        DatasetInfo(
            datasite=share.name,
            name=DATASET,
            class_names=data.pictures.class_names,
            image_shape=(height, width, channels),
            unit=simulation.unit,
            public_size=rounded_up(len(share.units)),
            limits={},
            label_kind=data.pictures.label_kind,
        )
        for share in shares
    ]


def _planned(study: StudySettings, published: Sequence[DatasetInfo], seed: int) -> tuple[TrainingPlan, Weights]:
    """The plan that would be submitted to hospitals which publish such datasets, and the first weights."""
    from datasites.training.models import initial_weights  # late: it is what imports torch

    plan = make_plan(study, published)
    return plan, initial_weights(plan.model, seed)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _told(simulation: SimulationSettings, hospitals: int, source: str) -> str:
    """How the hospitals were made up, in words."""
    rules = {
        "even": "evenly",
        "dirichlet": f"by Dirichlet draws of each class with alpha {simulation.alpha:g}",
        "column": f"by the column {simulation.column!r}",
    }
    return (
        f"{source}, shared out {rules[simulation.split]} to {hospitals} made-up hospitals with seed {simulation.seed}"
    )
