"""The fit of a model to a dataset: its reports, its features and its kind of labels. All are public settings."""

from __future__ import annotations

from datasites.training.pictures.data import LabelledPictures
from datasites.training.pictures.features import pictures_for
from datasites.training.pictures.labels import check_label_kind
from datasites.training.pictures.reports import texts_for
from policies.plans.model_spec import ModelSpec


def check_fit(model: ModelSpec, pictures: LabelledPictures) -> None:
    """Refuses a model that reads reports, features or labels of another kind than the pictures have.

    Raises:
        PlanError: The text is made of the plan and the dataset's schema alone.
        DataError: Reports or features are missing.
    """
    texts_for(model, pictures)
    pictures_for(model, pictures)
    check_label_kind(pictures, label_kind=model.label_kind, num_classes=model.num_classes)
