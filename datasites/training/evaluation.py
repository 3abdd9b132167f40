"""What a model says about pictures: free on public ones; on private ones every number is a release."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from datasites.training.data import to_tensor
from datasites.training.models import build_model, load_weights
from datasites.training.reports import to_inputs
from policies.errors import DataError
from policies.plan import ModelSpec
from policies.tokeniser import text_form

_BATCH = 256


def predict(
    spec: ModelSpec,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray | tuple[np.ndarray, np.ndarray],
    *,
    device: str = "cpu",
) -> np.ndarray:
    """Returns the probability of each class for each picture.

    Args:
        spec: The model.
        weights: float32 by name, exactly the model's parameters.
        images: uint8, (N, H, W, C) with the H, W, C of `spec`; may be a memory map. For a model that takes reports, a
            tuple of these and tokens, whole numbers, (N, length), in the form that `spec` names.
        device: Where torch computes.

    Returns:
        float32, (N, K); each row adds up to 1.

    Raises:
        PlanError: The model does not exist.
        InputRefused: The weights are not the model's.
        DataError: The pictures or reports are not of the model's shape, or reports are missing or too many.
    """
    images, texts = images if isinstance(images, tuple) else (images, None)
    _check_texts(spec, images, texts)
    if images.dtype != np.uint8 or images.shape[1:] != spec.image_shape:
        raise DataError(
            f"The model takes uint8 pictures of shape {spec.image_shape}, got {images.dtype} of {images.shape[1:]}."
        )
    model = build_model(spec)
    load_weights(model, weights)
    model.to(device).eval()
    probabilities = np.empty((len(images), spec.num_classes), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            part = slice(start, start + _BATCH)
            logits = model(to_inputs(to_tensor(images[part]), None if texts is None else texts[part], device))
            probabilities[part] = torch.softmax(logits, dim=1).cpu().numpy()
    return probabilities


def _check_texts(spec: ModelSpec, images: np.ndarray, texts: np.ndarray | None) -> None:
    form = text_form(spec)
    if (form is None) != (texts is None):
        takes = "a report beside each picture" if form else "pictures alone"
        raise DataError(f"Model {spec.name!r} takes {takes}. Give it that.")
    if form is None or texts is None:
        return
    wanted = (len(images), form.length)
    if texts.dtype.kind not in "iu" or texts.shape != wanted:
        raise DataError(f"The model takes tokens, whole numbers of shape {wanted}, got {texts.dtype} of {texts.shape}.")
    if texts.size and (texts.min() < 0 or texts.max() >= form.vocabulary):
        raise DataError(f"The model takes tokens from 0 to {form.vocabulary - 1}; others came.")
