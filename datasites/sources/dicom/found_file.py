"""One DICOM file as it is listed: the elements of an allow-list, read without its pixels. None of them is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasites.picture_files.dicom.elements import text, texts
from datasites.picture_files.dicom.header import FOR_PIXELS, Header, read_header

IDENTIFIERS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID")
"""What a table may name pictures by."""
CODED_LABELS = (
    "AcquisitionContrast",
    "BodyPartExamined",
    "BreastImplantPresent",
    "ConvolutionKernel",
    "ImageLaterality",
    "Laterality",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "PatientOrientation",
    "PatientPosition",
    "PatientSex",
    "PresentationIntentType",
    "ScanningSequence",
    "ViewPosition",
)
"""Attributes that labels may come from: none names a person, a place, a date or an examination."""
WRITTEN_LABELS = ("ContrastBolusAgent", "ProtocolName", "SequenceName", "SeriesDescription", "StudyDescription")
"""Attributes that somebody types, in which anything may stand: labels only where all classes are declared."""
ABOUT_THE_PICTURE = (
    "SOPClassUID",
    "Modality",
    "ImageType",
    "BurnedInAnnotation",
    "RecognizableVisualFeatures",
    "ConversionType",
    "SpecimenLabelInImage",
)
_READ = (*IDENTIFIERS, "IssuerOfPatientID", *ABOUT_THE_PICTURE, *FOR_PIXELS)


@dataclass(frozen=True, repr=False)
class FoundFile:
    """What is known of a file before its pixels.

    Attributes:
        identifiers: What it has of `IDENTIFIERS`.
        issuer: Who gave the PatientID; empty where nobody says so.
        sop_class: What kind of object it is, as a unique identifier.
        modality: Such as CT.
        image_type: Such as ORIGINAL, PRIMARY, AXIAL.
        burned_in: BurnedInAnnotation: YES, NO or empty.
        recognisable: RecognizableVisualFeatures, likewise.
        conversion: How a secondary capture was made.
        specimen_label: SpecimenLabelInImage: YES, NO or empty.
        graphics: Whether overlays or curves lie beside the pixels.
        cut_off: Whether the file ends before its pixels.
        label: What the attribute holds that labels come from; empty where it is absent or none was asked for.
    """

    identifiers: Mapping[str, str]
    issuer: str
    sop_class: str
    modality: str
    image_type: tuple[str, ...]
    burned_in: str
    recognisable: str
    conversion: str
    specimen_label: str
    graphics: bool
    cut_off: bool
    label: str


def find(path: Path, label_attribute: str = "") -> tuple[FoundFile, Header]:
    """Reads what is listed of a file, and its header, whose pixels can be described.

    Args:
        path: The file.
        label_attribute: One of `CODED_LABELS` or `WRITTEN_LABELS`, or empty.

    Raises:
        PictureRefused: It is no DICOM file, or broken.
        OSError: It cannot be opened.
    """
    asked = (label_attribute,) if label_attribute else ()
    header = read_header(path, (*_READ, *asked))
    dataset = header.dataset
    found = FoundFile(
        identifiers={name: held for name in IDENTIFIERS if (held := text(dataset, name))},
        issuer=text(dataset, "IssuerOfPatientID"),
        sop_class=text(dataset, "SOPClassUID"),
        modality=text(dataset, "Modality").upper(),
        image_type=tuple(one.upper() for one in texts(dataset, "ImageType")),
        burned_in=text(dataset, "BurnedInAnnotation").upper(),
        recognisable=text(dataset, "RecognizableVisualFeatures").upper(),
        conversion=text(dataset, "ConversionType").upper(),
        specimen_label=text(dataset, "SpecimenLabelInImage").upper(),
        graphics=header.graphics,
        cut_off=header.cut_off,
        label=" ".join(texts(dataset, label_attribute)) if label_attribute else "",
    )
    return found, header
