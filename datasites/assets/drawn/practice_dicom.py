"""Writes DICOM files to practise with, as an archive would export them. They are drawn: no patient is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from datasites.assets.drawn.modalities import draw_modality
from policies.errors import ConfigError

PATIENTS = 120
FINDINGS = ("clear", "effusion")
SIDE = 128
HOLD_OUT = 60
"""How many further pictures are written for measuring models, half of each finding."""
BURNED_IN = 4
"""How many pictures have a name burned in, more than may be left out unasked."""
_SEED = 2028
_WHITE = 4095  # of 12 bits
_NEGATIVE = 3  # each third patient's pictures are stored with black and white turned round


@dataclass(frozen=True)
class _Study:
    """One examination: its patient's number, its own, and whether an effusion is seen."""

    patient: int
    number: int
    effusion: bool

    @property
    def uid(self) -> UID:
        return generate_uid(entropy_srcs=[f"practice study {self.number}"])


def write_practice_dicom(folder: Path) -> tuple[int, Path]:
    """Writes chest X-rays of 12 bits, a table of what was found in each study, and files that have to be stopped.

    Beside them lies `hold_out`, a folder of PNG files for each finding, with pictures that are not in the export.

    Args:
        folder: Is made; must be empty if it is there.

    Returns:
        How many files `folder / "export"` holds, and the table.

    Raises:
        ConfigError: The folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists already. Name a folder that is not there yet.")
    rng = np.random.default_rng(_SEED)
    studies = list(_studies(rng))
    written = sum(_write_study(folder / "export", study, rng) for study in studies)
    written += _write_others(folder / "export", studies[0])
    _write_hold_out(folder / "hold_out", rng)
    table = folder / "labels.csv"
    lines = [f"{study.uid},{FINDINGS[study.effusion]}\n" for study in studies]
    table.write_text("".join(["study,finding\n", *lines]), encoding="utf-8")
    return written, table


def _studies(rng: np.random.Generator) -> Iterator[_Study]:
    """One or two studies of each patient."""
    number = 0
    for patient in range(PATIENTS):
        effusion = bool(rng.integers(0, 2))
        for _ in range(int(rng.integers(1, 3))):
            number += 1
            yield _Study(patient, number, effusion)


def _write_study(export: Path, study: _Study, rng: np.random.Generator) -> int:
    levels = np.rint(_WHITE * _draw(study.effusion, rng)).astype(np.uint16)
    made = _dataset(study, DigitalXRayImageStorageForPresentation, picture=1)
    made.Modality, made.ImageType = "DX", ["ORIGINAL", "PRIMARY"]
    made.BurnedInAnnotation = "NO"
    if study.number <= BURNED_IN:
        levels = _with_a_name(levels, study)
        made.BurnedInAnnotation = "YES"
    negative = study.patient % _NEGATIVE == 0
    _set_pixels(made, _WHITE - levels if negative else levels, "MONOCHROME1" if negative else "MONOCHROME2")
    _write(export, study, made, "IM0001")
    return 1


def _write_others(export: Path, study: _Study) -> int:
    """Two objects of an archive that are no pictures to train on: a captured screen and a report."""
    capture = _dataset(study, SecondaryCaptureImageStorage, picture=2)
    capture.Modality, capture.ConversionType = "OT", "WSD"
    _set_pixels(capture, _with_a_name(np.zeros((SIDE, SIDE), dtype=np.uint16), study), "MONOCHROME2")
    _write(export, study, capture, "IM0002")
    report = _dataset(study, BasicTextSRStorage, picture=3)
    report.Modality, report.ValueType, report.CompletionFlag = "SR", "CONTAINER", "COMPLETE"
    _write(export, study, report, "SR0001")
    return 2


def _write_hold_out(folder: Path, rng: np.random.Generator) -> None:
    for number in range(HOLD_OUT):
        effusion = number % 2 == 1
        own = folder / FINDINGS[effusion]
        own.mkdir(parents=True, exist_ok=True)
        levels = np.rint(255 * _draw(effusion, rng)).astype(np.uint8)
        Image.fromarray(levels).save(own / f"{number:03d}.png")


def _draw(effusion: bool, rng: np.random.Generator) -> NDArray[np.float64]:
    """A chest, from 0 (black) to 1, (SIDE, SIDE); with an effusion the lower part of one lung is filled."""
    drawn = draw_modality("xray", rng, 1, (SIDE, SIDE, 1), bits=16)[0, ..., 0].astype(np.float64) / 65535
    if not effusion:
        return drawn
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    side = across < 0.5 if rng.random() < 0.5 else across >= 0.5
    level = 0.52 + 0.08 * rng.random() + 0.1 * (across - 0.5) ** 2
    filled = np.clip((down - level) * 12, 0, 1) * side
    return np.asarray(np.maximum(drawn, 0.85 * filled))


def _with_a_name(levels: NDArray[np.uint16], study: _Study) -> NDArray[np.uint16]:
    """The picture with its patient's name written into it, as some devices do."""
    text = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(text).text((3, 3), f"Patient {study.patient + 1:04d}", fill=255)
    return np.where(np.asarray(text) > 0, np.uint16(_WHITE), levels)


def _dataset(study: _Study, kind: UID, *, picture: int) -> Dataset:
    """What an archive says of each object of a study."""
    made = Dataset()
    made.SOPClassUID = kind
    made.SOPInstanceUID = generate_uid(entropy_srcs=[f"practice study {study.number} object {picture}"])
    made.SeriesInstanceUID = generate_uid(entropy_srcs=[f"practice study {study.number} series {picture}"])
    made.StudyInstanceUID = study.uid
    made.PatientName = f"Practice^Patient {study.patient + 1:04d}"
    made.PatientID = f"PRACTICE-{study.patient + 1:04d}"
    return made


def _set_pixels(made: Dataset, levels: NDArray[np.uint16], photometric: str) -> None:
    made.PhotometricInterpretation = photometric
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.Rows, made.Columns = levels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.WindowCenter, made.WindowWidth = "2048", "4096"
    made.PixelData = levels.astype("<u2").tobytes()
    made["PixelData"].VR = "OW"


def _write(export: Path, study: _Study, made: Dataset, name: str) -> None:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    folder = export / f"ST{study.number:04d}"
    folder.mkdir(parents=True, exist_ok=True)
    made.save_as(folder / name, implicit_vr=False, little_endian=True, enforce_file_format=True)
