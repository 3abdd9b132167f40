"""Scores of a global model on a public hold-out; private pictures are scored at home and never come here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from policies.errors import DataError
from policies.plan import ModelSpec
from researcher.hold_out import HoldOut, load_hold_out

__all__ = ["Evaluation", "HoldOut", "Predict", "evaluate", "load_hold_out"]

Predict = Callable[[ModelSpec, Mapping[str, np.ndarray], np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """How well a model does on a hold-out.

    Attributes:
        accuracy: Share of pictures whose likeliest class is the true one.
        macro_f1: Mean over classes of F1, so that rare classes count as much as common ones.
        recall: Of each class, the share that was recognised.
        confusion: Counts; rows are true classes, columns predicted.
    """

    accuracy: float
    macro_f1: float
    recall: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]


def evaluate(
    spec: ModelSpec,
    weights: Mapping[str, np.ndarray],
    hold_out: HoldOut,
    *,
    predict: Predict | None = None,
) -> Evaluation:
    """Scores `weights` on `hold_out`.

    Args:
        spec: The model that the weights are of.
        weights: Name → float32 array.
        hold_out: Pictures of the model's shape and classes.
        predict: (spec, weights, images) → probabilities, (N, num_classes); the hospitals' own by default.

    Raises:
        DataError: The hold-out has other classes or another shape than the model.
    """
    from datasites.training import metrics

    if len(hold_out.class_names) != spec.num_classes or hold_out.images.shape[1:] != spec.image_shape:
        raise DataError(
            f"The model takes {spec.image_shape} pictures of {spec.num_classes} classes, the hold-out has "
            f"{hold_out.images.shape[1:]} of {len(hold_out.class_names)}."
        )
    predicted = np.asarray((predict or _predict)(spec, weights, hold_out.images)).argmax(axis=1)
    confusion = metrics.confusion_matrix(hold_out.labels, predicted, spec.num_classes)
    return Evaluation(
        accuracy=float(metrics.accuracy(confusion)),
        macro_f1=float(metrics.macro_f1(confusion)),
        recall=tuple(float(share) for share in metrics.recall_per_class(confusion)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _predict(spec: ModelSpec, weights: Mapping[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    from datasites.training import evaluation  # late: torch takes seconds to import

    return evaluation.predict(spec, weights, images)
