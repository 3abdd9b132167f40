"""Judges a released model on public test data. No private picture is read here; those are scored at home."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasites.training.ranking import known
from policies.errors import DataError
from researcher.counts.intervals import Interval
from researcher.evaluation.copies import digests, refuse_two_classes
from researcher.evaluation.hold_out import HoldOut
from researcher.judgement.bootstrap import Bootstrap
from researcher.judgement.cautions import cautions_of
from researcher.judgement.comparing import compare, probabilities_of_other
from researcher.judgement.grouping import groups_of
from researcher.judgement.judgement import ClassJudgement, JudgedData, Judgement, Temperature
from researcher.judgement.measures import ClassMeasures, FindingMeasures, Key, measures_of
from researcher.judgement.opened_model import OpenedModel, open_model
from researcher.judgement.reliability import fitted_temperature, scaled
from researcher.judgement.speed import measure_speed
from researcher.judgement.test_data import About, TestData, load_test_data

__all__ = ["Judgement", "judge"]

_CALIBRATION = ("ece", "adaptive_ece", "brier")
_MOST_CORNERS = 200


def judge(
    model_path: Path | str,
    test_data: Path | str,
    *,
    about: About | None = None,
    calibrate_on: Path | str | None = None,
    against: Path | str | None = None,
    backbone_weights: str | None = None,
    bootstrap: Bootstrap | None = None,
    speed: bool = True,
    accept: Collection[str] = (),
) -> Judgement:
    """Judges a model: scores with intervals, calibration, groups, a comparison, speed and size.

    Args:
        model_path: `.safetensors` as `train` writes it, or `.onnx` as `export` does, float or int8.
        test_data: Public pictures, in any form that `load_hold_out` reads.
        about: Where patients, hospitals and groups of the test pictures stand; in columns of the usual names if None.
        calibrate_on: Other public pictures, on which a temperature is chosen; none is chosen if None.
        against: Another model, compared on the same pictures.
        backbone_weights: Public weights that a safetensors model of features needs.
        bootstrap: How intervals are drawn; a thousand times if None.
        speed: Whether latency and memory are measured, in a process of its own.
        accept: What is judged all the same: `same_picture_in_two_classes`.

    Raises:
        ConfigError: A model's file is not there or not as it was written.
        DataError: The data are not the model's, or hold one picture in two classes, or one of `calibrate_on`.
    """
    about, bootstrap = about or About(), bootstrap or Bootstrap()
    model = open_model(model_path)
    data = load_test_data(test_data, model, about, backbone_weights=backbone_weights)
    judged = _judged_data(data, str(test_data), accept)
    found, units = model.probabilities(data.hold_out), data.units
    measures = measures_of(data.hold_out.labels, found)
    scores = bootstrap.intervals(measures, units)
    temperature = None
    if calibrate_on is not None:
        temperature = _temperature(model, data, found, calibrate_on, backbone_weights, bootstrap)
    comparison = None
    if against is not None:
        theirs = open_model(against)
        beside = probabilities_of_other(theirs, test_data, data, about, backbone_weights)
        comparison = compare(theirs, found, beside, data, bootstrap)
    judgement = Judgement(
        model=model.about,
        data=judged,
        draws=bootstrap.draws,
        seed=bootstrap.seed,
        scores={name: score for (name, place), score in scores.items() if place is None},
        classes=tuple(_classes(data, measures, scores)),
        confusion=_confusion(measures),
        bins=measures.reliability.bins(),
        temperature=temperature,
        groups=tuple(groups_of(data, found, bootstrap)),
        comparison=comparison,
        speed=measure_speed(Path(model_path), _first(data.hold_out)) if speed else None,
        cautions=(),
    )
    return replace(judgement, cautions=tuple(cautions_of(judgement, same=_same_for_all(measures, model))))


def _judged_data(data: TestData, source: str, accept: Collection[str]) -> JudgedData:
    """What is said of the test data, unless they hold one picture in two classes and nobody accepts that."""
    copies = data.hold_out.copies()
    refuse_two_classes(copies, source, accept)
    return JudgedData(
        source=data.source,
        pictures=len(data.hold_out.images),
        unit=data.unit,
        units=int(data.units.max()) + 1,
        left_out=data.hold_out.left_out,
        converted=data.converted,
        copies=copies.same,
        in_two_classes=copies.two_classes,
    )


def _classes(
    data: TestData, measures: ClassMeasures | FindingMeasures, scores: Mapping[Key, Interval | None]
) -> Iterator[ClassJudgement]:
    """Each class, or finding, with its scores."""
    for place, name in enumerate(data.hold_out.class_names):
        rows, present = _of_class(data.hold_out.labels, place)
        yield ClassJudgement(
            name=name,
            known=len(rows),
            present=int(present[rows].sum()),
            units=len(np.unique(data.units[rows][present[rows]])),
            scores={of: score for (of, where), score in scores.items() if where == place},
            roc=_roc(measures, place),
        )


def _of_class(labels: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of which a class is known, and for every picture whether it is of it."""
    if labels.ndim == 2:
        return np.flatnonzero(labels[:, place] >= 0), labels[:, place] == 1
    return np.arange(len(labels)), labels == place


