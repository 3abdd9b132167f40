"""A public hold-out's files, listed by the rules and read by the decoder of hospitals' pictures. Never private ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasites.picture_files.picture_refused import PictureRefused, Reason
from datasites.sources.class_names import in_label_order
from datasites.sources.contents import content_of
from datasites.sources.dataset_settings import FORM, IDENTITIES, DatasetSettings, is_named
from datasites.sources.folders.levels import one_form
from datasites.sources.folders.lost_classes import WithoutPicture
from datasites.sources.folders.splits import part_beside, parts_among
from datasites.sources.folders.unnamed import refuse_unnamed, refuse_unnamed_hospitals
from datasites.sources.folders.walk import Found, Walk
from datasites.sources.listing import LeftOut, ListedPicture, Listing
from datasites.sources.read_listing import kind_of_source, list_pictures
from datasites.sources.settings_file import settings_in
from datasites.sources.tables.part_column import parts_in
from datasites.sources.tables.read_table import Table, read_table
from datasites.sources.tables.table_pictures import wanted_columns
from policies.errors import ConfigError, DataError, IdentitySuspected
from policies.plans.picture_form import PictureForm
from policies.plans.reports_file import REPORTS_FILE
from researcher.evaluation.hold_out_names import refuse_own_names, refuse_patients_as_classes

_NAMED = 5


def list_hold_out(root: Path, class_names: Sequence[str], form: PictureForm | None) -> list[Listing]:
    """The pictures of a hold-out with their labels, listed as a hospital's source of the same kind is.

    Args:
        root: A folder <class>/<picture>, or <hospital>/<class>/<picture>; a folder of DICOM files or a DICOMDIR in such
            folders; a table with columns `path` and `label`; `medmnist:NAME`, of which the test part is taken; or a
            TOML file whose table [dataset] describes any source.
        class_names: In label order; the source's own where there are none.
        form: By which they will be read; None takes their own size and channels, or what the table [dataset] says.

    Raises:
        IdentitySuspected: Classes that nobody named bear names that look like persons'.
        DataError: A source of another kind, or one that a hospital's listing would refuse.
    """
    try:
        if (described := _described(root)) is not None:
            listing = list_pictures(_of_a_hold_out(described, class_names, form))
            if not (class_names or described.class_names or is_named(described.data_path)):
                refuse_own_names(listing.class_names, described.safe_kinds)
            return [listing]
        found, others = _pictures(root)
        if not found:
            raise DataError("It must hold <class>/<picture> or <hospital>/<class>/<picture>, it holds no picture.")
        several = all(len(one.folders) == 2 for one in found)
        _refuse_parts(found, class_names, several)
        own = {one.folders[-1] for one in found if one.folders}
        if not class_names:
            refuse_unnamed(own)
            _refuse_lost(others, own, 1 if several else 0)
            if several:
                refuse_patients_as_classes(found)
            refuse_own_names(own)
        names = class_names or in_label_order(own)
        hospitals = sorted({one.folders[0] for one in found}) if several else [""]
        refuse_unnamed_hospitals(hospitals)
        folders = [DatasetSettings(data_path=str(root / name), folder_levels=("class",)) for name in hospitals]
        return [list_pictures(_of_a_hold_out(folder, names, form)) for folder in folders]
    except (DataError, ConfigError) as error:  # whose private texts are of the researcher's own files
        kind = IdentitySuspected if isinstance(error, IdentitySuspected) else DataError
        where = "" if str(root) in error.public else f"{root}: "
        raise kind(f"{where}{error.public} {error.private.partition(chr(10))[0]}".strip()) from error


def _refuse_parts(found: Sequence[Found], class_names: Sequence[str], several: bool) -> None:
    """Refuses parts of a data set taken together: of some of them the hospitals may have trained on.

    Raises:
        DataError: Folders that lie beside each other are such parts, and no classes of the model; or one among
            hospitals is.
    """
    for level in (0, 1):
        beside = {one.folders[level] for one in found if len(one.folders) > level} - set(class_names)
        if parts := parts_among(beside):
            raise DataError(
                f"It holds parts of one data set ({', '.join(parts)}), and a model is not to be measured on what it "
                "was trained on. Give the path of the part that no hospital trained on, such as the one for tests."
            )
        if part := part_beside(beside):
            what, own = ("hospitals", "a hospital's") if several and level == 0 else ("classes", "a class's")
            raise DataError(
                f"It holds {what} and a part of a data set ({part}), and a model is not to be measured on what it was "
                f"trained on. Give the path of what no hospital trained on, or rename the folder if it is {own}."
            )


def _refuse_part_columns(table: Table, settings: DatasetSettings) -> None:
    """Refuses rows of several parts of a data set, where the settings take neither one of them nor say that all are.

    Raises:
        DataError: With the column and its parts.
    """
    for head, parts in parts_in(table.values, settings):
        raise DataError(
            f"Its column {head} says that it holds parts of one data set ({', '.join(parts)}), and a model is not to "
            "be measured on what it was trained on. Give a table of the part that no hospital trained on, or a TOML "
            "file with a table [dataset] that names the column as site_column and the part as site. If no hospital "
            "trained on any of it, name the column in safe_columns there."
        )


def form_of(listings: Sequence[Listing], root: Path) -> PictureForm:
    """The form of pictures that are taken as they are, or as the TOML file `root` says.

    Raises:
        DataError: They have not one size, and no file says one.
        PlanError: The file asks for 16 bits of pictures in colour.
    """
    settings = settings_in(root) if root.suffix.lower() == ".toml" else DatasetSettings()
    sizes = {listing.own_size for listing in listings}
    size = sizes.pop()
    if (size is None or sizes) and not all(settings.size):
        raise DataError("All pictures of a hold-out must have one size, these have several.")
    return settings.form(size or settings.size, max(listing.own_channels or 1 for listing in listings))


def read_pictures(
    listed: Sequence[ListedPicture], form: PictureForm, without: Sequence[LeftOut] = ()
) -> tuple[NDArray[Any], list[int], list[LeftOut]]:
    """The pictures that can be read: uint8, or uint16 where the form keeps 16 bits, (N, H, W, C).

    Args:
        listed: All of them.
        form: By which they are read.
        without: What their listing left out already.

    Returns:
        The pictures, their places in `listed`, and what is left out, with what the listing left out.

    Raises:
        DataError: More are left out than a hospital may leave out by default, with the names of the first.
    """
    kind = np.uint16 if form.store_bits == 16 else np.uint8
    images: NDArray[Any] = np.empty((len(listed), *form.size, form.channels), dtype=kind)
    read: list[int] = []
    left_out = [one for one in without if one.lost]
    for place, one in enumerate(listed):
        try:
            images[len(read)] = one.picture.pixels(form)
            read.append(place)
        except PictureRefused as refused:
            left_out.append(LeftOut(one.picture.place, refused.reason))
    refuse_many_left_out(left_out, len(read) + len(left_out))
    return images[: len(read)], read, left_out


def refuse_many_left_out(left_out: Sequence[LeftOut], total: int) -> None:
    """Refuses a hold-out of which more is left out than a hospital may leave out by default.

    Raises:
        DataError: With the names of the first.
    """
    if len(left_out) > DatasetSettings().most_left_out * total:
        first = " ".join(map(told, left_out[:_NAMED]))
        raise DataError(f"{len(left_out)} of {total} pictures of the hold-out cannot be taken. {first}")


def told(left_out: LeftOut) -> str:
    """A picture that is left out, by its name and the reason."""
    return f"{left_out.place} cannot be taken: {left_out.reason.means} {left_out.reason.advice}"


def _pictures(root: Path) -> tuple[list[Found], list[tuple[Found, Reason]]]:
    """(the pictures in a folder, the other files with why they are none)."""
    pictures, others = list[Found](), list[tuple[Found, Reason]]()
    for found in Walk(root).files():
        content = content_of(root / found.inside)
        if isinstance(content, Reason):
            others.append((found, content))
        else:
            pictures.append(found)
    return pictures, others


def _refuse_lost(others: Sequence[tuple[Found, Reason]], own: Collection[str], place: int) -> None:
    """Refuses a class of which no file is a picture: without it a model would be measured on fewer classes."""
    without = WithoutPicture(place)
    for one, reason in others:
        without.add(one.inside, reason)
    without.refuse(set(map(one_form, own)))


def _described(root: Path) -> DatasetSettings | None:
    """How a hold-out that is no folder of plain pictures is listed; None of such a folder."""
    if is_named(str(root)):
        return DatasetSettings(data_path=str(root), split="test")
    if root.suffix.lower() == ".toml":
        return settings_in(root)
    settings = DatasetSettings(data_path=str(root))
    kind = kind_of_source(settings)
    return None if kind == "folder" else replace(settings, kind=kind)


def _of_a_hold_out(settings: DatasetSettings, class_names: Sequence[str], form: PictureForm | None) -> DatasetSettings:
    """The settings for the hospitals' form and classes. A public hold-out names nobody who is not public."""
    if form is not None:
        settings = replace(settings, **{name: getattr(form, name) for name in (*FORM, "size", "channels")})
    if not settings.class_names and len(settings.label_columns) == 1:
        settings = replace(settings, class_names=tuple(class_names))
    kind = kind_of_source(settings)
    table = settings.data_path if kind == "table" and not settings.table else settings.table
    columns: Sequence[str] = ()
    if table:
        wanted = wanted_columns(settings)
        read = read_table(Path(table), wanted, settings.table_encoding, settings.table_sheet)
        _refuse_part_columns(read, settings)
        columns = read.heads
    with_reports = settings.report_column if table else (Path(settings.data_path) / REPORTS_FILE).is_file()
    return replace(
        settings,
        safe_kinds=IDENTITIES,
        safe_columns=tuple(columns),
        text_length=settings.text_length or int(bool(with_reports)),
    )
