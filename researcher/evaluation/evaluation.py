"""Scores of a global model on a public hold-out; private pictures are scored at home and never come here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from datasites.training import finding_metrics, metrics
from datasites.training.finding_metrics import FindingScores
from policies.errors import DataError
from policies.plans.features import FeatureSpec
from policies.plans.plan_json import canonical_json
from policies.plans.tokeniser import text_form, tokens
from policies.plans.training import ModelSpec
from researcher.evaluation.hold_out import HoldOut, load_hold_out

__all__ = ["Evaluation", "HoldOut", "Predict", "evaluate", "load_hold_out"]

Inputs = np.ndarray | tuple[np.ndarray, np.ndarray]
Predict = Callable[[ModelSpec, Mapping[str, np.ndarray], Any], np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """How well a model does on a hold-out.

    Attributes:
        accuracy: Share of pictures whose likeliest class is the true one; where labels are findings, share of the known
            findings that are told right at a probability of 0.5.
        macro_f1: Mean over classes of F1, so that rare classes count as much as common ones; over the findings that
            have an F1, likewise.
        recall: Of each class, the share that was recognised, nan where the hold-out lacks the class; empty for
            findings, whose sensitivity says it.
        confusion: Counts; rows are true classes, columns predicted; empty for findings, which do not exclude another.
        findings: How well each is told, in the order of the model's outputs; empty where labels are classes.
    """

    accuracy: float
    macro_f1: float
    recall: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    findings: tuple[FindingScores, ...] = ()

    @property
    def macro_auroc(self) -> float | None:
        """Mean AUROC over the findings that have one; None where none has, or labels are classes."""
        return finding_metrics.macro_auroc(self.findings)


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
        hold_out: Pictures of the model's shape and classes, with reports where it takes them.
        predict: (spec, weights, images, or images and tokens) → probabilities, (N, num_classes); the hospitals' own
            by default.

    Raises:
        DataError: The hold-out has other classes, another kind of labels or another shape than the model, or lacks
            reports.
    """
    inputs = inputs_of(spec, hold_out)
    given = predict(spec, weights, inputs) if predict else _predict(spec, weights, inputs, hold_out)
    found = np.asarray(given)
    return scores_of(hold_out.labels, found)


def scores_of(labels: np.ndarray, probabilities: np.ndarray) -> Evaluation:
    """Scores probabilities, real, (N, K), beside labels of classes, int64 (N,), or of findings, int8 (N, K)."""
    return (_of_findings if labels.ndim == 2 else _of_classes)(labels, probabilities)


def inputs_of(spec: ModelSpec, hold_out: HoldOut) -> Inputs:
    """What a model is given of a hold-out: images, (N, H, W, C), with tokens, (N, length), or features instead.

    Raises:
        DataError: As `evaluate`.
    """
    if hold_out.label_kind != spec.label_kind:
        raise DataError(
            f"The model's label_kind is '{spec.label_kind}', the hold-out's labels are '{hold_out.label_kind}': "
            "classes are one number a picture, findings a row of 0, 1 or -1."
        )
    if len(hold_out.class_names) != spec.num_classes or hold_out.images.shape[1:] != spec.image_shape:
        raise DataError(
            f"The model takes {spec.image_shape} pictures of {spec.num_classes} classes, the hold-out has "
            f"{hold_out.images.shape[1:]} of {len(hold_out.class_names)}."
        )
    return _inputs(spec, hold_out)


def _of_classes(labels: np.ndarray, found: np.ndarray) -> Evaluation:
    confusion = metrics.confusion_matrix(labels, found.argmax(axis=1), found.shape[1])
    return Evaluation(
        accuracy=float(metrics.accuracy(confusion)),
        macro_f1=float(metrics.macro_f1(confusion)),
        recall=tuple(float(share) for share in metrics.recall_per_class(confusion)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _of_findings(labels: np.ndarray, found: np.ndarray) -> Evaluation:
    findings = finding_metrics.score_findings(labels, found)
    return Evaluation(
        accuracy=finding_metrics.right_share(labels, found),
        macro_f1=finding_metrics.mean_of_known([finding.f1 for finding in findings]) or 0.0,
        recall=(),
        confusion=(),
        findings=findings,
    )


def _inputs(spec: ModelSpec, hold_out: HoldOut) -> Inputs:
    reads, form = FeatureSpec.of(spec), text_form(spec)
    if reads is not None:
        if hold_out.features is None or hold_out.features.shape[1:] != (reads.width,):
            raise DataError(
                f"Model {spec.name!r} reads features of {reads.backbone!r}, the hold-out has none. Compute them with "
                "the same public weights: --backbone_weights."
            )
        return hold_out.features[:, None, None, :]
    if form is None:
        return hold_out.images
    if hold_out.reports is None:
        raise DataError(
            f"Model {spec.name!r} takes a report beside each picture, the hold-out has pictures alone. Add 'reports' "
            "to the .npz file or reports.csv to the folder."
        )
    return hold_out.images, tokens(hold_out.reports, form)


# A hold-out is scored after every round: what a fixed first part of the model makes of it is computed once.
_FIXED: WeakKeyDictionary[HoldOut, dict[str, np.ndarray | None]] = WeakKeyDictionary()
_ONE_AT_A_TIME = threading.Lock()


def load() -> ModuleType:
    """Imports what `evaluate` needs, which takes seconds the first time; returns it."""
    from datasites.training import evaluation  # late: torch takes seconds to import

    return evaluation


def _predict(spec: ModelSpec, weights: Mapping[str, np.ndarray], inputs: Inputs, hold_out: HoldOut) -> np.ndarray:
    evaluation = load()
    key = canonical_json([spec.name, spec.image_shape, dict(spec.options)])
    with _ONE_AT_A_TIME:
        known = _FIXED.setdefault(hold_out, {})
        if key not in known:
            known[key] = None if isinstance(inputs, tuple) else evaluation.fixed_features(spec, inputs)
    predicted: np.ndarray = evaluation.predict(spec, weights, inputs, fixed=known[key])
    return predicted