def _roc(measures: ClassMeasures | FindingMeasures, place: int) -> tuple[tuple[float, float], ...]:
    """The curve's corners, of many corners as many as a page can show; none where a kind of pictures lacks."""
    ranking = measures.rankings[place]
    if known(ranking.weighed().auroc()) is None:
        return ()
    corners = ranking.roc()
    if len(corners) > _MOST_CORNERS:
        corners = corners[np.linspace(0, len(corners) - 1, _MOST_CORNERS).round().astype(int)]
    return tuple((float(alarms), float(hits)) for alarms, hits in corners)


def _confusion(measures: ClassMeasures | FindingMeasures) -> tuple[tuple[int, ...], ...]:
    if isinstance(measures, FindingMeasures):
        return ()
    return tuple(tuple(int(count) for count in row) for row in measures.confusion())


def _same_for_all(measures: ClassMeasures | FindingMeasures, model: OpenedModel) -> tuple[str, ...]:
    """Classes of which the model gives every picture the same probability."""
    pairs = zip(model.about.class_names, measures.rankings, strict=True)
    return tuple(name for name, ranking in pairs if ranking.steps == 1)


def _temperature(
    model: OpenedModel,
    data: TestData,
    found: np.ndarray,
    path: Path | str,
    backbone_weights: str | None,
    bootstrap: Bootstrap,
) -> Temperature:
    """The temperature of other pictures, and the calibration of the test data with it."""
    chosen = load_test_data(path, model, backbone_weights=backbone_weights)
    tested = set(digests(data.hold_out.images))
    if both := sum(one in tested for one in set(digests(chosen.hold_out.images))):
        raise DataError(
            f"{both} of the {len(chosen.hold_out.images)} pictures in {path} are test pictures too: a temperature that "
            "is chosen on them would look better than it is. Choose it on other pictures."
        )
    findings = data.hold_out.labels.ndim == 2
    value = fitted_temperature(chosen.hold_out.labels, model.probabilities(chosen.hold_out))
    measures = measures_of(data.hold_out.labels, scaled(found, value, findings=findings))
    scores = bootstrap.intervals(measures, data.units)
    return Temperature(
        value=value,
        chosen_on=chosen.source,
        pictures=len(chosen.hold_out.images),
        shared_patients=len({*(chosen.patients or ())} & {*(data.patients or ())}),
        scores={name: scores[name, None] for name in _CALIBRATION},
        bins=measures.reliability.bins(),
    )


def _first(hold_out: HoldOut) -> HoldOut:
    """The hold-out's first picture alone."""
    return replace(
        hold_out,
        images=hold_out.images[:1].copy(),
        labels=hold_out.labels[:1],
        reports=hold_out.reports and hold_out.reports[:1],
        features=None if hold_out.features is None else hold_out.features[:1].copy(),
        left_out=(),
        places=(),
        patients=None,
        sites=None,
    )
