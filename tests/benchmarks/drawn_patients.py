"""Drawn patients, each with several pictures that share a smear: its stain, lamp, focus and size of cells.

`drawn_smears` shows one patient's cells of several classes, `drawn_diagnoses` one class in all of a patient's pictures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datasites.assets.drawn.cells import DEMO_HOSPITALS, HospitalStyle, draw

DATASETS = ("drawn_smears", "drawn_diagnoses")
PATIENTS = {"train": 110, "test": 60}  # of each hospital
PICTURES = (4, 16)  # fewest and most of a patient
# How far smears of one hospital lie apart: standard deviations of the log of each.
CONTRAST_SPREAD, LIGHT_SPREAD, ZOOM_SPREAD = 0.25, 0.08, 0.12
SAMENESS = 3.0  # weight of the hospital's class mix in a smear's own; less makes a smear's cells more alike

Drawn = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.str_], NDArray[np.str_]]


def draw_patients(dataset: str, split: str) -> Drawn:
    """Draws the patients of all hospitals; the same arguments always give the same pictures.

    Returns:
        images: uint8, (N, 32, 32, 3).
        labels: int64, (N,).
        hospitals: Name of each picture's hospital, (N,).
        patients: Name of each picture's patient, (N,).
    """
    images, labels, hospitals, patients = [], [], [], []
    for style in DEMO_HOSPITALS:
        random = np.random.default_rng([DATASETS.index(dataset), len(split), DEMO_HOSPITALS.index(style)])
        for number in range(PATIENTS[split]):
            smear = _smear(style, random, f"{style.name}-{split}-{number}", one_class=dataset == "drawn_diagnoses")
            count = int(random.integers(PICTURES[0], PICTURES[1] + 1))
            shown, classes = draw(smear, count, seed=0)
            images.append(shown)
            labels.append(classes)
            hospitals += count * [style.name]
            patients += count * [smear.name]
    return np.concatenate(images), np.concatenate(labels), np.array(hospitals), np.array(patients)


def _smear(style: HospitalStyle, random: np.random.Generator, name: str, *, one_class: bool) -> HospitalStyle:
    """One patient's smear at a hospital."""
    contrast, light, zoom = np.exp(random.normal(0, (CONTRAST_SPREAD, LIGHT_SPREAD, ZOOM_SPREAD)))
    mix = (
        random.multinomial(1, style.class_mix) if one_class else random.dirichlet(SAMENESS * np.array(style.class_mix))
    )
    stain = replace(style.stain, brightness=style.stain.brightness * light, contrast=style.stain.contrast * contrast)
    return replace(
        style,
        name=name,
        stain=stain,
        class_mix=tuple(float(share) for share in mix),
        magnification=style.magnification * zoom,
        blur=float(random.uniform(0, 0.5)),
    )
