"""Predictions of a model: free on public pictures; on private ones every number is a release."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from datasites.training.models import build_model, load_weights
from datasites.training.models.scattering_linear import ScatteringFeatures
from datasites.training.pictures.data import to_tensor
from datasites.training.pictures.reports import to_inputs
from policies.errors import DataError
from policies.plans.features import FeatureSpec
from policies.plans.tokeniser import text_form
from policies.plans.training import ModelSpec

_BATCH = 256


def predict(
    spec: ModelSpec,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray | tuple[np.ndarray, np.ndarray],
    *,
    fixed: np.ndarray | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """Returns the probability of each class for each picture.

    Args:
        spec: The model.
        weights: float32 by name, exactly the model's parameters.
        images: uint8 or uint16, (N, H, W, C) with the H, W, C of `spec`; may be a memory map. For a model that takes
            reports, a tuple of these and tokens, whole numbers, (N, length), in the form that `spec` names. For a model
            that reads features, these: float32, (N, 1, 1, width).
        fixed: What `fixed_features` gave for these pictures, to spare computing it again; None computes what is needed.
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
    reads = FeatureSpec.of(spec)
    kinds = ("uint8", "uint16") if reads is None else ("float32",)
    shape = spec.image_shape if reads is None else (1, 1, reads.width)
    if images.dtype.name not in kinds or images.shape[1:] != shape:
        raise DataError(
            f"The model takes {' or '.join(kinds)} pictures of shape {shape}, got {images.dtype} of {images.shape[1:]}."
        )
    model = build_model(spec)
    load_weights(model, weights)
    model.to(device).eval()
    probabilities = np.empty((len(images), spec.num_classes), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            part = slice(start, start + _BATCH)
            if fixed is not None:
                logits = model.get_submodule("head")(torch.from_numpy(fixed[part]).to(device))
            else:
                logits = model(to_inputs(to_tensor(images[part]), None if texts is None else texts[part], device))
            probabilities[part] = torch.softmax(logits, dim=1).cpu().numpy()
    return probabilities


def fixed_features(spec: ModelSpec, images: np.ndarray) -> np.ndarray | None:
    """Returns the outputs of a model's first part where nothing in it is trained: the same in all rounds of a study.

    Args:
        spec: The model.
        images: uint8, (N, H, W, C), public pictures.

    Returns:
        float32, (N, width), for `predict`; None where all parts of the model are trained.

    Raises:
        PlanError: The model does not exist.
    """
    first = dict(build_model(spec).named_children()).get("features")
    if not isinstance(first, ScatteringFeatures):
        return None
    parts = range(0, len(images), _BATCH)
    return np.concatenate([first(to_tensor(images[start : start + _BATCH])).numpy() for start in parts])


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
