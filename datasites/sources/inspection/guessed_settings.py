"""Guesses settings that would take a source, for a person to read and correct. Nothing is published by a guess."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

from datasites.picture_files.picture_refused import Reason
from datasites.sources.contents import Measured, content_of
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.levels import SPLITS
from datasites.sources.folders.walk import Found, Walk
from datasites.sources.identity import looks_like
from datasites.sources.inspection.guessed_columns import guess_columns
from datasites.sources.inspection.guessed_dicom import guess_dicom
from datasites.sources.read_listing import kind_of_source

_SIDES = (32, 64, 128, 224, 256, 512, 1024)
_LOOKED_AT = 2000
_MOST_CLASSES, _FEWEST_OF_A_CLASS = 10, 10  # more folders with fewer pictures each are patients'
_MODALITIES = {
    "CT": "ct",
    "MR": "mr",
    "CR": "xray",
    "DX": "xray",
    "RF": "xray",
    "XA": "xray",
    "MG": "mammography",
    "US": "ultrasound",
    "ES": "endoscopy",
    "SM": "microscopy",
    "GM": "microscopy",
    "OP": "fundus",
    "XC": "photograph",
}
Notes = list[str]


def guess_settings(settings: DatasetSettings) -> tuple[DatasetSettings, Notes]:
    """(settings with what can be guessed before headers are read, what a person should know of the guesses).

    Args:
        settings: What is known: at least `data_path`.

    Raises:
        ConfigError, DataError: There is nothing that can be read.
    """
    kind = kind_of_source(settings)
    if kind == "table":
        guessed = guess_columns(settings)
        notes = ["Which column is what was guessed: compare with the table."]
        if guessed.table_encoding != "auto":
            notes.append(
                f"table_encoding = {guessed.table_encoding!r} was guessed: look at the letters of the classes."
            )
        return guessed, notes
    if kind == "npz":
        return _guess_arrays(settings)
    if kind == "folder":
        return _guess_levels(settings)
    return guess_dicom(settings)


def guess_form(settings: DatasetSettings, measured: Measured) -> tuple[DatasetSettings, Notes]:
    """(settings with a form that suits the headers, what a person should know of it)."""
    notes = []
    if measured.frames > 1 and settings.frames == "one":
        settings = replace(settings, frames="middle")
        notes.append("Files hold several pictures or slices: frames = 'middle' takes one of each, 'all' takes all.")
    if len(measured.sizes) > 1 and not all(settings.size):
        shorter = sorted(min(size) for size in measured.sizes.elements())
        median = shorter[len(shorter) // 2]
        side = max((one for one in _SIDES if one <= median), default=_SIDES[0])
        settings = replace(settings, size=(side, side), resize="fit")
        notes.append(
            f"The sizes differ: size = [{side}, {side}] with black bars ('fit') is a proposal. "
            "All hospitals of a study need the same."
        )
    if measured.unstated:
        notes.append(
            f"{measured.unstated} files hold 16 bits a value and do not say how many of them count: set bits (12, for "
            "instance) if pictures come out dark or are refused."
        )
    if measured.kinds["nifti"] and settings.window == "file":
        settings = replace(settings, window="percentile")
        notes.append(
            "Volumes seldom say which values are black and white: window = 'percentile' is a proposal, which all "
            "hospitals of a study need."
        )
    common = measured.modalities.most_common(1)
    if common and settings.modality == "other":
        settings = replace(settings, modality=_MODALITIES.get(common[0][0], "other"))
    if measured.channels:
        settings = replace(settings, channels=measured.channels)
    return settings, notes


def _guess_levels(settings: DatasetSettings) -> tuple[DatasetSettings, Notes]:
    if settings.site or settings.folder_levels:
        return settings, []
    root = Path(settings.data_path)
    tops = Walk(root).subfolders()
    parts = [name for name in tops if name.lower() in SPLITS]
    if len(parts) > 1:
        own = next((part for part in parts if part.lower().startswith("train")), parts[0])
        return replace(settings, data_path=str(root / own)), [
            f"{', '.join(sorted(parts))} look like parts of one data set: this is of {own} alone. Measure models "
            "on the others."
        ]
    pictures = [found for found in islice(Walk(root).files(), _LOOKED_AT) if _is_picture(root, found)]
    pictures = [found for found in pictures if found.folders]
    depths = Counter(len(found.folders) for found in pictures)
    depth = max(depths, default=1)
    if depth <= 1:
        return settings, []
    inner = {
        top: {found.folders[1] for found in pictures if len(found.folders) > 1 and found.folders[0] == top}
        for top in tops
    }
    held = sum(map(len, inner.values()))  # folders, of the pictures that were looked at
    of_persons = held > _MOST_CLASSES * len(tops) and len(pictures) < _FEWEST_OF_A_CLASS * held
    if depth == 2 and not of_persons and _are_classes([names for names in inner.values() if names]):
        return replace(settings, site=tops[0]), [
            f"The folders look like {len(tops)} hospitals' with the same classes; this is of {tops[0]} alone. If the "
            'outer ones are classes and the inner ones patients: folder_levels = ["class", "patient"], without site.'
        ]
    return replace(settings, folder_levels=("class", "patient"), unit="patient"), [
        "The folders in the class folders are taken for patients. If they are none, take 'other' in place of 'patient'."
    ]


def _are_classes(inner: list[set[str]]) -> bool:
    """Whether folders in several folders have the same names, and no person's."""
    shared = len(inner) > 1 and bool(set.intersection(*inner))
    return shared and not any(looks_like(name) for names in inner for name in names)


def _is_picture(root: Path, found: Found) -> bool:
    return not isinstance(content_of(root / found.inside), Reason)


def _guess_arrays(settings: DatasetSettings) -> tuple[DatasetSettings, Notes]:
    from datasites.sources.arrays.medmnist import fetched
    from datasites.sources.arrays.members import NpzFile  # late, as in `read_listing`
    from datasites.sources.arrays.npz_pictures import npz_sites
    from datasites.sources.dataset_settings import is_named

    path = fetched(settings.data_path) if is_named(settings.data_path) else Path(settings.data_path)
    archive = NpzFile(path)
    labels = archive.array("labels" if "labels" in archive.keys else f"{settings.split}_labels")
    if labels is not None and labels.ndim == 2 and labels.shape[1] > 1 and not (labels.sum(axis=1) == 1).all():
        settings = replace(settings, label_kind="multi")
    if "groups" in archive.keys:
        settings = replace(settings, unit="patient")
    sites = [] if settings.site or "labels" not in archive.keys else npz_sites(path)
    if len(sites) > 1:
        return replace(settings, site=sites[0]), [
            f"The file holds {len(sites)} hospitals': this is of {sites[0]} alone."
        ]
    return settings, []
