"""The page of a judgement, and what a notebook shows of it: the same sections. Public numbers only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from researcher.html.element import Html, element, joined, listed
from researcher.html.page import charts, figures, page, paragraph, section
from researcher.html.unit_square import unit_square
from researcher.judgement.pages import sentences
from researcher.judgement.pages.tables import (
    calibration_table,
    classes_table,
    comparison_tables,
    confusion_table,
    groups_table,
    means_table,
    rest_table,
)

if TYPE_CHECKING:
    from researcher.counts.intervals import Interval
    from researcher.judgement.judgement import Judgement

_INTERVALS = (
    "With each number stands its interval: the {unit}s of the test data were drawn again and again, {draws:,} times, "
    "and 95 of 100 draws gave a number within it, as other {unit}s of the same kind would. A dash stands where nothing "
    "can be said."
)
_WORDS = (
    "Sensitivity, or recall: the share recognised of those that are there. Specificity: the share let alone of those "
    "that are not. Precision: the share that is so of what the model says is there. AUROC: how often a picture of the "
    "class is ranked above one that is not; 0.5 is guessing."
)


def page_of(judgement: Judgement) -> Html:
    """The whole page: one file."""
    return page(judgement.model.file, "evaluation", *sections_of(judgement))


def sections_of(judgement: Judgement) -> list[Html]:
    """The page's sections, each an element."""
    unit = judgement.data.unit
    made = [
        element("p", sentences.lede(judgement), class_="lede"),
        _headline(judgement),
        section("What this says", *map(paragraph, sentences.plainly(judgement))),
        section("What limits it", listed(judgement.cautions)) if judgement.cautions else joined(),
        section(
            "Findings" if judgement.model.label_kind == "multi" else "Classes",
            classes_table(judgement),
            paragraph(_INTERVALS.format(unit=unit, draws=judgement.draws), small=True),
            paragraph(
                _WORDS,
                small=True,
            ),
        ),
        section("Curves", charts(_roc(judgement), _reliability(judgement))),
        section("Which is taken for which", confusion_table(judgement)) if judgement.confusion else joined(),
        section("Over all together", means_table(judgement)),
        section("Do its probabilities mean what they say?", calibration_table(judgement)),
    ]
    if judgement.groups:
        made.append(section("Hospitals and groups", groups_table(judgement)))
    if judgement.comparison is not None:
        made.append(section(f"Beside {judgement.comparison.other.file}", *comparison_tables(judgement.comparison)))
    made.append(section("Speed and size", rest_table(judgement)))
    made.append(
        element("footer", element("p", "SHA-256 of the model's file ", element("code", judgement.model.sha256)))
    )
    return [one for one in made if one]


def _headline(judgement: Judgement) -> Html:
    chosen = ("accuracy", "macro_auroc", "macro_f1", "ece")
    if judgement.model.label_kind == "multi":
        chosen = ("macro_auroc", "macro_average_precision", "macro_f1", "ece")
    each = [(sentences.NAMES[name], *_large(judgement.scores.get(name))) for name in chosen]
    return figures("Headline numbers", *((name[0].upper() + name[1:], value, note) for name, value, note in each))


def _large(score: Interval | None) -> tuple[str, str]:
    if score is None:
        return "–", "nothing can be said"
    return f"{score.value:.3f}", f"between {score.low:.3f} and {score.high:.3f}"


def _roc(judgement: Judgement) -> Html:
    lines = {one.name: one.roc for one in judgement.classes}
    told = "; ".join(f"{one.name} {sentences.number(one.scores.get('auroc'))}" for one in judgement.classes if one.roc)
    return unit_square("ROC curves", "false alarm rate", "sensitivity", lines, told=f"areas {told}")


def _reliability(judgement: Judgement) -> Html:
    drawn = {"as it is": judgement.bins}
    if judgement.temperature is not None:
        drawn[f"at {judgement.temperature.value:.2f}"] = judgement.temperature.bins
    lines = {
        name: [(one.probability, one.share) for one in bins if one.probability is not None and one.share is not None]
        for name, bins in drawn.items()
    }
    told = f"calibration error {sentences.number(judgement.scores.get('ece'))}; on the dashed line it would be 0"
    return unit_square("Reliability", "what the model says", "how often it is so", lines, told=told, marks=True)
