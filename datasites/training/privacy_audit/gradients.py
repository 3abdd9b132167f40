"""Gradients: without noise, an update of one step is the sum of clipped gradients, and can be held to the definition.

The model is one of pictures and reports, with convolutions, biases, norms, linear layers and an embedding: what an
engine leaves out of a picture's norm shows in the sum. Its labels are classes, and once more findings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from datasites.training.dp_sgd.weighted_sums import full_precision
from datasites.training.models import build_model, initial_weights, load_weights
from datasites.training.pictures.data import LabelledPictures, to_tensor
from datasites.training.pictures.reports import to_inputs
from datasites.training.privacy_audit import oracle
from datasites.training.privacy_audit.cancellation import cancelling_parts
from datasites.training.privacy_audit.checks import Check, at_most
from datasites.training.privacy_audit.subject import Subject
from policies.plans.picture_form import LABEL_KINDS
from policies.plans.tokeniser import TextForm
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

_FORM = TextForm(length=4, vocabulary=12)
_TEXT_FEATURES, _WEIGHT_OF_REPORTS = 8, 20
_SPEC = ModelSpec(
    "image_text", (16, 16, 1), 3, {**_FORM.options, "width": 4, "text_features": _TEXT_FEATURES, "window": 2}
)
_FINDINGS = ((1, 0, -1), (0, 0, 1), (-1, -1, -1), (1, 1, 1), (-1, 0, -1), (0, -1, 1))
_REPORTS = ((3, 3, 3, 0), (1, 2, 3, 4), (9, 0, 0, 0), (0, 0, 0, 0), (7, 3, 0, 0), (2, 2, 8, 8))
_PUBLIC_SIZE = 8
_TIGHT, _LOOSE = 0.5, 50.0  # bounds below and above the length of every gradient
_ALONE = ((0, _TIGHT), (2, _TIGHT), (5, _TIGHT), (2, _LOOSE))
_TOGETHER = ((_TIGHT, 1), (_TIGHT, 2), (_LOOSE, 2))  # with one view and two
_TOLERANCE = 1e-4  # of the bound, or of the sum where nothing is clipped


def gradient_checks(subject: Subject) -> Iterator[Check]:
    """Yields the checks of sums of clipped gradients."""
    weights = _weights()
    alone = [_gap(subject, weights, [number], bound=bound) for number, bound in _ALONE]
    yield at_most("a record's clipped gradient, off by", (gap for gap, _ in alone), _TOLERANCE)
    yield at_most("a record's part of the bound", (part for _, part in alone), 1.0)
    everyone = range(len(_REPORTS))
    together = [
        _gap(subject, weights, everyone, bound=bound, views=views, label_kind=kind)
        for kind in LABEL_KINDS
        for bound, views in _TOGETHER
    ]
    yield at_most("sum of clipped gradients, off by", (gap for gap, _ in together), _TOLERANCE)
    yield at_most("sum with a record that is no number, off by", [_gap_beside(subject, weights)], _TOLERANCE)
    yield at_most("sum with places that do not count, off by", [_gap_beside(subject, weights, counted=4)], _TOLERANCE)
    yield at_most("a record's part of the bound where terms cancel", cancelling_parts(subject), 1.0)


def _gap(
    subject: Subject,
    weights: Mapping[str, np.ndarray],
    chosen: Sequence[int],
    *,
    bound: float,
    views: int = 1,
    label_kind: str = "single",
) -> tuple[float, float]:
    """How far one step's sum lies from the definition, and how long it is, both as shares.

    Args:
        subject: Takes the round.
        weights: Global weights.
        chosen: Which of the records there are.
        bound: max_grad_norm.
        views: Of each picture; pictures are symmetric, so that all views are the same.
        label_kind: Of the records.
    """
    spec = replace(_SPEC, label_kind=label_kind)
    plan = TrainingPlan(
        study="audit",
        dataset="gradients",
        model=spec,
        rounds=1,
        steps_per_round=1,
        sample_rate=1.0,
        learning_rate=1.0,
        augmentation="flips" if views > 1 else "none",
        augmentation_multiplicity=views,
        privacy=PrivacySpec(1.0, bound, 1e-5),
        run=subject.run(physical_batch_size=4),
    )
    pictures = _records(chosen, label_kind)
    with full_precision(torch.device(subject.torch_device).type):  # the definition is computed in no less
        update = subject.take(plan, 0, weights, pictures, silent=True)
    names = list(weights)
    found = np.concatenate([update[name].astype(np.float64).ravel() for name in names]) * -_PUBLIC_SIZE
    wanted = oracle.clipped(oracle.gradients(spec, weights, pictures), bound).sum(axis=0)
    scale = min(bound, float(np.linalg.norm(wanted)))
    return float(np.linalg.norm(found - wanted)) / scale, float(np.linalg.norm(found)) / bound


def _gap_beside(subject: Subject, weights: Mapping[str, np.ndarray], *, counted: int | None = None) -> float:
    """How far a sum lies from what it should be where the last record is NaN, as a share of the bound.

    Args:
        subject: Whose engine is looked at.
        weights: The model's.
        counted: How many of the records count; None: all.
    """
    records = _records(range(len(_REPORTS)))
    images = to_tensor(records.images)
    images[-1] = math.nan
    model = build_model(_SPEC)
    load_weights(model, weights)
    device = subject.torch_device
    engine = subject.engine_factory()(model.to(device).train(), _TIGHT)
    places = None if counted is None else torch.arange(len(_REPORTS), device=device) < counted
    inputs = to_inputs(images, records.texts, device)
    with full_precision(torch.device(device).type):
        found = engine.clipped_sum(inputs, torch.from_numpy(records.labels).to(device), places)
    others = _records(range(counted or len(_REPORTS) - 1))
    wanted = oracle.clipped(oracle.gradients(_SPEC, weights, others), _TIGHT).sum(axis=0)
    together = torch.cat([total.detach().flatten() for total in found]).to("cpu", torch.float64).numpy()
    return float(np.linalg.norm(together - wanted)) / _TIGHT


def _weights() -> dict[str, np.ndarray]:
    """The model's usual weights, with a head that hears of the reports as much as of the pictures."""
    weights = initial_weights(_SPEC, 1)
    weights["head.weight"][:, -_TEXT_FEATURES:] *= _WEIGHT_OF_REPORTS
    return weights


def _records(chosen: Sequence[int], label_kind: str = "single") -> LabelledPictures:
    """Some of six drawn pictures with their reports; each picture is symmetric, left to right and up to down."""
    quarter = np.random.default_rng(1).integers(0, 256, (len(_REPORTS), 8, 8, 1), dtype=np.uint8)
    half = np.concatenate([quarter, quarter[:, ::-1]], axis=1)
    images = np.concatenate([half, half[:, :, ::-1]], axis=2)
    rows = list(chosen)
    classes = np.array([number % 3 for number in rows], dtype=np.int64)
    return LabelledPictures(
        images=images[rows],
        labels=np.array(_FINDINGS, dtype=np.int8)[rows] if label_kind == "multi" else classes,
        units=np.arange(len(rows)),
        public_size=_PUBLIC_SIZE,
        texts=np.array(_REPORTS, dtype=np.int32)[rows],
        text_form=_FORM,
    )
