"""A judgement in plain sentences and numbers as people write them. They rest on its own public numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from researcher.counts.intervals import Interval
    from researcher.judgement.judgement import Comparison, Judgement

NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "cohen_kappa": "Cohen's kappa",
    "macro_auroc": "macro AUROC",
    "macro_f1": "macro F1",
    "macro_average_precision": "macro average precision",
    "ece": "calibration error",
    "adaptive_ece": "adaptive calibration error",
    "brier": "Brier score",
}
_MOST_NAMED = 8
_MILLION = 1e6


def number(score: Interval | None) -> str:
    """`0.810 (0.77–0.85)`; a dash where nothing can be said."""
    return "–" if score is None else f"{score.value:.3f} ({score.low:.2f}–{score.high:.2f})"


def difference(score: Interval | None) -> str:
    """`+0.080 (+0.03 to +0.11)`."""
    return "–" if score is None else f"{score.value:+.3f} ({score.low:+.2f} to {score.high:+.2f})"


def chance(p: float | None) -> str:
    """A p value; never 0, which no test finds."""
    if p is None:
        return "–"
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def pictures(judgement: Judgement) -> str:
    """How many pictures of how many patients."""
    data = judgement.data
    of = f" of {_count(data.units, 'patient')}" if data.unit == "patient" else ""
    return f"{_count(data.pictures, 'picture')}{of}"


def lede(judgement: Judgement) -> str:
    """What was judged, on what."""
    model = judgement.model
    noun = "findings" if model.label_kind == "multi" else "classes"
    named = f" ({', '.join(model.class_names)})" if len(model.class_names) <= _MOST_NAMED else ""
    return (
        f"A {model.name} in the form {model.format} that tells {len(model.class_names)} {noun}{named}, judged on "
        f"{pictures(judgement)} from {judgement.data.source}."
    )


def plainly(judgement: Judgement) -> Iterator[str]:
    """What the scores say, for somebody who is no engineer."""
    right = judgement.scores.get("accuracy")
    if right is not None:
        what = "known findings" if judgement.model.label_kind == "multi" else "pictures like these"
        yield (
            f"Of 100 {what} the model tells about {100 * right.value:.0f} right; between {100 * right.low:.0f} and "
            f"{100 * right.high:.0f} is what test data of this size can vouch for."
        )
    if judgement.confusion:
        rows = [sum(row) for row in judgement.confusion]
        commonest = judgement.model.class_names[rows.index(max(rows))]
        yield (
            f"To say {commonest} always would be right of {100 * max(rows) / max(sum(rows), 1):.0f} of 100 pictures."
        )
    yield from _best_and_worst(judgement)
    yield from _of_calibration(judgement)
    if judgement.comparison is not None:
        yield from _of_comparison(judgement.comparison)


def _best_and_worst(judgement: Judgement) -> Iterator[str]:
    areas = {one.name: area for one in judgement.classes if (area := one.scores.get("auroc")) is not None}
    if len(areas) > 1:
        best, worst = max(areas, key=lambda name: areas[name].value), min(areas, key=lambda name: areas[name].value)
        if areas[best].value > areas[worst].value:
            yield (
                f"It tells {best} apart best: of a picture with it and one without, it ranks the right one higher in "
                f"{100 * areas[best].value:.0f} of 100 pairs. Worst is {worst}, with {100 * areas[worst].value:.0f} of "
                "100; 50 would be guessing."
            )


def _of_calibration(judgement: Judgement) -> Iterator[str]:
    filled = [one for one in judgement.bins if one.probability is not None and one.share is not None]
    every = sum(one.count for one in filled)
    if not every:
        return
    said = sum(one.count * (one.probability or 0.0) for one in filled) / every
    came = sum(one.count * (one.share or 0.0) for one in filled) / every
    how = (
        "too sure of itself"
        if said > came + 0.02
        else "too cautious"
        if said < came - 0.02
        else "about as sure as right"
    )
    yield f"On average it says {100 * said:.0f} % and {100 * came:.0f} % is so: it is {how}."
    if judgement.temperature is not None:
        before, after = judgement.scores.get("ece"), judgement.temperature.scores.get("ece")
        if before is not None and after is not None:
            yield (
                f"With the temperature {judgement.temperature.value:.2f}, chosen on {judgement.temperature.pictures:,} "
                f"other pictures, the calibration error goes from {before.value:.3f} to {after.value:.3f}."
            )


def _of_comparison(comparison: Comparison) -> Iterator[str]:
    name = "macro_auroc" if comparison.mcnemar is None else "accuracy"
    found = comparison.differences.get(name)
    if found is None:
        return
    how = "better than" if found.low > 0 else "worse than" if found.high < 0 else "not told apart from"
    yield (
        f"By {NAMES[name]} it is {how} {comparison.other.file}: the difference is {found.value:+.3f}, with an interval "
        f"from {found.low:+.3f} to {found.high:+.3f}."
    )


def megabytes(count: int) -> str:
    """Bytes in MB."""
    return f"{count / _MILLION:.2f} MB" if count >= _MILLION / 100 else f"{count / 1000:.1f} kB"


def _count(many: int, noun: str) -> str:
    return f"{many:,} {noun}{'' if many == 1 else 's'}"
