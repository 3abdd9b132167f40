"""All pictures of a tree of DICOM files or of a DICOMDIR, with what labels and patients come from. All of it private."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from datasites.picture_files.dicom.described import described
from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.picture_files.reasons import NOT_A_FILE
from datasites.sources.dicom.directory_file import NAME, listed_files
from datasites.sources.dicom.found_file import find
from datasites.sources.dicom.patients import patients
from datasites.sources.dicom.stops import stop
from datasites.sources.file_frame import FileFrame
from datasites.sources.listing import LeftOut

FRAMES = ("one", "all", "middle")
SEVERAL_FRAMES = Reason(
    "several_frames",
    "The file holds several frames, and one picture is wanted.",
    "Set frames to 'all' to take each, or to 'middle' to take the middle one.",
)
Mapped = Callable[[Callable[[Path], "_Looked"], Iterable[Path]], Iterable["_Looked"]]
"""As `map` is, or a pool of processes' own."""


@dataclass(frozen=True, repr=False)
class DicomPicture:
    """A frame, and what its file says of it.

    Attributes:
        picture: The frame.
        identifiers: What a table may name it by, of `found_file.IDENTIFIERS`.
        patient: Whose it is, or why that is not known.
        label: What the attribute holds that labels come from; empty where it is absent or none was asked for.
        size: (rows, columns).
        channels: 1 or 3.
    """

    picture: FileFrame
    identifiers: Mapping[str, str]
    patient: str | Reason
    label: str
    size: tuple[int, int]
    channels: int


@dataclass(frozen=True, repr=False)
class DicomFrames:
    """What a source of DICOM files holds: its pictures in the order of their places, and what is none of them."""

    root: Path
    pictures: Sequence[DicomPicture]
    left_out: Sequence[LeftOut]


@dataclass(frozen=True, repr=False)
class _Looked:
    """A file that was looked at: what is known of it, or why it is left out."""

    identifiers: Mapping[str, str] = field(default_factory=dict)
    issuer: str = ""
    label: str = ""
    frames: int = 0
    size: tuple[int, int] = (0, 0)
    channels: int = 1
    reason: Reason | None = None


def dicom_frames(
    source: Path,
    *,
    frames: str = "one",
    safe: Sequence[str] = (),
    label_attribute: str = "",
    mapped: Mapped = map,
) -> DicomFrames:
    """Lists a source without reading a pixel.

    Guarantees:
        Nothing is listed that `stops.stop` stops, or that lies outside the source's folder.

    Args:
        source: A folder, whose files may have any names and lie in folders of any depth, or a DICOMDIR.
        frames: Of `FRAMES`: what becomes of files of several frames.
        safe: Kinds of `stops.SAFE_KINDS` that a person has looked at.
        label_attribute: An attribute that labels come from, or empty.
        mapped: Looks at files, in several processes where it likes.

    Raises:
        PictureRefused: `source` is a file and no DICOMDIR.
        OSError: It cannot be read.
    """
    if source.is_dir():
        root, (files, left_out) = source, _files(source)
    else:
        root, (files, left_out) = source.parent, listed_files(source)
    places = [path.relative_to(root).as_posix() for path in files]
    looked = list(mapped(partial(_look, safe=frozenset(safe), label_attribute=label_attribute), files))
    whose = patients([(one.identifiers.get("PatientID", ""), one.issuer) for one in looked])
    pictures: list[DicomPicture] = []
    for path, place, one, patient in zip(files, places, looked, whose, strict=True):
        reason = one.reason or (SEVERAL_FRAMES if one.frames > 1 and frames == "one" else None)
        if reason is not None:
            left_out.append(LeftOut(place, reason))
            continue
        pictures += (
            DicomPicture(picture, one.identifiers, patient, one.label, one.size, one.channels)
            for picture in _taken(path, place, one.frames, frames)
        )
    return DicomFrames(root, pictures, sorted(left_out, key=lambda one: one.place))


def _files(folder: Path) -> tuple[list[Path], list[LeftOut]]:
    """Every plain file under a folder but indexes of media; links are not followed."""
    files: list[Path] = []
    left_out: list[LeftOut] = []

    def unreadable(error: OSError) -> None:
        left_out.append(LeftOut(Path(error.filename).relative_to(folder).as_posix(), NOT_A_FILE))

    for here, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        for path in (Path(here, name) for name in sorted(names) if name.upper() != NAME):
            if path.is_file() and not path.is_symlink():
                files.append(path)
            else:
                left_out.append(LeftOut(path.relative_to(folder).as_posix(), NOT_A_FILE))
    return files, left_out


def _look(path: Path, *, safe: frozenset[str], label_attribute: str) -> _Looked:
    try:
        found, header = find(path, label_attribute)
        if reason := stop(found, safe):
            return _Looked(reason=reason)
        of = described(header)
    except PictureRefused as refusal:
        return _Looked(reason=refusal.reason)
    except OSError:
        return _Looked(reason=NOT_A_FILE)
    return _Looked(found.identifiers, found.issuer, found.label, of.frames, (of.rows, of.columns), of.channels)


def _taken(path: Path, place: str, count: int, frames: str) -> Iterator[FileFrame]:
    """The frames of one file that are pictures."""
    if count == 1:
        yield FileFrame(path, place)
    else:
        for number in range(count) if frames == "all" else (count // 2,):
            yield FileFrame(path, f"{place}, frame {number + 1}", number)
