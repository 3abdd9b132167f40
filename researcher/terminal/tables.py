"""The researcher's terminal: hospitals, datasets and noised counts as tables, of what hospitals told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.console import Group

from policies.answers import rounded
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
            _pictures(dataset),
            f"{dataset.label_kind}: {', '.join(dataset.class_names)}",
            dataset.unit,
            str(dataset.public_size),
            f"{rounded.left(budget.epsilon_left)} of {budget.epsilon_total:g}",
            f"{dataset.limits['min_noise_multiplier']:g}",
        )
        told.append(f"{dataset.datasite}, {dataset.name}: picture form: {dataset.form or 'not declared'}")
        told += [f"  terms of use: {one}" for one in dataset.terms_of_use.splitlines()]
    for name, reason in missing.items():
        shown.add_row(name, line(("not reached", "red")))
        told.append(f"{name} was not reached: {reason}")
    return Group(shown, *map(line, told))


def _pictures(dataset: DatasetInfo) -> str:
    """Kind of pictures, where the hospital declares one, their shape, and the length of reports."""
    kind = "" if dataset.modality == "other" else f"{dataset.modality}, "
    return kind + _shape(dataset) + (f" and {dataset.text.length} words" if dataset.text else "")


def check_table(checks: Sequence[HospitalCheck]) -> Group:
    """One line a hospital and dataset, then what is to be done."""
    shown = PlainTable(
        *("hospital", "state", "round trip", "MB/s up / down", "clock", "certificate", "dataset", "epsilon left"),
        spare=("clock", "round trip", "MB/s up / down"),
        elsewhere="--json",
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
) -> Group:
    """A line for each class at each hospital; then each hospital's channels, and what all of it cost."""
    counts = _each_in_turn(
        ("datasite", "class", "count"),
        {name: zip(class_names, map(_count, of.class_counts), strict=True) for name, of in found.items()},
    )
    return Group(counts, _channels(found, epsilon))


def finding_statistics_table(
    found: Mapping[str, ClassStatistics], findings: Sequence[str], epsilon: Mapping[str, float]
) -> Group:
    """A line for each finding at each hospital; then each hospital's channels, and what all of it cost."""
    counts = _each_in_turn(
        ("datasite", "finding", "present", "absent", "unknown"),
        {
            name: (
                (finding, *map(_count, (counts.present, counts.absent, counts.unknown)))
                for finding, counts in zip(findings, of.finding_counts, strict=True)
            )
            for name, of in found.items()
        },
    )
    return Group(counts, _channels(found, epsilon))


def finding_evaluation_table(
    found: Mapping[str, tuple[NoisedFindings, NoisedAuroc]], findings: Sequence[str], epsilon: Mapping[str, float]
) -> Group:
    """For each hospital, or several together, the mean over findings; then a line for each finding, scores first."""
    means = PlainTable("datasite", "mean AUROC", "mean F1", "epsilon")
    scores: dict[str, list[tuple[Any, ...]]] = {}
    counts: dict[str, list[tuple[Any, ...]]] = {}
    for name, (metrics, auroc) in found.items():
        means.add_row(name, _share(auroc.macro), _share(metrics.macro_f1), _cost(epsilon, name))
        each = list(zip(findings, metrics.findings, auroc.per_class, strict=True))
        scores[name] = [(of, *map(_share, (area, one.sensitivity, one.specificity))) for of, one, area in each]
        counts[name] = [(of, _share(one.f1), *map(_count, (one.present, one.absent))) for of, one, _ in each]
    return Group(
        means,
        _each_in_turn(("datasite", "finding", "AUROC", "sensitivity", "specificity"), scores),
        _each_in_turn(("datasite", "finding", "F1", "present", "absent"), counts),
    )


def evaluation_table(
    found: Mapping[str, tuple[NoisedMetrics, NoisedAuroc]], class_names: Sequence[str], epsilon: Mapping[str, float]
) -> Group:
    """One line a hospital, or several together, which have no epsilon of their own; then a line for each class."""
    scores = PlainTable("datasite", "accuracy", "macro F1", "AUROC", "epsilon")
    for name, (metrics, auroc) in found.items():
        scores.add_row(name, *map(_share, (metrics.accuracy, metrics.macro_f1, auroc.macro)), _cost(epsilon, name))
    recall = {name: zip(class_names, map(_share, metrics.recall), strict=True) for name, (metrics, _) in found.items()}
    return Group(scores, _each_in_turn(("datasite", "class", "recall"), recall))


def _each_in_turn(columns: Sequence[str], rows: Mapping[str, Iterable[Sequence[Any]]]) -> PlainTable:
    """Several lines for each hospital, its name beside the first: however many classes there are, names stay whole."""
    shown = PlainTable(*columns)
    for name, lines in rows.items():
        for number, cells in enumerate(lines):
            shown.add_row("" if number else name, *cells)
    return shown


def _channels(found: Mapping[str, ClassStatistics], epsilon: Mapping[str, float]) -> PlainTable:
    shown = PlainTable("datasite", "channel mean", "channel spread", "epsilon")
    for name, of in found.items():
        shown.add_row(name, _levels(of.channel_mean), _levels(of.channel_std), _cost(epsilon, name))
    return shown


def _cost(epsilon: Mapping[str, float], name: str) -> str:
    """What a hospital was asked to give; several together have none of their own."""
    return rounded.cost(epsilon[name]) if name in epsilon else ""


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
        f"{rounded.left(dataset.epsilon_left)} of {dataset.epsilon_total:g}",
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
