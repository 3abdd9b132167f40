"""Private statistics: sums over private pictures, before a study is spent on them, which leave with noise on each."""

from __future__ import annotations

import numpy as np

from datasites.training.local_round import Progress
from datasites.training.pictures.data import LabelledPictures
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_release import check_schema, in_quarters, noised, one_picture_each
from policies.plans.releases import StatisticsPlan

_BLOCK_BYTES = 1 << 24
_BYTE = 255
_SQUARES = np.arange(_BYTE + 1, dtype=np.uint16) ** 2


def summarise_privately(
    plan: StatisticsPlan,
    pictures: LabelledPictures,
    *,
    progress: Progress = lambda done, total: None,
    random: SecureRandom | None = None,
) -> dict[str, np.ndarray]:
    """Sums class, channel means and channel mean squares of one picture of each unit, and adds noise to every sum.

    Guarantees:
        One Gaussian step at `plan.privacy.noise_multiplier` and sample rate 1, per privacy unit of `pictures`: see
        `sum_pictures` for the sensitivity, `noised` for the noise. The pictures are drawn and the noise is made
        afresh in each call. Nothing else of the pictures is returned or told.

    Args:
        plan: What was approved.
        pictures: The hospital's pictures, their classes and their privacy units.
        progress: Told of each finished quarter.
        random: Draws the pictures and the noise; a fresh generator keyed by the operating system if None. Anything
            else is for tests.

    Returns:
        float32 by name, exactly `plan.outputs`, names and shapes.

    Raises:
        PlanError: The plan's image shape or classes are not the dataset's.
    """
    check_schema(pictures, image_shape=plan.image_shape, num_classes=plan.num_classes)
    random = SecureRandom() if random is None else random
    chosen = one_picture_each(pictures.units, random)
    return noised(sum_pictures(plan, pictures, chosen, progress=progress), plan, random)


def sum_pictures(
    plan: StatisticsPlan,
    pictures: LabelledPictures,
    chosen: np.ndarray,
    *,
    progress: Progress = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """Sums over pictures, without noise: this may not leave.

    Guarantees:
        Each chosen picture adds 1 to one class and, to each channel, its mean and its mean square in [0, 1]: at most
        `plan.sensitivity` in L2 norm. Values are summed in whole numbers of any size, so no rounding of a sum grows
        with the number of pictures.

    Args:
        plan: Shape and classes.
        pictures: The hospital's pictures.
        chosen: int64, (U,), indices of one picture of each unit.
        progress: Told of each finished quarter.

    Returns:
        float64 by name, of the shapes in `plan.outputs`.
    """
    height, width, channels = plan.image_shape
    block = max(1, _BLOCK_BYTES // (height * width * channels))
    sums, squares = np.zeros(channels, dtype=object), np.zeros(channels, dtype=object)
    parts = [chosen[start : start + block] for start in range(0, len(chosen), block)]
    for part in in_quarters(parts, progress):
        pixels = pictures.images[part].reshape(-1, channels)
        sums += pixels.sum(axis=0, dtype=np.int64).astype(object)
        squares += _squares(pixels).sum(axis=0, dtype=np.int64).astype(object)
    white = np.iinfo(pictures.images.dtype).max
    most = height * width * white
    return {
        "class_counts": np.bincount(pictures.labels[chosen], minlength=plan.num_classes).astype(np.float64),
        "channel_sums": (sums / most).astype(np.float64),
        "channel_square_sums": (squares / (most * white)).astype(np.float64),
    }


def _squares(pixels: np.ndarray) -> np.ndarray:
    """The squares of uint8 or uint16, in a type that holds them."""
    return _SQUARES[pixels] if pixels.dtype == np.uint8 else pixels.astype(np.int64) ** 2
