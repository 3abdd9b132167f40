"""Releases of sums: one picture of each unit goes in, and sums leave with noise on every number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch

from datasites.training.local_round import Progress
from datasites.training.pictures.data import LabelledPictures
from datasites.training.pictures.labels import check_label_kind
from datasites.training.pictures.sampler import poisson_steps
from datasites.training.randomness import gaussian
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import PlanError
from policies.plans.releases import EvaluationPlan, StatisticsPlan

_TOLD = 4
_T = TypeVar("_T")


def check_schema(
    pictures: LabelledPictures, *, image_shape: tuple[int, int, int], num_classes: int, label_kind: str
) -> None:
    """Refuses a plan that was made for another schema, before any picture is looked at.

    Args:
        pictures: The hospital's pictures.
        image_shape: (height, width, channels) of the plan.
        num_classes: Of the plan.
        label_kind: Of the plan.

    Raises:
        PlanError: Other pictures, another kind of labels, other findings or more classes than the plan says. The text
            is made of the plan and the public schema alone.
    """
    shape = tuple(pictures.images.shape[1:])
    if shape != image_shape:
        raise PlanError(
            f"The plan's image_shape is {image_shape}, the dataset's pictures are {shape}. Set it to {shape}."
        )
    check_label_kind(pictures, label_kind=label_kind, num_classes=num_classes)
    if int(pictures.labels.max()) >= num_classes:
        raise PlanError(
            f"The dataset has more classes than the plan's num_classes, {num_classes}. Set it to the number of classes "
            "in the dataset's schema."
        )


def one_picture_each(units: np.ndarray, random: SecureRandom) -> np.ndarray:
    """Draws one picture of every privacy unit.

    Guarantees:
        Each unit is there exactly once, with one of its own pictures, each of them equally likely; what is drawn for
        one unit does not depend on the others.

    Args:
        units: int64, (N,), privacy unit of each picture, 0 .. U-1, each with at least one picture.
        random: Makes the draws.

    Returns:
        int64, (U,), indices of pictures, from first to last.
    """
    (drawn,) = poisson_steps(units, sample_rate=1.0, steps=1, random=random)
    return np.sort(drawn[:, 0])


def noised(
    sums: Mapping[str, np.ndarray], plan: EvaluationPlan | StatisticsPlan, random: SecureRandom
) -> dict[str, np.ndarray]:
    """Turns sums over units into what may leave.

    Guarantees:
        Every number of the plan's outputs is its sum plus its own Gaussian noise of standard deviation
        noise_multiplier times `plan.sensitivity`. Where no unit moves all sums together by more than
        `plan.sensitivity` in L2 norm, this is one Gaussian step at noise_multiplier and sample rate 1.

    Args:
        sums: float64 by name, exactly `plan.outputs`.
        plan: Says how much noise.
        random: Where the noise comes from.

    Returns:
        float32 by name, of the shapes in `plan.outputs`.
    """
    spread = plan.privacy.noise_multiplier * plan.sensitivity
    return {
        name: gaussian.noised(torch.from_numpy(np.asarray(sums[name]).reshape(shape)), spread, random).numpy()
        for name, shape in plan.outputs.items()
    }


def in_quarters(parts: Sequence[_T], progress: Progress) -> Iterator[_T]:
    """Yields each part of the work, and tells `progress` when another quarter of it is done.

    Guarantees:
        `progress` is told (1, 4), (2, 4), (3, 4), (4, 4), whatever the number of parts, which follows from the private
        number of units.

    Args:
        parts: At least one.
        progress: What tells the researcher.
    """
    told = 0
    for number, part in enumerate(parts, start=1):
        yield part
        while told < _TOLD * number // len(parts):
            told += 1
            progress(told, _TOLD)
