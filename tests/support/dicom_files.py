"""DICOM files made for tests, whose right pixel values a reader computes by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from datasites.picture_files.dicom.pixels import pixels
from policies.plans.picture_form import PictureForm

FORM = PictureForm(size=(8, 8), channels=1)


def made(values: Any, *, bits: int = 8, **elements: Any) -> Dataset:
    """A data set that holds `values`, (rows, columns) or (rows, columns, 3), or a stack of such where `frames` says so.

    Args:
        values: Whole numbers; negative ones make it signed.
        bits: Bits stored; 8 or 16 are allocated.
        elements: Further elements, and what to put in place of these; None takes one away.
    """
    array = np.asarray(values)
    allocated = 8 if bits <= 8 else 16
    signed = bool(array.min() < 0)
    frames = elements.pop("frames", 1)
    rows, columns, *samples = array.shape[1:] if frames > 1 else array.shape
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = "Planted^Name", "PLANTED-ID"
    dataset.Modality = "CT"
    dataset.SamplesPerPixel = samples[0] if samples else 1
    dataset.PhotometricInterpretation = "RGB" if samples else "MONOCHROME2"
    if samples:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    order = elements.get("order", "<")
    dataset.PixelData = array.astype(f"{order}{'i' if signed else 'u'}{allocated // 8}").tobytes()
    elements.pop("order", None)
    for name, value in elements.items():
        if value is None:
            del dataset[name]
        else:
            setattr(dataset, name, value)
    if len(dataset.PixelData) % 2:
        dataset.PixelData += b"\0"
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    return dataset


def written(dataset: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """The file of a data set."""
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(
        path,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return path


def levels(dataset: Dataset, folder: Path, form: PictureForm = FORM, *, frame: int = 0) -> Any:
    """What is seen of a data set, as lists."""
    return pixels(written(dataset, folder / "made.dcm"), form, frame).levels.tolist()


def item(**elements: Any) -> Dataset:
    """An item of a sequence."""
    made_item = Dataset()
    for name, value in elements.items():
        setattr(made_item, name, value)
    return made_item


def table(first: int, bits: int, entries: list[int]) -> Dataset:
    """A lookup table's item."""
    made_item = item(LUTDescriptor=[len(entries), first, bits], LUTData=entries)
    made_item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    made_item["LUTData"].VR = "US"
    return made_item
