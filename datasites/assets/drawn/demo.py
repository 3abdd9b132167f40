"""Writes the demo's drawn pictures to disk, in the form in which a user's own pictures would come."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasites.assets.drawn.cells import CLASS_NAMES, DEMO_HOSPITALS, draw, draw_hold_out

PICTURES_PER_HOSPITAL = 1200
HOLD_OUT_PICTURES = 900
SEED = 2026


def write_demo(folder: Path) -> Path:
    """Writes `pictures.npz` (all hospitals) and `hold_out.npz` unless they are there; returns the former."""
    pictures, hold_out = folder / "pictures.npz", folder / "hold_out.npz"
    folder.mkdir(parents=True, exist_ok=True)
    names = np.array(CLASS_NAMES)
    if not pictures.exists():
        drawn = [draw(style, PICTURES_PER_HOSPITAL, SEED) for style in DEMO_HOSPITALS]
        _save(
            pictures,
            images=np.concatenate([images for images, _ in drawn]),
            labels=np.concatenate([labels for _, labels in drawn]),
            sites=np.repeat([style.name for style in DEMO_HOSPITALS], PICTURES_PER_HOSPITAL),
            class_names=names,
        )
    if not hold_out.exists():
        images, labels = draw_hold_out(HOLD_OUT_PICTURES, SEED + 1)
        _save(hold_out, images=images, labels=labels, class_names=names)
    return pictures


def _save(file: Path, **arrays: np.ndarray) -> None:
    aside = file.with_name(f".{file.name}")
    with aside.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    aside.replace(file)
