"""Scores of the local and the global model on the hold-out, for each class and subgroup; small cells say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasites.study_report.own_hold_out import OwnHoldOut
from datasites.training.finding_metrics import right_share, score_findings

LEAST_IN_A_CELL = 10


@dataclass(frozen=True)
class GroupRow:
    """One class or subgroup of the hold-out.

    Attributes:
        kind: `all`, `class`, `finding`, or a column's name.
        name: Of the class, or what stands in the column; empty for all.
        count: How many patients there are, or pictures where the hold-out names no patients; None where fewer than
            `LEAST_IN_A_CELL`.
        score: What is scored: `share right`, `recall` or `AUROC`.
        local_score: Of the local model; None where the cell is too small, or nothing can be said.
        global_score: Of the global model, likewise.
    """

    kind: str
    name: str
    count: int | None
    score: str
    local_score: float | None
    global_score: float | None


def group_rows(
    hold_out: OwnHoldOut,
    class_names: Sequence[str],
    local_model: NDArray[np.float32],
    global_model: NDArray[np.float32],
) -> tuple[GroupRow, ...]:
    """Scores both models.

    Guarantees:
        Of fewer than `LEAST_IN_A_CELL` patients, or pictures where nobody says whose they are, neither a score nor
        the number is told.

    Args:
        hold_out: The pictures.
        class_names: Of the classes or findings.
        local_model: (N, K), the local model's probabilities.
        global_model: (N, K), the global model's.
    """
    labels, models = hold_out.labels, (local_model, global_model)
    rows = [_row("all", "", "share right", hold_out, np.ones(len(labels), bool), *(_right(labels, p) for p in models))]
    if labels.ndim == 1:
        for number, name in enumerate(class_names):
            rows.append(_row("class", name, "recall", hold_out, labels == number, *(_right(labels, p) for p in models)))
    else:
        scores = [score_findings(labels, probabilities) for probabilities in models]
        for number, name in enumerate(class_names):
            told = [one[number].auroc for one in scores]
            chosen = labels[:, number] >= 0
            rows.append(_suppressed("finding", name, "AUROC", hold_out, chosen, told))
    rows += _subgroups(hold_out, models)
    return tuple(rows)


def _subgroups(hold_out: OwnHoldOut, models: Sequence[NDArray[np.float32]]) -> Iterator[GroupRow]:
    for column, cells in hold_out.groups.items():
        for value in sorted(set(cells)):
            chosen = np.array([cell == value for cell in cells])
            told = (_right(hold_out.labels, probabilities) for probabilities in models)
            yield _row(column, value or "(empty)", "share right", hold_out, chosen, *told)


def _right(labels: NDArray[np.int64] | NDArray[np.int8], probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each picture the share that is told right: 0 or 1, of findings the share of those that are known."""
    if labels.ndim == 1:
        return (probabilities.argmax(axis=1) == labels).astype(np.float64)
    rows = zip(labels, probabilities, strict=True)
    return np.array([right_share(truth[None], found[None]) for truth, found in rows])


def _row(
    kind: str,
    name: str,
    score: str,
    hold_out: OwnHoldOut,
    chosen: NDArray[np.bool_],
    local_right: NDArray[np.float64],
    global_right: NDArray[np.float64],
) -> GroupRow:
    told = [float(right[chosen].mean()) if chosen.any() else None for right in (local_right, global_right)]
    return _suppressed(kind, name, score, hold_out, chosen, told)


def _suppressed(
    kind: str, name: str, score: str, hold_out: OwnHoldOut, chosen: NDArray[np.bool_], told: Sequence[float | None]
) -> GroupRow:
    count = len(np.unique(hold_out.patients[chosen]))
    if count < LEAST_IN_A_CELL:
        return GroupRow(kind, name, None, score, None, None)
    return GroupRow(kind, name, count, score, told[0], told[1])
