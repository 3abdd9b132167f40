"""An inspection: what a source holds, as its hospital is told it. Of it, class names would be published, no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from datasites.files.toml_file import toml_value
from datasites.sources.contents import Measured
from datasites.sources.dataset_settings import IDENTITIES, DatasetSettings
from datasites.sources.inspection.foreseen import foreseen, too_many_left_out
from datasites.sources.inspection.guessed_levels import Notes
from datasites.sources.inspection.guessed_settings import guess_form, guess_settings
from datasites.sources.listing import LeftOut, Listing
from datasites.sources.public_names import counts_by_class
from datasites.sources.read_listing import list_pictures
from datasites.sources.tables.read_table import read_table
from policies.errors import DataError, IdentitySuspected, WanwuError

_EXAMPLES = 3
_NOT_YET = "# NOT YET ENOUGH: with these settings alone the pictures are refused. See what inspect says of them."


@dataclass(frozen=True)
class Group:
    """Things that are left out for one reason.

    Attributes:
        count: How many.
        code, means, advice: Of the reason.
        lost: Whether pictures may be lost by it.
        examples: Some of them.
    """

    count: int
    code: str
    means: str
    advice: str
    lost: bool
    examples: list[str]


@dataclass(frozen=True)
class Inspection:
    """What a source holds.

    Attributes:
        path: The source.
        kinds: Files by format.
        modalities: DICOM files by modality.
        sizes: Pictures by height and width, as `HxW`.
        channels: 1 or 3; None where nothing was read.
        classes: Pictures by class or, of several findings, by finding that is there.
        pictures: How many pictures would be taken.
        patients: How many patients they are of; None where nobody says.
        left_out: What would not be taken.
        identity: What looks like persons' names, dates or numbers.
        label_attributes: Of DICOM files without classes: attributes that could be labels, with files by value.
        problem: Why nothing would be taken; empty where it would.
        problem_details: What that is about, line by line, such as names of files; for the hospital alone.
        settings: The table [dataset] that would take it, or says in its first line that it would not yet.
        notes: What to know of these settings.
    """

    path: str
    kinds: dict[str, int] = field(default_factory=dict)
    modalities: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    channels: int | None = None
    classes: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    patients: int | None = None
    left_out: list[Group] = field(default_factory=list)
    identity: list[str] = field(default_factory=list)
    label_attributes: dict[str, dict[str, int]] = field(default_factory=dict)
    problem: str = ""
    problem_details: list[str] = field(default_factory=list)
    settings: str = ""
    notes: Notes = field(default_factory=list)


def inspect_source(settings: DatasetSettings, watch: Callable[[int], None] = lambda done: None) -> Inspection:
    """Looks at a source and reads headers, nothing else.

    Args:
        settings: What is known of it: at least `data_path`.
        watch: Told how many files were looked at.

    Raises:
        ConfigError: There is nothing, or nothing that pictures are read from.
    """
    try:
        settings, notes = guess_settings(settings)
    except DataError as error:
        return Inspection(settings.data_path, problem=error.public, problem_details=_details(error))
    listing, refused, measured = _listed(settings, watch)
    settings, more = guess_form(settings, measured)
    notes += more
    nobody_named = settings.kind == "dicom" and listing is not None and not listing.pictures
    if nobody_named or (more and settings.frames != "one"):
        settings = replace(settings, unit="picture") if nobody_named else settings
        listing, refused, _ = _listed(settings, watch)
    if listing is None:
        return _refused(settings, refused, measured, notes)
    stop = _stop(settings)
    identity = _details(stop) if isinstance(stop, IdentitySuspected) else []
    if not identity and not settings.class_names:
        settings = replace(settings, class_names=listing.class_names)
    problem = stop.public if stop else too_many_left_out(listing, settings)
    sizes = measured.sizes or Counter({listing.own_size: len(listing.pictures)} if listing.own_size else {})
    return Inspection(
        settings.data_path,
        kinds=dict(measured.kinds.most_common()) or {"npz": len(listing.pictures)},
        modalities=dict((+measured.modalities).most_common()),
        sizes=_by_size(sizes),
        channels=listing.own_channels or measured.channels,
        classes=counts_by_class(listing),
        pictures=len(listing.pictures),
        patients=_patients(listing),
        left_out=_groups(listing.left_out),
        identity=identity,
        problem=problem,
        problem_details=_details(stop) if stop and not identity else [],
        settings=as_toml(settings, problem),
        notes=[*notes, *foreseen(listing, settings)],
    )


def _refused(settings: DatasetSettings, refused: WanwuError | None, measured: Measured, notes: Notes) -> Inspection:
    """What was seen of a source whose pictures cannot be listed."""
    attributes = {}
    problem = refused.public if refused else ""
    if settings.kind == "dicom" and settings.labels_from == "folder" and measured.sizes:
        from datasites.sources.dicom.label_attributes import label_attributes  # late, as in `read_listing`

        attributes = label_attributes(settings)
        notes = [
            *notes,
            "Labels can come from class folders, from an attribute (labels_from; what somebody types, such as "
            "StudyDescription, with class_names), or from a table (labels_from = 'table', table, table_match, "
            "path_column).",
        ]
    return Inspection(
        settings.data_path,
        kinds=dict(measured.kinds.most_common()),
        modalities=dict((+measured.modalities).most_common()),
        sizes=_by_size(measured.sizes),
        channels=measured.channels,
        left_out=_groups(measured.left_out),
        label_attributes=attributes,
        problem=problem,
        problem_details=_details(refused) if refused else [],
        settings=as_toml(settings, problem),
        notes=notes,
    )


def _by_size(sizes: Counter[tuple[int, int]]) -> dict[str, int]:
    return {f"{height}x{width}": count for (height, width), count in sizes.most_common()}


def as_toml(settings: DatasetSettings, problem: str = "") -> str:
    """The table [dataset] with what is not as it is by default, and a word in it where that is not enough yet."""
    told = [
        f"{one.name} = {toml_value(getattr(settings, one.name))}"
        for one in fields(settings)
        if getattr(settings, one.name) != one.default
    ]
    return "\n".join([*([_NOT_YET] if problem else []), "[dataset]", *told])


def _listed(
    settings: DatasetSettings, watch: Callable[[int], None]
) -> tuple[Listing | None, WanwuError | None, Measured]:
    """(the listing if all names were none of a person, why it would be refused, what headers say)."""
    measured = Measured()
    try:
        return list_pictures(_trusting(settings), watch, measured), None, measured
    except WanwuError as error:
        return None, error, measured


def _stop(settings: DatasetSettings) -> DataError | None:
    """Why the source is refused by one who trusts no name of it; None where it is not."""
    try:
        list_pictures(replace(settings, size=(1, 1), channels=1))  # with a size of its own no header is read
    except DataError as error:
        return error
    return None


def _trusting(settings: DatasetSettings) -> DatasetSettings:
    """The settings of one who takes every name for none of a person."""
    columns: tuple[str, ...] = ()
    has_table = settings.path_column and (settings.table or settings.kind != "dicom")  # a DICOMDIR is a file, too
    if has_table and (file := Path(settings.table or settings.data_path)).is_file():
        columns = read_table(file, (), settings.table_encoding).heads if file.suffix.lower() != ".npz" else ()
    return replace(settings, safe_kinds=IDENTITIES, safe_columns=columns)


def _details(error: WanwuError) -> list[str]:
    return error.private.split("\n") if error.private else []


def _patients(listing: Listing) -> int | None:
    found = {one.patient for one in listing.pictures if one.patient is not None}
    return len(found) or None


def _groups(left_out: Sequence[LeftOut]) -> list[Group]:
    counts = Counter((one.reason, one.lost) for one in left_out)
    return [
        Group(
            count,
            reason.code,
            reason.means,
            reason.advice,
            lost,
            [one.place for one in left_out if (one.reason, one.lost) == (reason, lost)][:_EXAMPLES],
        )
        for (reason, lost), count in counts.most_common()
    ]
