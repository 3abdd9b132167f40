"""The tables of a judgement's page. Public numbers only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from researcher.html.element import Html, element, joined, table, text
from researcher.html.page import paragraph, wide
from researcher.judgement.measures import SPECIFICITIES, sensitivity_name
from researcher.judgement.pages.sentences import NAMES, chance, difference, megabytes, number

if TYPE_CHECKING:
    from researcher.counts.intervals import Interval
    from researcher.judgement.judgement import Comparison, Judgement
    from researcher.judgement.paired import McNemar

_OF_CLASSES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "recall": "sensitivity (recall)",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    **{sensitivity_name(one): f"sensitivity at specificity {one:g}" for one in SPECIFICITIES},
}
_MEANS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
}
_OF_GROUPS = ("accuracy", "macro_auroc", "macro_f1", "ece")
_DARKEST = 55


def classes_table(judgement: Judgement) -> Html:
    """Each class with its scores."""
    people = [] if judgement.data.unit == "picture" else ["patients"]
    rows = [
        [
            one.name,
            f"{one.present:,} of {one.known:,}",
            *([f"{one.units:,}"] if people else []),
            *(_scored(one.scores.get(name)) for name in _OF_CLASSES),
        ]
        for one in judgement.classes
    ]
    noun = "finding" if judgement.model.label_kind == "multi" else "class"
    head = [noun, "pictures", *people, *_OF_CLASSES.values()]
    return wide(table(f"Each {noun} against the rest", head, rows), compact=True)


def _scored(score: Interval | None) -> Html:
    """A score with its interval below it: a table of ten such columns fits a page."""
    if score is None:
        return text("–")
    return joined(f"{score.value:.3f}", element("small", f"{score.low:.2f}–{score.high:.2f}"))


def confusion_table(judgement: Judgement) -> Html:
    """Of each true class the share that is taken for each class, with counts, the darker the more."""
    names = judgement.model.class_names
    head = element("tr", element("th", "true ↓, predicted →"), *(element("th", name, scope="col") for name in names))
    rows = []
    for name, counts in zip(names, judgement.confusion, strict=True):
        whole = sum(counts)
        cells = [_cell(count / whole if whole else None, count) for count in counts]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    told = element("caption", "Share of each true class (row) that is taken for each class (column), with counts")
    return wide(element("table", told, element("thead", head), element("tbody", *rows)))


def _cell(share: float | None, count: int) -> Html:
    """A share with its count; a dash for a share of no picture."""
    colour = f"background:color-mix(in srgb, var(--accent, #4477aa) {_DARKEST * (share or 0.0):.0f}%, transparent)"
    return element(
        "td", "–" if share is None else f"{share:.0%}", element("small", f"{count:,}"), class_="cell", style=colour
    )


def means_table(judgement: Judgement) -> Html:
    """Means over the classes, by how each class counts."""
    rows = [
        [told, *(number(judgement.scores.get(f"{how}_{name}")) for how in ("macro", "weighted", "micro"))]
        for name, told in _MEANS.items()
    ]
    head = ["score", "macro: classes count alike", "weighted: as often as they are", "micro: pictures count alike"]
    singles = ["accuracy", "balanced_accuracy", "cohen_kappa"]
    more = [[NAMES[name], number(judgement.scores[name])] for name in singles if name in judgement.scores]
    return joined(wide(table("Means over classes", head, rows)), wide(table("Others", ["score", "value"], more)))


def calibration_table(judgement: Judgement) -> Html:
    """Calibration errors, and with the temperature where one was chosen."""
    scaled = judgement.temperature
    names = ("ece", "adaptive_ece", "brier")
    rows = [
        [NAMES[name], number(judgement.scores.get(name)), *([number(scaled.scores.get(name))] if scaled else [])]
        for name in names
    ]
    head = ["0 is best", "as it is", *([f"with temperature {scaled.value:.3f}"] if scaled else [])]
    chosen = (
        f"The temperature was chosen on {scaled.pictures:,} pictures from {scaled.chosen_on}, none of which is a test "
        "picture. Divide the model's logits by it to get these probabilities; which class is likeliest stays the same."
        if scaled
        else "No temperature was chosen: other public pictures, given as --calibrate_on, are needed for it."
    )
    return joined(wide(table("Calibration", head, rows)), paragraph(chosen, small=True))


def groups_table(judgement: Judgement) -> Html:
    """A row for each part of the test data."""
    people = [] if judgement.data.unit == "picture" else ["patients"]
    rows = [
        [
            f"{one.column}: {one.value}",
            f"{one.pictures:,}",
            *([f"{one.units:,}"] if people else []),
            *(_scored(one.scores.get(name)) for name in _OF_GROUPS),
            ", ".join(one.absent) or "none",
        ]
        for one in judgement.groups
    ]
    head = ["group", "pictures", *people, *(NAMES[name] for name in _OF_GROUPS), "classes it lacks"]
    return wide(table("The model on parts of the test data", head, rows), compact=True)


def comparison_tables(comparison: Comparison) -> Iterator[Html]:
    """Tables and sentences on how two models differ on the same pictures."""
    rows = [[NAMES[name], difference(found)] for name, found in comparison.differences.items()]
    told = "Differences; above 0 the judged model's is larger, which is better but for errors and Brier score"
    yield wide(table(told, ["score", "difference"], rows))
    if comparison.mcnemar is not None:
        yield paragraph(_mcnemar(comparison.mcnemar, "pictures"))
    head = ["class", "AUROC", "the other's", "p (DeLong)", "p, all classes together"]
    findings = any(one.mcnemar is not None for one in comparison.classes)
    cells = [
        [
            one.name,
            "–" if one.delong is None else f"{one.delong.first:.3f}",
            "–" if one.delong is None else f"{one.delong.second:.3f}",
            chance(None if one.delong is None else one.delong.p),
            chance(one.p_together),
            *([chance(None if one.mcnemar is None else one.mcnemar.p_exact)] if findings else []),
        ]
        for one in comparison.classes
    ]
    yield wide(table("AUROCs compared", [*head, *(["p (McNemar)"] if findings else [])], cells))
    yield paragraph(
        "p is how often two models that are alike would differ as much or more by which pictures there happen to be.",
        small=True,
    )


def _mcnemar(found: McNemar, noun: str) -> str:
    corrected = f"; with continuity correction {chance(found.p_corrected)}" if found.p_corrected is not None else ""
    return (
        f"{found.only_first:,} {noun} are told right by the judged model alone, {found.only_second:,} by the other "
        f"alone: McNemar's exact p is {chance(found.p_exact)}{corrected}."
    )


def rest_table(judgement: Judgement) -> Html:
    """The file's size, and how fast it is here."""
    rows = [["size of the file", megabytes(judgement.model.bytes)]]
    if (speed := judgement.speed) is not None:
        rows += [
            ["half of the calls took at most", f"{speed.median_ms:.2f} ms"],
            ["95 of 100 calls took at most", f"{speed.p95_ms:.2f} ms"],
            ["most memory, with all libraries", f"{speed.peak_memory_mb:.0f} MB"],
        ]
    told = paragraph(
        f"One picture at a time, {speed.calls} calls, {speed.threads} thread, on the machine that wrote this, in a "
        "process of its own that did nothing else. Decoding files is not in it."
        if speed
        else "Speed was not measured.",
        small=True,
    )
    return joined(wide(table("The model as a program", ["what", "value"], rows)), told)
