"""Draws pictures and writes a report for each, so that only both together tell the class. No hospital's data is here.

A picture shows a disc or a ring, its report names the left or the right side, in English or in Chinese. The four
classes are the pairs of these: who looks at the picture alone, or reads the report alone, is right half of the time at
best.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.assets.drawn.shapes import SIZE, blob, normal, uniform

CLASS_NAMES = ("disc_left", "disc_right", "ring_left", "ring_right")
SITES = ("north", "south")
SEED = 2026
_ENGLISH = (
    "Sample from the {side} side, {more}.",
    "{side} side. Quality of the slide: {more}.",
    "Taken on the {side} with a fine needle; {more}",
)
_CHINESE = ("样本取自{side}侧，{more}。", "{side}侧，涂片质量{more}。", "细针穿刺，{side}侧；{more}")
_MORE_ENGLISH = ("no artefacts", "stained at 20 C", "good", "slightly blurred", "second attempt")
_MORE_CHINESE = ("无伪影", "染色温度20度", "良好", "略模糊", "第二次取样")


def draw(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Draws pictures with their reports.

    Args:
        count: How many.
        seed: Another one draws others.

    Returns:
        images: uint8, (count, 16, 16, 1).
        labels: int64, (count,), indices into `CLASS_NAMES`.
        reports: One for each picture.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASS_NAMES), count)
    middle = SIZE / 2 - 6
    x, y = uniform(rng, count, -middle / 2, middle / 2), uniform(rng, count, -middle / 2, middle / 2)
    inside, rim = blob(rng, x, y, uniform(rng, count, 7, 10))
    is_ring = (labels >= 2)[:, None, None]
    shape = inside * np.where(is_ring, rim > 0.55, 1.0)
    fine = 60 + 130 * shape + 25 * normal(rng, count * SIZE * SIZE).reshape(shape.shape)
    coarse = fine.reshape(count, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(2, 4))
    images = np.clip(np.rint(coarse), 0, 255).astype(np.uint8)[..., None]
    return images, labels, [_report(rng, right=bool(label % 2)) for label in labels]


def write_example(folder: Path, *, each: int = 600, hold_out: int = 400) -> tuple[Path, Path]:
    """Writes the pictures and reports of two hospitals, and a public hold-out, as a user's own would come.

    Args:
        folder: Is made if it is not there.
        each: Pictures of each hospital.
        hold_out: Pictures of the hold-out.

    Returns:
        `pictures.npz`, with a column `sites`, and `hold_out.npz`, both with a column `reports`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "pictures.npz", folder / "hold_out.npz"
    for file, count, seed in ((files[0], each * len(SITES), SEED), (files[1], hold_out, SEED + 1)):
        images, labels, reports = draw(count, seed)
        arrays: dict[str, np.ndarray] = {
            "images": images,
            "labels": labels,
            "reports": np.array(reports),
            "class_names": np.array(CLASS_NAMES),
        }
        if file == files[0]:
            arrays["sites"] = np.repeat(SITES, each)
        with file.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    return files


def _report(rng: np.random.Generator, *, right: bool) -> str:
    if rng.random() < 0.5:
        return str(rng.choice(_ENGLISH)).format(side=("left", "right")[right], more=rng.choice(_MORE_ENGLISH))
    return str(rng.choice(_CHINESE)).format(side=("左", "右")[right], more=rng.choice(_MORE_CHINESE))
