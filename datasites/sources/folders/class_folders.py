"""Lists FOLDER/<class>/<picture>, of one hospital or of one among several. Class names become public, no others do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from datasites.picture_files.picture_refused import Reason
from datasites.sources.class_names import check_class_names, in_label_order, refuse_alike_classes
from datasites.sources.contents import Measured, PictureFiles, by_file, content_of
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.file_picture import FilePicture
from datasites.sources.folders.levels import Owner, one_form, owner_of
from datasites.sources.folders.lost_classes import WithoutPicture
from datasites.sources.folders.masks import refuse_folder_of_masks, refuse_masks
from datasites.sources.folders.split_files import refuse_split_files
from datasites.sources.folders.splits import refuse_part_classes, refuse_split_levels, refuse_splits
from datasites.sources.folders.unnamed import refuse_unnamed
from datasites.sources.folders.walk import Found, Walk
from datasites.sources.identity import NamesSeen
from datasites.sources.listing import ListedPicture, Listing
from datasites.sources.sites import refuse_no_common_class
from policies.errors import DataError
from policies.plans.reports_file import REPORTS_FILE, read_reports

_SAFE = "If they are none, set safe_kinds in [dataset]."
_IF_OWN_CLASSES = (
    "If the outer ones are classes, leave site out, and say what the inner ones are in folder_levels, such as "
    '["class", "patient"].'
)
_IF_HOSPITALS = "If they are hospitals, declare class_names in [dataset]."
_Entry = tuple[FilePicture, Owner]


def list_class_folders(
    settings: DatasetSettings, watch: Callable[[int], None], measured: Measured | None = None
) -> Listing:
    """Lists the pictures of one hospital's class folders; see `list_pictures`."""
    root = Path(settings.data_path)
    if "class" not in (settings.folder_levels or ("class",)):
        raise DataError("folder_levels must name the level of the classes. Add 'class', or name a table of labels.")
    folder, others = _hospital(root, settings)
    reading = _Reading(folder, settings, measured)
    for number, found in enumerate(reading.walk.files(), start=1):
        watch(number)
        reading.add(found)
    if not reading.with_pictures:
        raise DataError(
            "The class folders must hold pictures, none came. Check the path.",
            private="\n".join(f"{one.place}: {one.reason.means}" for one in reading.files.left_out[:3]),
        )
    names = reading.class_names(others)
    reading.names.refuse(_SAFE)
    entries = reading.entries_of_the_site()
    refuse_split_levels(
        (picture.inside.split("/")[:-1] for picture, _ in entries), settings.folder_levels or ("class",), settings.split
    )
    refuse_split_files((picture.inside for picture, _ in entries), settings.split)
    refuse_masks(picture.inside for picture, _ in entries)
    reports = _reports(folder, [picture.inside for picture, _ in entries]) if settings.text_length else None
    listed = [
        ListedPicture(
            picture,
            (names.index(owner.label or ""),),
            owner.patient,
            None if reports is None else reports[picture.inside],
        )
        for picture, owner in entries
    ]
    own = reading.files.measured
    left_out = [*reading.walk.left_out, *reading.files.left_out]
    return Listing(folder, by_file(listed), names, "single", left_out, own.size, own.channels)


