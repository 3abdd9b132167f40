"""Global models of every kind without a study, for tests of exports: small, with weights that say something."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasites.training.models import initial_weights
from policies.plans.model_spec import ModelSpec
from policies.plans.picture_form import PictureForm
from researcher.studies.checkpoints import Checkpoint, save_model
from researcher.studies.history import PrivacySpent

REPORTS = {"text_length": 6, "tokeniser": "hashed_words_1", "vocabulary": 32}
OPTIONS: dict[str, dict[str, str | int | float | bool]] = {
    "efficientnet_lite0": {"width": 0.25},
    "image_text": {**REPORTS, "window": 2},
    "linear": {},
    "mobilenet_v3_large": {"width": 0.5},
    "mobilenet_v3_small": {"width": 0.5},
    "resnet18": {"width": 8},
    "resnet50": {"width": 8},
    "scattering_linear": {"size": 24},
    "small_cnn": {"width": 4},
    "vit_small": {"depth": 1, "width": 64},
}
"""Each model for pictures, with options that make it small."""


def small_model(name: str, *, label_kind: str = "single", side: int = 28, channels: int = 3) -> ModelSpec:
    """One of `OPTIONS`, of four classes."""
    return ModelSpec(name, (side, side, channels), 4, OPTIONS[name], label_kind)


def save_global_model(folder: Path, spec: ModelSpec, *, form: PictureForm | None = None, seed: int = 0) -> Path:
    """Writes a global model with its sidecar; its weights are moved at random, so that no layer is as it began."""
    random = np.random.default_rng(seed)
    weights = {
        name: (value + random.normal(0, 0.05, value.shape)).astype(np.float32)
        for name, value in initial_weights(spec, seed).items()
    }
    names = tuple(f"class {number}" for number in range(spec.num_classes))
    privacy = {"north": PrivacySpent(2.0, 1e-5, "patient"), "south": PrivacySpent(1.5, 1e-5, "patient")}
    saved = Checkpoint(weights, spec, 5, names, "a" * 64, privacy, form)
    return save_model(folder / "global_model.safetensors", saved)
