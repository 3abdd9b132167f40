"""A small model and public test data to judge it on: a grey's brightness says the class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from support.exported_models import ABOUT, SIDE, write_model

from policies.plans.picture_form import PictureForm
from policies.plans.training import ModelSpec
from researcher.exported.about import ExportedModel
from researcher.studies.checkpoints import Checkpoint, save_model

CLASSES = ("dark", "bright")
FORM = PictureForm((SIDE, SIDE), 1)
ONNX: ExportedModel = replace(ABOUT, class_names=CLASSES, form=FORM)


def onnx_model(folder: Path, name: str = "model.onnx", **changes: object) -> Path:
    """An ONNX file whose probabilities go by a picture's mean value."""
    return write_model(folder / name, ONNX, **changes)


def safetensors_model(folder: Path, name: str = "model.safetensors", scale: float = 4.0) -> Path:
    """The same as a study's model: linear, on all values."""
    spec = ModelSpec("linear", (SIDE, SIDE, 1), 2)
    row = np.full((SIDE * SIDE,), scale / (SIDE * SIDE), dtype=np.float32)
    weights = {"head.weight": np.stack([-row, row]), "head.bias": np.zeros(2, np.float32)}
    checkpoint = Checkpoint(weights, spec, 3, CLASSES, "2" * 64, {}, FORM)
    return save_model(folder / name, checkpoint)


def greys(count: int, seed: int = 0, mistaken: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Mean values, and labels that follow them but for a share that is drawn."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 255, count)
    return values, np.where(rng.random(count) < mistaken, rng.integers(0, 2, count), values > 127)


def npz(path: Path, count: int = 80, seed: int = 0, **columns: np.ndarray) -> Path:
    """Test data in an .npz file, with these further arrays."""
    values, labels = greys(count, seed)
    rng = np.random.default_rng(seed + 1000)  # of two files no picture is the same
    images = values[:, None, None, None] + rng.integers(-1, 2, (count, SIDE, SIDE, 1))
    np.savez(path, images=images.astype(np.uint8), labels=labels, class_names=np.array(CLASSES), **columns)
    return path


def pictures(folder: Path, count: int = 24, seed: int = 0, side: int = SIDE) -> tuple[list[str], np.ndarray]:
    """PNG files below `folder`; returns their paths and labels."""
    values, labels = greys(count, seed)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.png" for number in range(count)]
    for name, value in zip(names, values, strict=True):
        Image.new("L", (side, side), int(value)).save(folder / name)
    return names, labels