class _Reading:
    """One hospital's folder, while it is walked through."""

    def __init__(self, folder: Path, settings: DatasetSettings, measured: Measured | None) -> None:
        self.walk, self.files = Walk(folder), PictureFiles(folder, settings, measured)
        self.names = NamesSeen(settings.safe_kinds)
        self.with_pictures: set[str] = set()
        self._settings, self._levels = settings, settings.folder_levels or ("class",)
        self._without = WithoutPicture(self._levels.index("class"))
        self._entries: list[_Entry] = []

    def add(self, found: Found) -> None:
        """Takes one file."""
        before = len(self.files.left_out)
        if found.inside == REPORTS_FILE and self._settings.text_length:
            return
        pictures = self.files.pictures(found.inside)
        if not pictures:
            self._without.add(found.inside, self.files.left_out[before].reason)
            return
        if self._settings.site and "site" not in self._levels and not found.folders:
            raise DataError(
                "The folder that site names holds pictures beside or in place of class folders: it looks like a "
                "class's. Leave site out where the classes are one hospital's own, or move its pictures into the "
                "folders of their classes.",
                private=f"For instance: {found.inside}",
            )
        owner = owner_of(found, self._levels)
        self.with_pictures.add(owner.label or "")
        self.names.look("file names", found.name)
        for folder in owner.others:
            self.names.look("folder names", folder)
        self._entries += [(picture, owner) for picture in pictures]

    def class_names(self, others: list[Path]) -> tuple[str, ...]:
        """The classes, in label order: as the settings name them, else those that hold a picture at any hospital.

        Raises:
            DataError: A class is lost as a whole, is not among those that are named, or has a name that it cannot keep.
        """
        given = tuple(map(one_form, self._settings.class_names))
        self._without.refuse(self.with_pictures, given)
        if given:
            if unknown := sorted(self.with_pictures - set(given)):
                raise DataError(
                    f"Class folders must be among {', '.join(given)}; another came. Rename it or add the class.",
                    private=f"Folder: {unknown[0]}",
                )
            return check_class_names(given)
        by_hospital = {other.name: set(_classes_of(other)) for other in others}
        found = self.with_pictures.union(*by_hospital.values())
        if others:
            by_hospital = {name: classes for name, classes in by_hospital.items() if classes}
            together = {self._settings.site: self.with_pictures, **by_hospital}
            refuse_no_common_class(together, _IF_OWN_CLASSES, _IF_HOSPITALS)
        refuse_unnamed(found)
        refuse_part_classes(found)
        refuse_folder_of_masks(found)
        self.names.look_at_classes(found, "class names")
        self.names.refuse(_SAFE)
        refuse_alike_classes(found)
        return check_class_names(in_label_order(found))

    def entries_of_the_site(self) -> list[_Entry]:
        """The pictures of the hospital that is asked for.

        Raises:
            DataError: There are several, and none is named.
        """
        if "site" not in self._levels:
            return self._entries
        sites = {owner.site for _, owner in self._entries}
        wanted = one_form(self._settings.site)
        if wanted not in sites and (wanted or len(sites) > 1):
            raise DataError(
                "The folders are several hospitals'. Set site to one of them.",
                private=f"The hospitals are {', '.join(sorted(site or '' for site in sites))}.",
            )
        return [entry for entry in self._entries if not wanted or entry[1].site == wanted]


def _hospital(root: Path, settings: DatasetSettings) -> tuple[Path, list[Path]]:
    """(the hospital's folder, the folders of the others whose classes count too)."""
    if "site" in settings.folder_levels:
        return root, []
    names = Walk(root).subfolders()
    if not settings.site:
        if not settings.folder_levels:
            refuse_splits(names)
        return root, []
    own = [name for name in names if one_form(name) == one_form(settings.site)]
    if not own:
        raise DataError(
            f"The folder must hold a folder for the hospital {settings.site!r}, with its class folders in it."
        )
    return root / own[0], [root / name for name in names if name != own[0]]


def _classes_of(hospital: Path) -> Iterator[str]:
    """Another hospital's class folders that hold a picture."""
    walk = Walk(hospital)
    for name in walk.subfolders():
        if any(not isinstance(content_of(hospital / found.inside), Reason) for found in walk.files(name)):
            yield one_form(name)


def _reports(folder: Path, files: list[str]) -> dict[str, str]:
    """The report of each file, from the folder's table."""
    reports = read_reports(folder)
    if missing := next((file for file in files if file not in reports), None):
        raise DataError(
            "reports.csv must name every picture, one is missing. Add its line; where nothing was written, leave the "
            "report empty.",
            private=f"File: {folder / missing}",
        )
    return reports
