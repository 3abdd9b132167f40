"""The inputs of a model: a dataset's pictures, or their features that the hospital keeps. Neither leaves."""

from __future__ import annotations

import numpy as np

from datasites.training.pictures.data import LabelledPictures
from policies.errors import PlanError
from policies.plans.features import features_read
from policies.plans.training import ModelSpec


def pictures_for(model: ModelSpec, pictures: LabelledPictures) -> np.ndarray:
    """Returns the pictures, or their features as pictures of one pixel: float32, (N, 1, 1, width).

    Raises:
        PlanError: The model reads features, and these are not here or have another width.
    """
    wanted = features_read(model)
    if wanted is None:
        return pictures.images
    if pictures.features is None or pictures.features.shape[1] != wanted.width:
        raise PlanError(f"The model reads {wanted.width} features of {wanted.backbone!r} for each picture; none came.")
    return pictures.features[:, None, None, :]
