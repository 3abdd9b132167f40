"""Takes some steps of a plan on a mock, by the code that trains at hospitals; of what they gave only sizes are kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from datasites.training.jobs import prepare_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from policies.contracts.encodings import encode
from policies.plans.features import FeatureSpec
from policies.plans.tokeniser import tokens
from policies.plans.training import TrainingPlan
from researcher.hospitals.hospital import DatasetInfo, Mock

STEPS = 4  # the first warms the machine up, the others are measured
_PICTURES_OF_A_PATIENT = 2
_SEED = b"rehearsal"


@dataclass(frozen=True)
class Steps:
    """What the steps took.

    Attributes:
        preparing_seconds: Before the first of them, in a process that has prepared such a round before.
        seconds_a_step: The median of those after the first.
        bytes_up: Of global weights, as the plan says they travel.
        bytes_down: Of a client update, likewise.
    """

    preparing_seconds: float
    seconds_a_step: float
    bytes_up: int
    bytes_down: int


def take_steps(mock: Mock, plan: TrainingPlan, dataset: DatasetInfo) -> Steps:
    """Takes `STEPS` steps of the plan's first round, or as many as it has.

    Args:
        mock: Of the dataset.
        plan: What would be submitted.
        dataset: Whose public size a step is made for.

    Raises:
        WanwuError: What the round would fail with at a hospital.
    """
    pictures, weights = _pictures(mock, plan, dataset), initial_weights(plan.model, 0)
    short = plan.shortened(STEPS)
    prepared = prepare_round(short, 0, weights, public_size=dataset.public_size)
    ends = [time.monotonic()]
    update = prepared(pictures, progress=lambda done, total: ends.append(time.monotonic()))
    begun = time.monotonic()
    prepare_round(short, 0, weights, public_size=dataset.public_size)
    return Steps(
        preparing_seconds=time.monotonic() - begun,
        seconds_a_step=seconds_a_step(ends),
        bytes_up=len(encode(weights, plan.weights_encoding, seed=_SEED)),
        bytes_down=len(encode(update, plan.update_encoding, seed=_SEED)),
    )


def seconds_a_step(ends: Sequence[float]) -> float:
    """The median of the steps after the first, which pays for what is done once; of one step alone, that one.

    Args:
        ends: When the first step began, and when each ended, in seconds.
    """
    took = [end - begin for begin, end in pairwise(ends)]
    return statistics.median(took[1:] or took)


def _pictures(mock: Mock, plan: TrainingPlan, dataset: DatasetInfo) -> LabelledPictures:
    """The mock as a run takes it; of features, which are never published, random ones of their width."""
    count, spec = len(mock.images), FeatureSpec.of(plan.model)
    text = dataset.text if mock.reports else None
    return LabelledPictures(
        images=mock.images,
        labels=mock.labels.astype(np.int8 if mock.labels.ndim == 2 else np.int64),
        units=np.arange(count, dtype=np.int64) // (_PICTURES_OF_A_PATIENT if dataset.unit == "patient" else 1),
        public_size=dataset.public_size,
        texts=tokens(mock.reports, text) if mock.reports and text else None,
        text_form=text,
        features=None if spec is None else np.random.default_rng(0).standard_normal((count, spec.width), np.float32),
    )
