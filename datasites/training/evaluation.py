"""Predictions of a model: free on public pictures; on private ones every number is a release."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from datasites.training.losses import probabilities
from datasites.training.models import build_model, load_weights
from datasites.training.models.scattering_linear import ScatteringFeatures
from datasites.training.pictures.data import to_tensor
from datasites.training.pictures.reports import to_inputs
from policies.errors import DataError
from policies.plans.features import FeatureSpec
from policies.plans.tokeniser import text_form
from policies.plans.training import ModelSpec

_BATCH = 256


class Predictor:
    """A model with its weights, built once and asked as often as one likes.

    Args:
        spec: The model.
        weights: float32 by name, each of its parameter's shape, exactly the model's parameters.
        device: Where torch computes.

    Raises:
        PlanError: The model does not exist.
        InputRefused: The weights are not the model's.
    """

    def __init__(self, spec: ModelSpec, weights: Mapping[str, np.ndarray], *, device: str = "cpu") -> None:
        self._spec, self._device = spec, device
        self._model = build_model(spec)
        load_weights(self._model, weights)
        self._model.to(device).eval()

    def __call__(
        self, images: np.ndarray | tuple[np.ndarray, np.ndarray], *, fixed: np.ndarray | None = None
    ) -> np.ndarray:
        """Returns the probability of each class, or of each finding, for each picture.

        Args:
            images: uint8 or uint16, (N, H, W, C) with the H, W, C of the model; may be a memory map. For a model that
                takes reports, a tuple of these and tokens, whole numbers, (N, length), in the form that the model
                names. For a model that reads features, these: float32, (N, 1, 1, width).
            fixed: What `fixed_features` gave for these pictures, to spare computing it again; None computes what is
                needed.

        Returns:
            float32, (N, K); each row adds up to 1 where the model's label_kind is `single`.

        Raises:
            DataError: The pictures or reports are not of the model's shape, or reports are missing or too many.
        """
        images, texts = images if isinstance(images, tuple) else (images, None)
        _check(self._spec, images, texts)
        found = np.empty((len(images), self._spec.num_classes), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(images), _BATCH):
                part = slice(start, start + _BATCH)
                if fixed is not None:
                    logits = self._model.get_submodule("head")(torch.from_numpy(fixed[part]).to(self._device))
                else:
                    words = None if texts is None else texts[part]
                    logits = self._model(to_inputs(to_tensor(images[part]), words, self._device))
                found[part] = probabilities(logits, self._spec.label_kind).cpu().numpy()
        return found


def predict(
    spec: ModelSpec,
    weights: Mapping[str, np.ndarray],
    images: np.ndarray | tuple[np.ndarray, np.ndarray],
    *,
    fixed: np.ndarray | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """Returns what a `Predictor` that is asked once says: float32, (N, K).

    Args:
        spec: The model.
        weights: float32 by name, exactly the model's parameters.
        images: As it takes them, (N, H, W, C).
        fixed: Likewise.
        device: Where torch computes.

    Raises:
        PlanError: The model does not exist.
        InputRefused: The weights are not the model's.
        DataError: The pictures or reports are not of the model's shape, or reports are missing or too many.
    """
    return Predictor(spec, weights, device=device)(images, fixed=fixed)


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


def _check(spec: ModelSpec, images: np.ndarray, texts: np.ndarray | None) -> None:
    _check_texts(spec, images, texts)
    reads = FeatureSpec.of(spec)
    kinds = ("uint8", "uint16") if reads is None else ("float32",)
    shape = spec.image_shape if reads is None else (1, 1, reads.width)
    if images.dtype.name not in kinds or images.shape[1:] != shape:
        raise DataError(
            f"The model takes {' or '.join(kinds)} pictures of shape {shape}, got {images.dtype} of {images.shape[1:]}."
        )


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
