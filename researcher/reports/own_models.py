"""Own models of made-up hospitals in a report, and how models do at home. None of it is of real hospitals."""

from __future__ import annotations

from collections.abc import Iterable

from researcher.evaluation.evaluation import Evaluation
from researcher.reports import wording
from researcher.reports.result import StudyResult


def row(result: StudyResult, name: str) -> dict[str, str]:
    """What the table of hospitals says of one."""
    own = result.own_models.get(name)
    return {
        "own_score": wording.headline(own)[1] if own else "–",
        "own_macro_f1": f"{own.macro_f1:.3f}" if own else "–",
        "at_home": wording.score(result.at_home.get(name)),
    }


def total(result: StudyResult) -> dict[str, str]:
    """What the table says of all together: means over hospitals."""
    return {
        "own_score": wording.score(_mean(map(_value, result.own_models.values()))),
        "own_macro_f1": wording.score(_mean(own.macro_f1 for own in result.own_models.values())),
        "at_home": wording.score(_mean(result.at_home.values())),
    }


def note(result: StudyResult) -> str:
    """How to read these columns; empty where there are none."""
    told = []
    if result.own_models:
        told.append("Own model: what the hospital ends with, scored on the whole hold-out.")
    if result.at_home:
        of = "its own model" if result.own_models else "the global model"
        told.append(f"At its mix: accuracy of {of} on a hold-out with as much of each class as the hospital has.")
    return " ".join([*told, "All together is the mean over hospitals."]) if told else ""


def spread(result: StudyResult) -> list[str]:
    """Each column in a line: its mean, and from where to where it goes."""
    scored = [value for value in map(_value, result.own_models.values()) if value is not None]
    columns = {}
    if scored:
        name, _ = wording.headline(next(iter(result.own_models.values())))
        columns[f"own models: {name}"] = scored
    if result.at_home:
        columns["at each hospital's mix of classes: accuracy"] = list(result.at_home.values())
    return [
        f"{name} {wording.score(_mean(values))} on average, from {min(values):.3f} to {max(values):.3f}"
        for name, values in columns.items()
    ]


def _value(scores: Evaluation) -> float | None:
    return scores.macro_auroc if scores.findings else scores.accuracy


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
