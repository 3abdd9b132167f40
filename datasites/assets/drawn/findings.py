"""Draws pictures with several findings each, of which some are unknown. No hospital's data is here.

A picture shows a disc above, a ring below, stripes, and a haze, each or none of them: one says nothing of another. A
patient's pictures have the same findings; what was noted of them differs, and of some findings nothing was.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.assets.drawn.shapes import AXIS, SIZE, blob, normal, uniform

FINDINGS = ("disc", "ring", "stripes", "haze")
SITES = ("north", "south", "east")
SEED = 2027
_SHARES = (0.5, 0.4, 0.3, 0.2)  # of patients with each
_UNKNOWN = 0.15  # share of labels that nobody noted
_MOST_PICTURES = 3  # of a patient


def draw(present: NDArray[np.bool_], seed: int) -> NDArray[np.uint8]:
    """Draws one picture for each row of findings.

    Args:
        present: bool, (N, 4), in the order of `FINDINGS`.
        seed: Another one draws others.

    Returns:
        uint8, (N, 16, 16, 1).
    """
    rng, count = np.random.default_rng(seed), len(present)
    disc, ring, stripes, haze = (column[:, None, None].astype(np.float32) for column in present.T)
    aside = SIZE / 4
    above, _ = blob(
        rng, uniform(rng, count, -5, 5), uniform(rng, count, -aside - 1, -aside + 1), uniform(rng, count, 4, 6)
    )
    below, rim = blob(
        rng, uniform(rng, count, -5, 5), uniform(rng, count, aside - 1, aside + 1), uniform(rng, count, 5, 7)
    )
    shape = disc * above + ring * below * (rim > 0.6)
    lines = stripes * (np.sin(AXIS * 1.2 + uniform(rng, count, 0, 6.28)[:, None])[:, None, :] > 0)
    fine = 70 + 90 * shape + 30 * lines + 40 * haze + 20 * normal(rng, count * SIZE * SIZE).reshape(count, SIZE, SIZE)
    coarse = fine.reshape(count, SIZE // 2, 2, SIZE // 2, 2).mean(axis=(2, 4))
    return np.clip(np.rint(coarse), 0, 255).astype(np.uint8)[..., None]


def draw_patients(patients: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.int64]]:
    """Draws patients, each with one picture or a few.

    Args:
        patients: How many.
        seed: Another one draws others.

    Returns:
        images: uint8, (N, 16, 16, 1).
        labels: int8, (N, 4): 1 where the picture has the finding, 0 where it has not, -1 where that is unknown.
        owners: int64, (N,), whose picture each is.
    """
    rng = np.random.default_rng(seed)
    has = rng.random((patients, len(FINDINGS))) < _SHARES
    owners = np.repeat(np.arange(patients), rng.integers(1, _MOST_PICTURES + 1, patients))
    labels = np.where(rng.random((len(owners), len(FINDINGS))) < _UNKNOWN, -1, has[owners]).astype(np.int8)
    return draw(has[owners], seed + 1), labels, owners


def write_example(folder: Path, *, each: int = 300, hold_out: int = 300) -> tuple[Path, Path]:
    """Writes the pictures and findings of three hospitals, and a public hold-out, as a user's own would come.

    Args:
        folder: Is made if it is not there.
        each: Patients of each hospital.
        hold_out: Patients of the hold-out.

    Returns:
        `pictures.npz`, with columns `sites` and `groups`, and `hold_out.npz`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [draw_patients(each, SEED + 10 * number) for number in range(len(SITES))]
    pictures, public = folder / "pictures.npz", folder / "hold_out.npz"
    np.savez_compressed(
        pictures,
        images=np.concatenate([images for images, _, _ in drawn]),
        labels=np.concatenate([labels for _, labels, _ in drawn]),
        groups=np.concatenate([owners + each * number for number, (_, _, owners) in enumerate(drawn)]),
        sites=np.concatenate([np.repeat(site, len(one[2])) for site, one in zip(SITES, drawn, strict=True)]),
        class_names=np.array(FINDINGS),
    )
    images, labels, _ = draw_patients(hold_out, SEED - 10)
    np.savez_compressed(public, images=images, labels=labels, class_names=np.array(FINDINGS))
    return pictures, public
