"""Hospitals' noised counts as rows and sentences of a report, each with its interval. All of it was released."""

from __future__ import annotations

from collections.abc import Iterable

from policies.plans.releases import StatisticsPlan
from researcher.counts.comparison import Difference
from researcher.counts.intervals import Interval
from researcher.counts.noised_findings import findings_of
from researcher.counts.noised_metrics import auroc_of, metrics_of
from researcher.counts.noised_statistics import statistics_of
from researcher.counts.saved import SavedCounts
from researcher.reports import wording


def shown(counts: SavedCounts) -> dict[str, object]:
    """One request's section: its heading, a table of hospitals, what differences mean, and who is missing."""
    columns, rows = _table(counts)
    return {
        "title": _title(counts),
        "columns": columns,
        "rows": [{"name": name, "cells": cells} for name, cells in rows.items()],
        "meaning": meaning(counts),
        "missing": [f"{name}: {reason}" for name, reason in counts.released.skipped.items()],
    }


def meaning(counts: SavedCounts) -> list[str]:
    """Which hospitals differ by more than chance, and how often hospitals that are alike would be told apart."""
    found = [(of, one) for of, pairs in counts.differences().items() for one in pairs]
    if not found:
        return []
    apart = [f"{_capital(of)}: {_compared(one)}." for of, one in found if one.told_apart]
    if apart:
        return [
            *apart,
            "Hospitals that are all alike would show a difference like these, anywhere in this table, in at most 5 of "
            "100 such requests.",
        ]
    of, largest = max(found, key=lambda pair: pair[1].interval.value)
    return [
        f"No two hospitals are told apart. The largest difference, {of}: {_compared(largest)}, is one that hospitals "
        "which are alike show too, by which pictures they happen to have and by their noise."
    ]


def _compared(one: Difference) -> str:
    interval = one.interval
    return (
        f"{one.first} lies {interval.value:.3f} above {one.second} (between {interval.low:.3f} and {interval.high:.3f})"
    )


def _title(counts: SavedCounts) -> str:
    units = f"{counts.plan.privacy.unit}s"
    if isinstance(counts.plan, StatisticsPlan):
        return f"What the hospitals' {units} are like"
    return f"The model after {wording.count(counts.of_round, 'round')}, on the hospitals' own {units}"


def _table(counts: SavedCounts) -> tuple[list[str], dict[str, list[str]]]:
    """Columns, and for each hospital its cells."""
    names, noise = counts.class_names, counts.released.noise_std
    released = counts.released.arrays
    if isinstance(counts.plan, StatisticsPlan):
        statistics = {name: statistics_of(arrays, noise_std=noise) for name, arrays in released.items()}
        if counts.plan.label_kind == "multi":
            cells = {name: _counts(one.present for one in of.finding_counts) for name, of in statistics.items()}
            return [f"{name}, present" for name in names], cells
        return list(names), {name: _counts(of.class_counts) for name, of in statistics.items()}
    has_scores = bool(counts.plan.score_bins)
    area = {
        name: _shares([auroc_of(of["scores"], noise_std=noise).macro]) if has_scores else []
        for name, of in released.items()
    }
    scored = ["macro AUROC"] if has_scores else []
    if counts.plan.model.label_kind == "multi":
        findings = {name: findings_of(of["finding_counts"], noise_std=noise) for name, of in released.items()}
        cells = {
            name: [*area[name], *_shares([of.macro_f1]), *_counts(one.present for one in of.findings)]
            for name, of in findings.items()
        }
        return [*scored, "macro F1", *(f"{name}, present" for name in names)], cells
    metrics = {name: metrics_of(of["confusion"], noise_std=noise) for name, of in released.items()}
    cells = {
        name: [*_counts([of.count]), *_shares([of.accuracy, of.macro_f1]), *area[name], *_shares(of.recall)]
        for name, of in metrics.items()
    }
    return ["count", "accuracy", "macro F1", *scored, *(f"recall {name}" for name in names)], cells


def _counts(intervals: Iterable[Interval]) -> list[str]:
    return [f"{one.value:,.0f} ({one.low:,.0f}–{one.high:,.0f})" for one in intervals]


def _shares(intervals: Iterable[Interval]) -> list[str]:
    return [f"{one.value:.3f} ({one.low:.2f}–{one.high:.2f})" for one in intervals]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
