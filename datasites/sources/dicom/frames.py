"""All pictures of a tree of DICOM files or of a DICOMDIR, with what labels and patients come from. All private."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasites.picture_files.dicom.decoders import is_decoded
from datasites.picture_files.dicom.described import described
from datasites.picture_files.dicom.reasons import NOT_DICOM, SYNTAX
from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.picture_files.reasons import NOT_A_FILE
from datasites.sources.contents import PICTURE_SUFFIXES
from datasites.sources.dicom.directory_file import NAME, listed_files
from datasites.sources.dicom.found_file import find
from datasites.sources.dicom.patients import patients
from datasites.sources.dicom.stops import NO_LOSS, stop
from datasites.sources.file_picture import FilePicture
from datasites.sources.folders.walk import Walk
from datasites.sources.listing import LeftOut
from datasites.sources.reasons import SEVERAL_FRAMES


@dataclass(frozen=True, repr=False)
class DicomPicture:
    """A frame, and what its file says of it.

    Attributes:
        picture: The frame.
        identifiers: What a table may name it by, of `found_file.IDENTIFIERS`.
        patient: Whose it is, or why that is not known.
        label: What the attribute holds that labels come from; empty where it is absent or none was asked for.
        modality: Such as CT.
        size: (rows, columns).
        channels: 1 or 3.
    """

    picture: FilePicture
    identifiers: Mapping[str, str]
    patient: str | Reason
    label: str
    modality: str
    size: tuple[int, int]
    channels: int


@dataclass(frozen=True, repr=False)
class NotTaken:
    """A file that is left out, and what its header says of it all the same.

    Attributes:
        left_out: Where it is, and why.
        identifiers: As a picture's; empty where its header cannot be read.
        label: As a picture's; likewise.
    """

    left_out: LeftOut
    identifiers: Mapping[str, str] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True, repr=False)
class DicomFrames:
    """What a source of DICOM files holds: its pictures in the order of their places, and what is none of them."""

    root: Path
    pictures: Sequence[DicomPicture]
    not_taken: Sequence[NotTaken]

    @property
    def left_out(self) -> list[LeftOut]:
        """What is none of them, without what headers say."""
        return [one.left_out for one in self.not_taken]


@dataclass(frozen=True, repr=False)
class _Looked:
    """A file that was looked at: what is known of it, or why it is left out."""

    identifiers: Mapping[str, str] = field(default_factory=dict)
    issuer: str = ""
    label: str = ""
    modality: str = ""
    frames: int = 0
    size: tuple[int, int] = (0, 0)
    channels: int = 1
    reason: Reason | None = None


def dicom_frames(
    source: Path,
    *,
    frames: str = "one",
    safe: Collection[str] = (),
    label_attribute: str = "",
    watch: Callable[[int], None] = lambda done: None,
) -> DicomFrames:
    """Lists a source without reading a pixel.

    Guarantees:
        Nothing is listed that `stops.stop` stops, or that lies outside the source's folder.

    Args:
        source: A folder, whose files may have any names and lie in folders of any depth, or a DICOMDIR.
        frames: What becomes of files of several: `one` leaves them out, `all` takes each, `middle` the middle one.
        safe: Kinds of `stops.SAFE_KINDS` that a person has looked at.
        label_attribute: An attribute that labels come from, or empty.
        watch: Told how many files were looked at.

    Raises:
        PictureRefused: `source` is a file and no DICOMDIR.
        DataError: A folder cannot be read, or a link leads out of it.
        OSError: The DICOMDIR cannot be read.
    """
    root, files, others = _files(source)
    not_taken = [NotTaken(one) for one in others]
    looked: list[_Looked] = []
    for inside in files:
        looked.append(_look(root / inside, safe, label_attribute))
        watch(len(looked))
    may_be_taken = [one if one.reason is None else _Looked() for one in looked]
    whose = patients([(one.identifiers.get("PatientID", ""), one.issuer) for one in may_be_taken])
    pictures: list[DicomPicture] = []
    for inside, one, patient in zip(files, looked, whose, strict=True):
        reason = one.reason or (SEVERAL_FRAMES if one.frames > 1 and frames == "one" else None)
        if reason is not None:
            left_out = LeftOut(inside, reason, lost=_is_lost(inside, reason))
            not_taken.append(NotTaken(left_out, one.identifiers, one.label))
            continue
        pictures += (
            DicomPicture(
                FilePicture(str(root), inside, number),
                one.identifiers,
                patient,
                one.label,
                one.modality,
                one.size,
                one.channels,
            )
            for number in _taken(one.frames, frames)
        )
    return DicomFrames(root, pictures, sorted(not_taken, key=lambda one: one.left_out.place))


def _files(source: Path) -> tuple[Path, list[str], list[LeftOut]]:
    """A source's folder, the files in it that may be pictures, and what is none; a folder's DICOMDIR is passed by."""
    if not source.is_dir():
        return source.parent, *listed_files(source)
    walk = Walk(source)
    files = [found.inside for found in walk.files() if found.name.upper() != NAME]
    return source, files, walk.left_out


def _look(path: Path, safe: Collection[str], label_attribute: str) -> _Looked:
    try:
        found, header = find(path, label_attribute)
    except PictureRefused as refusal:
        return _Looked(reason=refusal.reason)
    except OSError:
        return _Looked(reason=NOT_A_FILE)
    said = _Looked(found.identifiers, found.issuer, found.label, found.modality)
    if reason := stop(found, safe):
        return replace(said, reason=reason)
    try:
        of = described(header)
    except PictureRefused as refusal:
        return replace(said, reason=refusal.reason)
    if not is_decoded(header.syntax, of.stored):
        return replace(said, reason=SYNTAX)
    return replace(said, frames=of.frames, size=(of.rows, of.columns), channels=of.channels)


def _is_lost(inside: str, reason: Reason) -> bool:
    """Whether a file that is left out may be a picture that was meant to be in.

    One that does not begin as DICOM does may be broken: it is, where it is called like a picture, like a file on a
    medium (`IM0001`) or by a unique identifier (`1.2.840.1`).
    """
    if reason not in NO_LOSS:
        return True
    name = Path(inside)
    suffix = name.suffix.lower()
    without = not suffix and any(map(str.isdigit, name.name))
    return reason == NOT_DICOM and (suffix in PICTURE_SUFFIXES or suffix[1:].isdigit() or without)


def _taken(count: int, frames: str) -> Sequence[int | None]:
    """Numbers of a file's frames that are pictures; None of one that has one alone."""
    if count == 1:
        return (None,)
    return range(count) if frames == "all" else (count // 2,)
