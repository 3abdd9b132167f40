"""The researcher's terminal: hospitals, datasets and noised counts as tables, of what hospitals told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.console import Group

from policies.terminal.rich_terminal import PlainTable, line

if TYPE_CHECKING:
    from rich.text import Text

    from policies.answers.hospital import BudgetAnswer
    from researcher.counts.intervals import Interval
    from researcher.counts.noised_findings import NoisedFindings
    from researcher.counts.noised_metrics import NoisedAuroc, NoisedMetrics
    from researcher.counts.noised_statistics import ClassStatistics
    from researcher.hospitals.check import DatasetCheck, HospitalCheck
    from researcher.hospitals.hospital import DatasetInfo


def catalog_table(
    offered: Iterable[tuple[DatasetInfo, BudgetAnswer]], missing: Mapping[str, str] = MappingProxyType({})
) -> Group:
    """Each dataset's schema card: a line with its budget, then how its files become pictures, and its terms of use.

    Args:
        offered: The datasets.
        missing: Datasite → why it could not be asked.
    """
    shown = PlainTable(
        *("datasite", "dataset", "pictures", "labels", "unit", "public size", "epsilon left", "least noise"),
        spare=("least noise", "public size"),
    )
    told = []
    for dataset, budget in offered:
        shown.add_row(
            dataset.datasite,
            dataset.name,
            f"{dataset.modality}, {_shape(dataset)}" + (f" and {dataset.text.length} words" if dataset.text else ""),
            f"{dataset.label_kind}: {', '.join(dataset.class_names)}",
            dataset.unit,
            str(dataset.public_size),
            f"{budget.epsilon_left:.2f} of {budget.epsilon_total:g}",
            f"{dataset.limits['min_noise_multiplier']:g}",
        )
        told.append(f"{dataset.datasite}, {dataset.name}: picture form: {dataset.form or 'not declared'}")
        told += [f"  terms of use: {one}" for one in dataset.terms_of_use.splitlines()]
    for name, reason in missing.items():
        shown.add_row(name, line(("not reached", "red")))
        told.append(f"{name} was not reached: {reason}")
    return Group(shown, *map(line, told))


def check_table(checks: Sequence[HospitalCheck]) -> Group:
    """One line a hospital and dataset, then what is to be done."""
    shown = PlainTable(
        *("hospital", "state", "round trip", "MB/s up / down", "clock", "certificate", "dataset", "epsilon left"),
        spare=("clock", "round trip", "MB/s up / down"),
    )
    for check in checks:
        for dataset in check.datasets or (None,):
            shown.add_row(check.datasite, *_cells(check, dataset))
    told = [
        line((f"{check.datasite}: {text}", colour))
        for check in checks
        for texts, colour in ((check.problems, "red"), (check.warnings, "yellow"))
        for text in texts
    ]
    return Group(shown, *told)


def statistics_table(
    found: Mapping[str, ClassStatistics], class_names: Sequence[str], epsilon: Mapping[str, float]
) -> PlainTable:
    """One line a hospital: each class's count, the channels' means and spreads, and what it cost."""
    shown = PlainTable("datasite", *class_names, "channel mean", "channel spread", "epsilon")
    for name, statistics in found.items():
        shown.add_row(
            name,
            *(_count(count) for count in statistics.class_counts),
            _levels(statistics.channel_mean),
            _levels(statistics.channel_std),
            f"{epsilon[name]:.2f}",
        )
    return shown


def finding_statistics_table(
    found: Mapping[str, ClassStatistics], findings: Sequence[str], epsilon: Mapping[str, float]
) -> PlainTable:
    """A line for each finding at each hospital; the channels, and what all of it cost, beside the first."""
    shown = PlainTable(
        "datasite", "finding", "present", "absent", "unknown", "channel mean", "channel spread", "epsilon"
    )
    for name, statistics in found.items():
        pixels = _levels(statistics.channel_mean), _levels(statistics.channel_std), f"{epsilon[name]:.2f}"
        for number, (finding, counts) in enumerate(zip(findings, statistics.finding_counts, strict=True)):
            cells = map(_count, (counts.present, counts.absent, counts.unknown))
            shown.add_row("" if number else name, finding, *cells, *(("", "", "") if number else pixels))
    return shown


def finding_evaluation_table(
    found: Mapping[str, tuple[NoisedFindings, NoisedAuroc]], findings: Sequence[str], epsilon: Mapping[str, float]
) -> PlainTable:
    """For each hospital, or several together, the mean over findings, then a line for each finding."""
    shown = PlainTable(
        "datasite", "finding", "AUROC", "F1", "sensitivity", "specificity", "present", "absent", "epsilon"
    )
    for name, (metrics, auroc) in found.items():
        cost = f"{epsilon[name]:.2f}" if name in epsilon else ""
        shown.add_row(name, "mean of all", _share(auroc.macro), _share(metrics.macro_f1), "", "", "", "", cost)
        for finding, one, area in zip(findings, metrics.findings, auroc.per_class, strict=True):
            shares = map(_share, (area, one.f1, one.sensitivity, one.specificity))
            shown.add_row("", finding, *shares, _count(one.present), _count(one.absent), "")
    return shown


def evaluation_table(
    found: Mapping[str, tuple[NoisedMetrics, NoisedAuroc]], class_names: Sequence[str], epsilon: Mapping[str, float]
) -> PlainTable:
    """One line a hospital, or several together, which have no epsilon of their own."""
    shown = PlainTable(
        "datasite", "accuracy", "macro F1", "AUROC", *(f"recall {name}" for name in class_names), "epsilon"
    )
    for name, (metrics, auroc) in found.items():
        cost = f"{epsilon[name]:.2f}" if name in epsilon else ""
        shares = (metrics.accuracy, metrics.macro_f1, auroc.macro, *metrics.recall)
        shown.add_row(name, *map(_share, shares), cost)
    return shown


def _cells(check: HospitalCheck, dataset: DatasetCheck | None) -> list[Any]:
    state, colour = (
        ("problem", "red") if check.problems else ("warning", "yellow") if check.warnings else ("ok", "green")
    )
    cells: list[Any] = [line((state if check.reachable else "not usable", colour))]
    if not check.reachable or dataset is None:
        return cells
    up, down = check.upload_mb_per_second or 0.0, check.download_mb_per_second or 0.0
    clock, days = check.clock_difference_seconds, check.certificate_days
    return [
        *cells,
        f"{(check.latency_seconds or 0.0) * 1000:.0f} ms",
        f"{up:.0f} / {down:.0f}",
        "" if clock is None else f"{clock:+.0f} s",
        "" if days is None else f"{days} days",
        f"{dataset.name} {_shape(dataset)}, {dataset.unit}",
        f"{dataset.epsilon_left:.2f} of {dataset.epsilon_total:g}",
    ]


def _share(interval: Interval) -> Text:
    return line(f"{interval.value:.3f} ", (f"{interval.low:.2f}–{interval.high:.2f}", "dim"))


def _count(interval: Interval) -> Text:
    return line(f"{interval.value:.0f} ", (f"{max(interval.low, 0):.0f}–{interval.high:.0f}", "dim"))


def _levels(intervals: Iterable[Interval]) -> Text:
    """Numbers in [0, 1] with their intervals: where noise hides one, the interval is what can be said."""
    parts: list[str | tuple[str, str]] = []
    for interval in intervals:
        parts += [f" {interval.value:.2f} " if parts else f"{interval.value:.2f} "]
        parts += [(f"{interval.low:.2f}–{interval.high:.2f}", "dim")]
    return line(*parts)


def _shape(dataset: DatasetInfo | DatasetCheck) -> str:
    return "x".join(map(str, dataset.image_shape))
