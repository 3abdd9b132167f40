"""The listing of a hospital's DICOM pictures. Nothing of it crosses the boundary but the names of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from datasites.picture_files.file_pixels import PictureInfo
from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.sources.contents import Measured
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.dicom.frames import DicomFrames, dicom_frames
from datasites.sources.dicom.labels import OTHER_CLASS, Labeller, by_attribute, check_attribute, named_labels
from datasites.sources.dicom.table_labels import TableLabels
from datasites.sources.folders.levels import one_form
from datasites.sources.folders.lost_classes import WithoutPicture
from datasites.sources.folders.splits import refuse_split_levels
from datasites.sources.folders.walk import Walk
from datasites.sources.listing import LeftOut, ListedPicture, Listing
from datasites.sources.reasons import EMPTY_FOLDER, NOT_IN_TABLE, SYSTEM_FILE
from policies.errors import DataError

_NOT_MEANT = (OTHER_CLASS, NOT_IN_TABLE)


def list_dicom(
    settings: DatasetSettings, watch: Callable[[int], None] = lambda done: None, measured: Measured | None = None
) -> Listing:
    """Lists a folder of DICOM files, or what a DICOMDIR names, without reading a pixel; see `list_pictures`.

    Guarantees:
        Nothing is listed that `stops.stop` stops. Where the unit is the patient, nothing whose patient is unknown.

    Raises:
        ConfigError: Labels cannot come from where the settings say.
        DataError: The source or its table cannot be read as described, or nothing of it can be taken.
        IdentitySuspected: Class names that nobody declared, or columns, look like a person's.
    """
    attribute = "" if settings.labels_from in ("folder", "table") else settings.labels_from
    if attribute:
        check_attribute(attribute, settings.class_names)
    table = TableLabels(settings) if settings.labels_from == "table" else None
    try:
        found = dicom_frames(
            source_of(settings),
            frames=settings.frames,
            safe=settings.safe_dicom,
            label_attribute=attribute,
            watch=watch,
        )
    except (PictureRefused, OSError) as error:
        raise DataError(
            "The DICOMDIR cannot be read. Give the folder with its files instead.", private=str(error)
        ) from error
    if measured is not None:
        measured.left_out += found.left_out
        for one in found.pictures:
            measured.add(PictureInfo("dicom", one.size, one.channels), one.modality)
    if not found.pictures:
        raise DataError(
            "No DICOM picture can be taken. Check the path, frames and safe_dicom in [dataset].",
            private="\n".join(f"{one.place}: {one.reason.means}" for one in found.left_out[:3]),
        )
    if attribute:
        return _listing(found, *by_attribute(found, settings), settings)
    if table is None:
        _refuse_lost(found, settings)
        return _listing(found, *named_labels(found.pictures, settings), found.left_out, settings)
    listing = _listing(found, table.labeller(), table.class_names, table.left_out(found.not_taken), settings)
    return replace(listing, left_out=[*listing.left_out, *table.without_picture(found.not_taken)])


def source_of(settings: DatasetSettings) -> Path:
    """The hospital's folder, or its DICOMDIR.

    Raises:
        DataError: There is no folder of the hospital that `site` names.
    """
    path = Path(settings.data_path)
    if not settings.site or not path.is_dir():
        return path
    own = [name for name in Walk(path).subfolders() if one_form(name) == one_form(settings.site)]
    if not own:
        raise DataError(
            f"The folder must hold a folder for the hospital {settings.site!r}, with its DICOM files in it."
        )
    return path / own[0]


def _refuse_lost(found: DicomFrames, settings: DatasetSettings) -> None:
    """Refuses class folders that hold files of which none is read, as those of other pictures are refused."""
    levels = settings.folder_levels or ("class",)
    if "class" not in levels:
        return
    place = levels.index("class")
    without = WithoutPicture(place)
    with_pictures = {name for one in found.pictures if (name := _folder(one.picture.inside, place))}
    is_medium = not source_of(settings).is_dir()  # whose index writes names in capitals, whatever the files have
    for one in found.left_out:
        name = _folder(one.place, place)
        is_known = is_medium and name.lower() in map(str.lower, with_pictures)
        if one.reason not in (SYSTEM_FILE, EMPTY_FOLDER) and not is_known:
            without.add(one.place, one.reason)
    without.refuse(with_pictures, tuple(map(one_form, settings.class_names)))


def _folder(inside: str, place: int) -> str:
    folders = inside.split("/")[:-1]
    return one_form(folders[place]) if len(folders) > place else ""


def _listing(
    found: DicomFrames,
    labeller: Labeller,
    class_names: Sequence[str],
    left_out: list[LeftOut],
    settings: DatasetSettings,
) -> Listing:
    pictures: list[ListedPicture] = []
    paths: list[list[str]] = []
    sizes, channels = set[tuple[int, int]](), set[int]()
    for one in found.pictures:
        said = labeller(one)
        if isinstance(said, Reason):
            left_out.append(LeftOut(one.picture.place, said, lost=said not in _NOT_MEANT))
            continue
        whose = said.patient or one.patient
        if isinstance(whose, Reason) and settings.unit == "patient":
            left_out.append(LeftOut(one.picture.place, whose, labels=said.labels))
            continue
        patient = None if isinstance(whose, Reason) else whose
        pictures.append(ListedPicture(one.picture, said.labels, patient, said.report))
        paths.append(one.picture.inside.split("/")[:-1])
        sizes.add(one.size)
        channels.add(one.channels)
    levels = settings.folder_levels or ("class",) if settings.labels_from == "folder" else ()
    refuse_split_levels(paths, levels, settings.split)
    size = sizes.pop() if len(sizes) == 1 else None
    names = tuple(class_names)
    most = max(channels, default=None)
    return Listing(found.root, pictures, names, settings.label_kind, left_out, size, most)
