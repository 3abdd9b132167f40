"""Private Gram matrices: how the features that a head reads go together, summed over units, which leaves with noise.

Mehta, Krichene, Thakurta et al. ("Differentially Private Image Classification from Features", TMLR 2023) precondition
the steps of a head by such a matrix. Rows are brought to whole numbers first, so that sums are exact and their bound
needs no word about rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from datasites.training.gpu.step import has_gpu
from datasites.training.local_round import Progress
from datasites.training.models import build_model
from datasites.training.pictures.data import LabelledPictures, to_tensor
from datasites.training.pictures.features import pictures_for
from datasites.training.pictures.placed_batches import placed_batches
from datasites.training.randomness import gaussian
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_release import check_schema, in_quarters
from policies.plans.features import SCATTERING_MODEL
from policies.plans.releases import GramPlan

WHOLE = 2**16
"""What a row's length of 1 is in whole numbers."""
LONGEST = 1 - 2.0**-10
"""Of a row: the rest of 1 is room for the rounding of sums to the noise's lattice."""
_SLOTS = 256


def gram_privately(
    plan: GramPlan,
    pictures: LabelledPictures,
    *,
    progress: Progress = lambda done, total: None,
    random: SecureRandom | None = None,
) -> dict[str, np.ndarray]:
    """Sums x x^T over privacy units, of each the mean over its pictures, and adds noise to every number.

    Guarantees:
        One Gaussian step at `plan.privacy.noise_multiplier` and sample rate 1, per privacy unit of `pictures`. A unit
        moves `squares` and, counted by the root of 2, `products` together by at most `LONGEST`^2 in L2 norm, whatever
        the features: see `whole_rows`. Rounding to the lattice of the noise moves them by less than what is left to 1.
        Nothing else of the pictures is returned or told.

    Args:
        plan: What was approved.
        pictures: The hospital's pictures, their features where the plan's model reads these, and their privacy units.
        progress: Told of each finished quarter.
        random: Makes the noise; a fresh generator keyed by the operating system if None. Anything else is for tests.

    Returns:
        float32 by name, exactly `plan.outputs`, names and shapes.

    Raises:
        PlanError: The plan is for other pictures or labels, or its features are not here.
    """
    model = plan.model
    check_schema(pictures, image_shape=model.image_shape, num_classes=model.num_classes, label_kind=model.label_kind)
    random, sums = SecureRandom() if random is None else random, sum_grams(plan, pictures, progress=progress)
    noise = plan.privacy.noise_multiplier * plan.sensitivity
    spreads = {"squares": noise, "products": noise / np.sqrt(2)}
    return {
        name: gaussian.noised(torch.from_numpy(sums[name]), float(spreads[name]), random).numpy()
        for name in plan.outputs
    }


def sum_grams(
    plan: GramPlan, pictures: LabelledPictures, *, progress: Progress = lambda done, total: None
) -> dict[str, np.ndarray]:
    """The sums without noise: this may not leave.

    Guarantees:
        The sums are exact, in whatever order, and a unit's part of them depends on its own pictures alone. It is at
        most `LONGEST`^2 in L2 norm, `products` counted by the root of 2.

    Args:
        plan: Whose features.
        pictures: The hospital's pictures.
        progress: Told of each finished quarter.

    Returns:
        float64 by name, of the shapes in `plan.outputs`.
    """
    total = np.zeros((plan.inputs, plan.inputs), dtype=np.int64)
    together = np.bincount(pictures.units)[pictures.units]
    for chosen, features in _features(plan, pictures, progress):
        rows = whole_rows(features, together[chosen]).astype(np.float64)
        total += (rows.T @ rows).astype(np.int64)  # of few rows: far below 2^53, where float64 begins to have gaps
    above = np.triu_indices(plan.inputs, 1)
    return {"squares": np.diagonal(total) / float(WHOLE) ** 2, "products": total[above] / float(WHOLE) ** 2}


def whole_rows(features: np.ndarray, together: np.ndarray) -> np.ndarray:
    """Rows of features, each with a 1 for the bias, as whole numbers, divided by the root of how many its unit has.

    Guarantees:
        Of each row the squares, added up and times `together`, are at most (`LONGEST` x `WHOLE`)^2, in whole numbers,
        whatever the features are; and it follows from these and `together` alone. So x x^T, summed over a unit's rows,
        has at most that Frobenius norm. A row of features that are not all finite is 0.

    Args:
        features: float32, (B, width).
        together: int64, (B,), how many pictures each picture's unit has.

    Returns:
        int64, (B, width + 1): x times `LONGEST` x `WHOLE` over the root of `together`, rounded towards 0.
    """
    rows = np.ones((len(features), features.shape[1] + 1))
    rows[:, :-1] = features
    rows[~np.isfinite(rows).all(axis=1)] = 0.0
    # In float64 no square of a float32 number leaves the range; each operation errs by 2^-53 of its result at most.
    lengths = np.sqrt(np.square(rows).sum(axis=1))
    most = (1 - 2.0**-30) * LONGEST * WHOLE
    shares = most / np.maximum(lengths, np.sqrt(rows.shape[1])) / np.sqrt(together)
    whole = np.trunc(rows * shares[:, None]).astype(np.int64)
    # Of no row is this true, by the above; it is held in whole numbers all the same.
    whole[np.square(whole).sum(axis=1) * together > int((LONGEST * WHOLE) ** 2)] = 0
    return whole


def _features(
    plan: GramPlan, pictures: LabelledPictures, progress: Progress
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields indices of pictures with their features, float32, (B, width), each made of its own picture alone."""
    images = pictures_for(plan.model, pictures)
    everyone = np.arange(len(images))
    if plan.model.name != SCATTERING_MODEL:
        for chosen in in_quarters([everyone[at : at + _SLOTS] for at in everyone[::_SLOTS]], progress):
            yield chosen, images[chosen].reshape(len(chosen), -1)
        return
    device = "cuda" if plan.run.device == "auto" and has_gpu() else "cpu"
    transform = build_model(plan.model).get_submodule("features").to(device).eval()
    slots = min(plan.run.physical_batch_size, _SLOTS)
    for chosen, places in in_quarters(placed_batches(images, everyone, slots), progress):
        batch = np.zeros((slots, *images.shape[1:]), dtype=images.dtype)
        batch[places] = images[chosen]
        with torch.inference_mode():
            yield chosen, transform(to_tensor(batch, device)).cpu().numpy()[places]
