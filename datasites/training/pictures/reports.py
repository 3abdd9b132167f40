"""Reports beside pictures, as a model takes them. Private rows like the pictures, and none of this leaves."""

from __future__ import annotations

import numpy as np
import torch

from datasites.training.pictures.data import LabelledPictures
from policies.plans.features import features_read
from policies.plans.tokeniser import check_text, text_form
from policies.plans.training import ModelSpec

ModelInputs = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


def texts_for(model: ModelSpec, pictures: LabelledPictures) -> np.ndarray | None:
    """Returns what a model reads of the reports: None where it takes pictures alone, whether or not there are some.

    Args:
        model: The plan's model.
        pictures: The hospital's pictures, with or without reports.

    Returns:
        int32, (N, length), the reports' words as numbers.

    Raises:
        PlanError: It takes reports, and the dataset has none or in another form.
    """
    check_text(model, pictures.text_form)
    return None if text_form(model) is None else pictures.texts


def to_inputs(images: torch.Tensor, texts: np.ndarray | None, device: str = "cpu") -> ModelInputs:
    """Returns what a model takes on its device: pictures alone, or a tuple of pictures and tokens.

    Args:
        images: float32, (B, C, H, W), or (V * B, C, H, W) with V views of each picture: all pictures in one view, then
            all in the next.
        texts: int32, (B, length), or None.
        device: Where torch computes.

    Returns:
        The pictures; or with them their tokens, int64, one row for each of the pictures' rows.
    """
    if texts is None:
        return images.to(device)
    tokens = torch.from_numpy(texts.astype(np.int64))
    views = len(images) // len(tokens) if len(tokens) else 1
    return images.to(device), tokens.repeat(views, 1).to(device)


def empty_inputs(model: ModelSpec, pictures: int = 1) -> ModelInputs:
    """Returns inputs without numbers, on torch's meta device: what tells sizes before there are pictures.

    Args:
        model: Says the shape of pictures or features, and the form of reports where it takes them.
        pictures: How many.

    Raises:
        PlanError: It takes reports, and its options do not say their form.
    """
    features = features_read(model)
    height, width, channels = model.image_shape if features is None else (1, 1, features.width)
    images = torch.empty(pictures, channels, height, width, device="meta")
    form = text_form(model)
    if form is None:
        return images
    return images, torch.empty(pictures, form.length, dtype=torch.int64, device="meta")
