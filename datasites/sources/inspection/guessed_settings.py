"""Guesses settings that would take a source, for a person to read and correct. Nothing is published by a guess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from datasites.sources.contents import Measured
from datasites.sources.dataset_settings import DatasetSettings, is_named
from datasites.sources.inspection.guessed_columns import guess_columns, names_a_file, said_of_reports
from datasites.sources.inspection.guessed_dicom import guess_dicom
from datasites.sources.inspection.guessed_levels import Notes, guess_levels
from datasites.sources.read_listing import kind_of_source

_SIDES = (32, 64, 128, 224, 256, 512, 1024)
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
        if not names_a_file(guessed):
            notes.append(
                "No path of the table was found. If the pictures lie elsewhere, give the folder that the paths begin "
                "in, and the table beside it: inspect FOLDER --table FILE."
            )
        if guessed.table_encoding != "auto":
            notes.append(
                f"table_encoding = {guessed.table_encoding!r} was guessed: look at the letters of the classes."
            )
        return guessed, notes + said_of_reports(guessed)
    if kind == "npz":
        return _guess_arrays(settings)
    if kind == "folder":
        return guess_levels(settings)
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
    if settings.modality == "other":
        found = sorted({_MODALITIES.get(one, "other") for one in +measured.modalities})
        if len(found) == 1:
            settings = replace(settings, modality=found[0])
        elif found:
            notes.append("Files of several modalities lie here, and a dataset is of one: take them apart into folders.")
    if measured.channels:
        settings = replace(settings, channels=measured.channels)
    return settings, notes


def _guess_arrays(settings: DatasetSettings) -> tuple[DatasetSettings, Notes]:
    from datasites.sources.arrays.medmnist import fetched
    from datasites.sources.arrays.members import NpzFile  # late, as in `read_listing`
    from datasites.sources.arrays.npz_pictures import npz_sites

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
