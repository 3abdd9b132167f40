"""What a model says about pictures: free on public ones; on private ones every number is a release."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from datasites.training.data import to_tensor
from datasites.training.models import build_model, load_weights
from policies.errors import DataError
from policies.plan import ModelSpec

_BATCH = 256


def predict(
    spec: ModelSpec, weights: Mapping[str, np.ndarray], images: np.ndarray, *, device: str = "cpu"
) -> np.ndarray:
    """Returns the probability of each class for each picture.

    Args:
        spec: The model.
        weights: float32 by name, exactly the model's parameters.
        images: uint8, (N, H, W, C) with the H, W, C of `spec`; may be a memory map.
        device: Where torch computes.

    Returns:
        float32, (N, K); each row adds up to 1.

    Raises:
        PlanError: The model does not exist.
        InputRefused: The weights are not the model's.
        DataError: The pictures are not of the model's shape.
    """
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
            logits = model(to_tensor(images[start : start + _BATCH]).to(device))
            probabilities[start : start + _BATCH] = torch.softmax(logits, dim=1).cpu().numpy()
    return probabilities
