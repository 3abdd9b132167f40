"""The listing of a hospital's DICOM pictures. Nothing of it crosses the boundary but the names of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasites.picture_files.picture_refused import Reason
from datasites.sources.dicom.frames import DicomFrames, Mapped, dicom_frames
from datasites.sources.dicom.labels import (
    OTHER_CLASS,
    Labeller,
    NameOf,
    Said,
    attribute_of,
    by_name,
    check_attribute,
    folder_of,
    name_labeller,
    table_labeller,
)
from datasites.sources.listing import LeftOut, ListedPicture, Listing
from datasites.sources.reasons import NOT_IN_TABLE

_NOT_MEANT = (OTHER_CLASS, NOT_IN_TABLE)


@dataclass(frozen=True)
class DicomLabels:
    """Where labels come from.

    Attributes:
        source: `folder`, `table`, or an attribute of `found_file.CODED_LABELS` or `WRITTEN_LABELS`.
        class_names: Public names in label order; those found where empty, which a table's may not be.
        kind: `single` or `multi`.
        folder_level: Which folders are classes, 0 being the outermost.
        table: What a table says of each picture, by what `table_match` names.
        table_match: `path`, or one of `found_file.IDENTIFIERS`.
    """

    source: str = "folder"
    class_names: tuple[str, ...] = ()
    kind: str = "single"
    folder_level: int = 0
    table: Mapping[str, Said] | None = None
    table_match: str = "SOPInstanceUID"


def list_dicom(
    source: Path,
    labels: DicomLabels,
    *,
    frames: str = "one",
    safe: Sequence[str] = (),
    patients: bool = False,
    mapped: Mapped = map,
) -> Listing:
    """Lists a folder of DICOM files, or what a DICOMDIR names, without reading a pixel.

    Guarantees:
        Nothing is listed that `stops.stop` stops. Where `patients` is true nothing is listed whose patient is unknown.

    Args:
        source: The folder, or the DICOMDIR.
        labels: Where labels come from.
        frames: What becomes of files of several frames: `one` leaves them out, `all` takes each frame, `middle` one.
        safe: Kinds of `stops.SAFE_KINDS` that a person has looked at.
        patients: Whether the privacy unit is the patient.
        mapped: As `map`, or a pool of processes' own: looks at files.

    Raises:
        DataError: Labels cannot come from there, or a folder cannot be read.
        PictureRefused: `source` is a file and no DICOMDIR.
    """
    attribute = "" if labels.source in ("folder", "table") else labels.source
    if attribute:
        check_attribute(attribute, labels.class_names)
    found = dicom_frames(source, frames=frames, safe=safe, label_attribute=attribute, mapped=mapped)
    if labels.source == "table":
        labeller = table_labeller(labels.table or {}, labels.table_match)
        return _listing(found, labeller, labels.class_names, labels.kind, patients)
    name_of: NameOf = attribute_of if attribute else folder_of(labels.folder_level)
    names = by_name(found.pictures, name_of, labels.class_names)
    return _listing(found, name_labeller(name_of, names), names, "single", patients)


def _listing(found: DicomFrames, labeller: Labeller, class_names: Sequence[str], kind: str, patients: bool) -> Listing:
    pictures: list[ListedPicture] = []
    left_out = list(found.left_out)
    sizes, channels = set[tuple[int, int]](), set[int]()
    for one in found.pictures:
        said = labeller(one)
        if isinstance(said, Reason):
            left_out.append(LeftOut(one.picture.place, said, lost=said not in _NOT_MEANT))
            continue
        whose = said.patient or one.patient
        if isinstance(whose, Reason) and patients:
            left_out.append(LeftOut(one.picture.place, whose))
            continue
        patient = None if isinstance(whose, Reason) else whose
        pictures.append(ListedPicture(one.picture, said.labels, patient, said.report))
        sizes.add(one.size)
        channels.add(one.channels)
    return Listing(
        root=found.root,
        pictures=pictures,
        class_names=tuple(class_names),
        label_kind=kind,
        left_out=left_out,
        own_size=sizes.pop() if len(sizes) == 1 else None,
        own_channels=channels.pop() if len(channels) == 1 else None,
    )
