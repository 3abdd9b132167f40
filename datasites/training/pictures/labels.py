"""The kinds of labels: a class for each picture, or findings. Labels are private rows like the pictures."""

from __future__ import annotations

from datasites.training.pictures.data import LabelledPictures
from policies.errors import PlanError


def check_label_kind(pictures: LabelledPictures, *, label_kind: str, num_classes: int) -> None:
    """Refuses a plan for another kind of labels than the pictures have, or for other findings.

    Args:
        pictures: The hospital's pictures.
        label_kind: Of the plan.
        num_classes: Of the plan.

    Raises:
        PlanError: The text is made of the plan and the public kind and number of findings alone.
    """
    if label_kind != pictures.label_kind:
        raise PlanError(
            f"The plan's label_kind is '{label_kind}', the dataset's labels are '{pictures.label_kind}'. Take it from "
            "the dataset's schema."
        )
    if label_kind == "multi" and pictures.labels.shape[1] != num_classes:
        raise PlanError(
            f"The plan's num_classes is {num_classes}, the dataset has {pictures.labels.shape[1]} findings. Take it "
            "from the dataset's schema."
        )
