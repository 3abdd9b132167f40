"""The fit of a model to a dataset: its pictures' size, reports, features and labels. All are public settings."""

from __future__ import annotations

from datasites.training.pictures.data import LabelledPictures
from datasites.training.pictures.features import pictures_for
from datasites.training.pictures.labels import check_label_kind
from datasites.training.pictures.reports import texts_for
from policies.errors import DataError, PlanError
from policies.plans.model_spec import ModelSpec


def check_fit(model: ModelSpec, pictures: LabelledPictures) -> None:
    """Refuses a model that reads pictures, reports, features or labels of another kind than these are.

    Raises:
        PlanError: The text is made of the plan and the dataset's schema alone.
        DataError: Reports or features are missing, or there are more classes than the model knows.
    """
    shape = tuple(pictures.images.shape[1:])
    if shape != model.image_shape:
        raise PlanError(
            f"model.image_shape is {model.image_shape}, the dataset's pictures are {shape}. Set it to {shape}."
        )
    texts_for(model, pictures)
    pictures_for(model, pictures)
    check_label_kind(pictures, label_kind=model.label_kind, num_classes=model.num_classes)
    if int(pictures.labels.max()) >= model.num_classes:
        raise DataError(
            f"The dataset has more classes than model.num_classes, {model.num_classes}. Set it to the "
            "number of classes in the dataset's schema."
        )
