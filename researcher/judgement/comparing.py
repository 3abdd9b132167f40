"""The judged model beside another one on the same public pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from policies.errors import DataError
from policies.untrusted_text import in_one_form
from researcher.counts.intervals import Interval
from researcher.judgement.bootstrap import Bootstrap, middle
from researcher.judgement.judgement import ComparedClass, Comparison
from researcher.judgement.measures import Measures, measures_of
from researcher.judgement.opened_model import OpenedModel
from researcher.judgement.paired import delong, holm, mcnemar
from researcher.judgement.test_data import About, TestData, load_test_data

DIFFERENCES = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc", "macro_average_precision", "ece", "brier")


def probabilities_of_other(
    other: OpenedModel, path: Path | str, data: TestData, about: About, backbone_weights: str | None
) -> np.ndarray:
    """What another model says of the same pictures, float64, (N, K), in the order of the judged model's classes.

    Raises:
        DataError: It tells other classes, or cannot take all of the pictures.
    """
    names, own = in_one_form(data.hold_out.class_names), in_one_form(other.about.class_names)
    if set(names) != set(own):
        raise DataError(
            f"Two models are compared on the same classes. The judged one's are {', '.join(names)}; those of "
            f"{other.about.file} are {', '.join(own)}."
        )
    again = load_test_data(path, other, about, backbone_weights=backbone_weights)
    order = [own.index(name) for name in names]
    labels = again.hold_out.labels
    labels = labels[:, order] if labels.ndim == 2 else np.array([names.index(name) for name in own])[labels]
    if not np.array_equal(labels, data.hold_out.labels):
        raise DataError(f"{other.about.file} cannot take the same pictures: in its form others are left out.")
    return other.probabilities(again.hold_out)[:, order]


def compare(
    other: OpenedModel, first: np.ndarray, second: np.ndarray, data: TestData, bootstrap: Bootstrap
) -> Comparison:
    """Compares two models.

    Args:
        other: The second.
        first: float64, (N, K), probabilities of the judged model.
        second: float64, (N, K), of the other.
        data: What both saw.
        bootstrap: How the differences' intervals are drawn.
    """
    labels, names = data.hold_out.labels, data.hold_out.class_names
    ours, theirs = measures_of(labels, first), measures_of(labels, second)
    findings = labels.ndim == 2
    tests = []
    for place in range(len(names)):
        known = labels[:, place] >= 0 if findings else np.ones(len(labels), dtype=bool)
        present = (labels[:, place] == 1 if findings else labels == place)[known]
        tests.append(delong(present, first[known, place], second[known, place]))
    together = holm([None if one is None else one.p for one in tests])
    return Comparison(
        other=other.about,
        differences=_differences(ours, theirs, data.units, bootstrap),
        mcnemar=None if findings else mcnemar(ours.right, theirs.right),
        classes=tuple(
            ComparedClass(
                name=name,
                delong=tests[place],
                p_together=together[place],
                mcnemar=mcnemar(*(one.right[labels[:, place] >= 0, place] for one in (ours, theirs)))
                if findings
                else None,
            )
            for place, name in enumerate(names)
        ),
    )


def _differences(
    ours: Measures, theirs: Measures, units: np.ndarray, bootstrap: Bootstrap
) -> dict[str, Interval | None]:
    """The differences of scores, both models weighed alike in each draw."""
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in DIFFERENCES}
    for weights in bootstrap.weights(units):
        one, another = ours.scores(weights), theirs.scores(weights)
        for name in drawn.keys() & {of for of, place in one if place is None}:
            drawn[name].append(one[name, None] - another[name, None])
    first, second = ours.scores(), theirs.scores()
    values = {name: float(first[name, None][0] - second[name, None][0]) for name in DIFFERENCES if drawn[name]}
    single = len(np.unique(units)) < 2
    return {
        name: None
        if math.isnan(value)
        else Interval(value, -1.0, 1.0)
        if single
        else middle(value, np.concatenate(drawn[name]))
        for name, value in values.items()
    }
