"""Sentences that say what limits a judgement. They rest on its own public numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from researcher.evaluation.copies import Copies
from researcher.judgement.judgement import FEW, Judgement

_MOST_NAMED = 12


def cautions_of(judgement: Judgement, *, same: Sequence[str] = ()) -> Iterator[str]:
    """The sentences.

    Args:
        judgement: All but them.
        same: Classes of which every picture got the same probability.
    """
    data, noun = judgement.data, "finding" if judgement.model.label_kind == "multi" else "class"
    people = "patients" if data.unit == "patient" else "pictures"
    if data.units < 2:
        yield f"The test data hold a single {data.unit}: nothing is certain, and each interval is the whole range."
    if data.unit == "picture":
        yield (
            "Nobody says which patient a picture is of, so the intervals take each for another patient's. Where "
            "patients have several pictures, the true intervals are wider."
        )
    if judgement.absent:
        yield (
            f"The test data have no picture of {_named(judgement.absent)}: how well that {noun} is told cannot be "
            "said, and no mean of AUROC or average precision, nor balanced accuracy, counts it."
        )
    told = [one.name for one in judgement.classes if one.name in judgement.absent and one.scores["f1"] is not None]
    if told:
        yield f"The model tells {_named(told)} all the same: its F1 is 0 here, and the macro F1 counts that."
    few = [f"{one.name} ({one.units})" for one in judgement.classes if 0 < one.units < FEW]
    if few:
        yield f"Fewer than {FEW} {people} have {_named(few)}: what is said of it is uncertain, its intervals are wide."
    always = [one.name for one in judgement.classes if one.present == one.known and one.known]
    if always:
        yield f"Every test picture is of {_named(always)}: how well it is told from the rest cannot be said."
    if same:
        yield (
            f"The model gives every picture the same probability of {_named(same)}. An AUROC of 0.5 says that here: it "
            "tells nothing."
        )
    if data.left_out:
        yield f"{len(data.left_out)} pictures could not be read and are not judged: {_named(data.left_out)}"
    yield from (f"Of the test data: {said}" for said in Copies(data.copies, data.in_two_classes).told())
    if data.converted:
        yield data.converted
    yield from _of_groups(judgement, people)
    if judgement.temperature and (shared := judgement.temperature.shared_patients):
        yield (
            f"{shared} patients of the pictures that the temperature was chosen on bear the name of a patient of the "
            "test data: if they are the same people, calibration with it looks better than it is."
        )
    if judgement.comparison and data.units < data.pictures:
        yield (
            "McNemar's and DeLong's tests take pictures for independent, and here some are of one patient: their p "
            "values are too small. The differences' intervals are drawn by patient; trust those."
        )


def _of_groups(judgement: Judgement, people: str) -> Iterator[str]:
    small = [f"{one.column} {one.value} ({one.units})" for one in judgement.groups if one.units < FEW]
    if small:
        yield f"Groups of fewer than {FEW} {people}: {_named(small)}. Their intervals are wide."
    for one in judgement.groups:
        lacking = [name for name in one.absent if name not in judgement.absent]
        if lacking:
            yield f"The group {one.column} {one.value} has no picture of {_named(lacking)}: its means are of the rest."


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
