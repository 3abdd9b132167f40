"""Private evaluation: counts of a model's predictions on private pictures, which leave with noise on each alone.

The weights are hostile: made so that the answer for one picture hangs on a rounding, they could turn many answers when
one picture is added, if the answers depended on which pictures are computed together. Here they do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from datasites.training.gpu.step import has_gpu
from datasites.training.local_round import Progress
from datasites.training.losses import probabilities
from datasites.training.metrics import confusion_matrix
from datasites.training.models import build_model, load_weights
from datasites.training.pictures.data import LabelledPictures, to_tensor
from datasites.training.pictures.features import pictures_for
from datasites.training.pictures.placed_batches import placed_batches
from datasites.training.pictures.reports import texts_for, to_inputs
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_release import check_schema, in_quarters, noised, one_picture_each
from policies.plans.releases import EvaluationPlan

_MOST_SLOTS = 256


def evaluate_privately(
    plan: EvaluationPlan,
    weights: Mapping[str, np.ndarray],
    pictures: LabelledPictures,
    *,
    progress: Progress = lambda done, total: None,
    random: SecureRandom | None = None,
) -> dict[str, np.ndarray]:
    """Counts what the model says about one picture of each unit, and adds noise to every count.

    Guarantees:
        One Gaussian step at `plan.privacy.noise_multiplier` and sample rate 1, per privacy unit of `pictures`, for any
        finite weights: see `count_predictions` for the sensitivity, `noised` for the noise. The pictures are drawn
        and the noise is made afresh in each call. Nothing else of the pictures is returned or told.

    Args:
        plan: What was approved.
        weights: float32 by name, exactly the model's parameters, each of its shape.
        pictures: The hospital's pictures, their classes and their privacy units.
        progress: Told of each finished quarter.
        random: Draws the pictures and the noise; a fresh generator keyed by the operating system if None. Anything
            else is for tests.

    Returns:
        float32 by name, exactly `plan.outputs`, names and shapes.

    Raises:
        PlanError: The model does not exist, or does not fit the pictures, reports and labels.
        InputRefused: The weights are not the model's, or not finite.
    """
    model = plan.model
    check_schema(pictures, image_shape=model.image_shape, num_classes=model.num_classes, label_kind=model.label_kind)
    random = SecureRandom() if random is None else random
    chosen = one_picture_each(pictures.units, random)
    return noised(count_predictions(plan, weights, pictures, chosen, progress=progress), plan, random)


def count_predictions(
    plan: EvaluationPlan,
    weights: Mapping[str, np.ndarray],
    pictures: LabelledPictures,
    chosen: np.ndarray,
    *,
    progress: Progress = lambda done, total: None,
) -> dict[str, np.ndarray]:
    """Counts by true and predicted class or finding, and by score, without noise: this may not leave.

    Guarantees:
        Each chosen picture adds 1 to one cell of `confusion`, or to one cell of `finding_counts` for each finding that
        is known of it; and with score bins 1 to one bin of each class, or of each finding that is known, in `scores`.
        So it does when the model's output is not finite: it then counts as probability 0. Which cells depends on that
        picture and the weights alone. So adding or removing a picture changes the sums by `plan.sensitivity` in L2
        norm, or by less where findings are unknown.

    Args:
        plan: The model, and how many score bins.
        weights: float32 by name, exactly the model's parameters, each of its shape.
        pictures: The hospital's pictures.
        chosen: int64, (U,), indices of one picture of each unit.
        progress: Told of each finished quarter.

    Returns:
        float64 by name, of the shapes in `plan.outputs`.

    Raises:
        PlanError: The model does not exist.
        InputRefused: The weights are not the model's, or not finite.
    """
    classes, of_findings = plan.model.num_classes, plan.model.label_kind == "multi"
    predicted = np.zeros(len(pictures.labels), dtype=np.int64)
    finding_counts, scores = np.zeros((classes, 2, 2)), np.zeros((classes, 2, plan.score_bins))
    for rows, shares in _probabilities(plan, weights, pictures, chosen, progress):
        truth = _truth(pictures.labels[rows], classes)
        if of_findings:
            finding_counts += _score_counts(truth, shares, 2)  # below 0.5, and from there on
        else:
            predicted[rows] = shares.argmax(axis=1)
        if plan.score_bins:
            scores += _score_counts(truth, shares, plan.score_bins)
    counts = {"finding_counts": finding_counts, "scores": scores}
    if not of_findings:
        matrix = confusion_matrix(pictures.labels[chosen], predicted[chosen], classes)
        counts["confusion"] = matrix.astype(np.float64)
    return {name: counts[name] for name in plan.outputs}


def _truth(labels: np.ndarray, classes: int) -> np.ndarray:
    """int64, (B, K): 1 for a picture of the class or with the finding, 0 for one without, -1 where that is unknown."""
    own = labels if labels.ndim == 2 else labels[:, None] == np.arange(classes)
    return own.astype(np.int64)


def _score_counts(truth: np.ndarray, shares: np.ndarray, bins: int) -> np.ndarray:
    """float64, (K, 2, bins): pictures by class, whether they are of that class, and its probability in [0, 1].

    Args:
        truth: int64, (B, K), as `_truth` gives it; what is unknown counts nowhere.
        shares: float32, (B, K).
        bins: Of equal width.
    """
    classes = shares.shape[1]
    reached = np.minimum((shares.astype(np.float64) * bins).astype(np.int64), bins - 1)
    cells = ((np.arange(classes) * 2 + truth) * bins + reached)[truth >= 0]
    return np.bincount(cells, minlength=classes * 2 * bins).reshape(classes, 2, bins).astype(np.float64)


def _probabilities(
    plan: EvaluationPlan,
    weights: Mapping[str, np.ndarray],
    pictures: LabelledPictures,
    chosen: np.ndarray,
    progress: Progress,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields indices of pictures with the probabilities of their classes or findings, float32, (B, K), in [0, 1]."""
    images, texts = pictures_for(plan.model, pictures), texts_for(plan.model, pictures)
    device = "cuda" if plan.run.device == "auto" and has_gpu() else "cpu"
    model = build_model(plan.model)
    load_weights(model, weights)
    model.to(device).eval()
    slots = min(plan.run.physical_batch_size, _MOST_SLOTS)
    for rows, places in in_quarters(placed_batches(images, chosen, slots, texts=texts), progress):
        batch = np.zeros((slots, *images.shape[1:]), dtype=images.dtype)
        batch[places] = images[rows]
        words = None if texts is None else np.zeros((slots, texts.shape[1]), dtype=np.int32)
        if words is not None and texts is not None:
            words[places] = texts[rows]
        with torch.inference_mode():
            logits = model(to_inputs(to_tensor(batch), words, device))
            shares = probabilities(logits, plan.model.label_kind).cpu().numpy()[places]
        yield rows, np.clip(np.nan_to_num(shares, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0)
