"""Likeness of an exported model to the torch model that was trained, picture by picture. Public pictures alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.training import evaluation, finding_metrics, metrics
from datasites.training.models.public.backbone import features_of, load_backbone
from policies.plans.features import FeatureSpec
from policies.plans.model_spec import ModelSpec
from researcher.exported.about import Likeness
from researcher.exports.pictures import Pictures
from researcher.exports.whole_model import Backbone

MOST_DIFFERENCE = 1e-4
BATCHES = (1, 2, 7)
"""Numbers of pictures at once with which a graph is tried, besides all."""


def trained_probabilities(
    spec: ModelSpec, weights: Mapping[str, np.ndarray], pictures: Pictures, backbone: Backbone | None
) -> NDArray[np.float32]:
    """What the torch model says of pictures, by the code that evaluates it elsewhere: float32, (N, K).

    Args:
        spec: The model.
        weights: Name → float32 array of the parameter's shape.
        pictures: Of the model's shape.
        backbone: Public weights, where the model reads features.
    """
    images: Any = pictures.images
    reads = FeatureSpec.of(spec)
    if reads is not None and backbone is not None:
        found = np.empty((len(images), reads.width), dtype=np.float32)
        for rows, values in features_of(load_backbone(reads, backbone), reads, images):
            found[rows] = values
        images = found[:, None, None, :]
    inputs = images if pictures.tokens is None else (images, pictures.tokens)
    return evaluation.predict(spec, weights, inputs)


def likeness(found: NDArray[np.float32], trained: NDArray[np.float32], pictures: Pictures, label_kind: str) -> Likeness:
    """Holds an exported model's probabilities against the torch model's.

    Args:
        found: float32, (N, K).
        trained: Likewise.
        pictures: What they are of.
        label_kind: Of the model.
    """
    alike = _decided(found, label_kind) == _decided(trained, label_kind)
    return Likeness(
        max_abs_difference=float(np.abs(found - trained).max(initial=0.0)),
        agreement=float(alike.mean()) if alike.size else 1.0,
        pictures=len(found),
        compared_on=pictures.source,
        accuracy=accuracy(found, pictures.labels, label_kind),
        accuracy_float=accuracy(trained, pictures.labels, label_kind),
    )


def accuracy(found: NDArray[np.float32], labels: NDArray[Any] | None, label_kind: str) -> float | None:
    """Share that is told right, as `Evaluation.accuracy`; None where nobody knows the labels.

    Args:
        found: float32, (N, K).
        labels: (N,) or (N, K).
        label_kind: Of the model.
    """
    if labels is None:
        return None
    if label_kind == "multi":
        return finding_metrics.right_share(labels, found)
    return float(metrics.accuracy(metrics.confusion_matrix(labels, found.argmax(axis=1), found.shape[1])))


def lost(told: Likeness) -> float:
    """What an exported model lost, as a share: accuracy where labels are known, else agreement."""
    if told.accuracy is None or told.accuracy_float is None:
        return 1.0 - told.agreement
    return told.accuracy_float - told.accuracy


def _decided(found: NDArray[np.float32], label_kind: str) -> NDArray[Any]:
    decided: NDArray[Any] = found >= 0.5 if label_kind == "multi" else found.argmax(axis=1)
    return decided
