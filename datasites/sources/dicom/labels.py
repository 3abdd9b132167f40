"""Labels of DICOM pictures by a name that each has: an attribute's value, or the folder of its class. All private."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from datasites.picture_files.picture_refused import Reason
from datasites.sources.class_names import check_class_names, in_label_order, refuse_alike_classes
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.dicom.found_file import CODED_LABELS, WRITTEN_LABELS
from datasites.sources.dicom.frames import DicomFrames, DicomPicture, NotTaken
from datasites.sources.folders.levels import one_form, owner_of
from datasites.sources.folders.splits import refuse_part_classes
from datasites.sources.folders.unnamed import refuse_unnamed
from datasites.sources.folders.walk import Found
from datasites.sources.identity import NamesSeen
from datasites.sources.listing import LeftOut
from policies.errors import ConfigError, IdentitySuspected

NO_LABEL = Reason(
    "no_label",
    "The attribute that labels come from is not in the file.",
    "Choose an attribute that the files have, or name the labels in a table.",
)
OTHER_CLASS = Reason(
    "other_class", "Its class is none of class_names.", "Add the class to class_names if it is meant to be in."
)
_ADVICE = "If they are none, declare class_names, or name kinds in safe_kinds, in [dataset]."
_FEWEST = 3  # classes of one patient each, and patients of such classes: fewer may be by chance


@dataclass(frozen=True, repr=False)
class Said:
    """What is said of a picture: its labels as numbers, and its patient and report where the same source says them."""

    labels: tuple[int, ...]
    patient: str | None = None
    report: str | None = None


Labeller = Callable[[DicomPicture], Said | Reason]
"""What is said of a picture, or why nothing is."""
_NameOf = Callable[[DicomPicture], str]


def check_attribute(attribute: str, class_names: Sequence[str]) -> None:
    """Refuses an attribute that may name somebody, or in which anything may stand where no classes are declared.

    Guarantees:
        What becomes a public class name without being declared is the value of an attribute of `CODED_LABELS`.

    Raises:
        ConfigError: Otherwise.
    """
    if attribute not in (*CODED_LABELS, *WRITTEN_LABELS):
        raise ConfigError(
            f"labels_from cannot be the attribute {attribute!r}. Take one of {', '.join(CODED_LABELS)}, or with "
            f"class_names one of {', '.join(WRITTEN_LABELS)}; for others name the pictures' labels in a table."
        )
    if attribute in WRITTEN_LABELS and not class_names:
        raise ConfigError(
            f"In the attribute {attribute!r} anything may stand that somebody typed, and class names are public. "
            "Declare class_names: pictures of other values are left out."
        )


def named_labels(
    pictures: Sequence[DicomPicture], settings: DatasetSettings, lost: Collection[str] = ()
) -> tuple[Labeller, tuple[str, ...]]:
    """Labels by an attribute or by folders, and the class names, where none is declared with those of `lost`.

    Raises:
        ConfigError: Findings are asked for, which only a table has.
        DataError: Folders do not say a class, no two classes are there, or their names cannot be published.
        IdentitySuspected: The names look like persons', or each class is one patient's.
    """
    if settings.label_kind == "multi" or settings.text_length:
        raise ConfigError("DICOM pictures get several labels, and reports, from a table. Set labels_from to 'table'.")
    name_of = _in_folders(settings) if settings.labels_from == "folder" else _in_attribute
    by_picture = [name_of(one) for one in pictures]
    given = tuple(map(one_form, settings.class_names))
    if not given:
        refuse_unnamed(set(by_picture))
        refuse_part_classes(set(by_picture))
        _refuse_persons(pictures, by_picture, settings)
        refuse_alike_classes(set(by_picture))
    names = check_class_names(given or in_label_order({*by_picture, *lost} - {""}))
    return _labeller(name_of, {name: number for number, name in enumerate(names)}), names


def _labeller(name_of: _NameOf, numbers: Mapping[str, int]) -> Labeller:
    def labeller(one: DicomPicture) -> Said | Reason:
        name = name_of(one)
        if not name:
            return NO_LABEL
        return Said((numbers[name],)) if name in numbers else OTHER_CLASS

    return labeller


def _in_attribute(one: DicomPicture | NotTaken) -> str:
    return one_form(one.label)


def by_attribute(found: DicomFrames, settings: DatasetSettings) -> tuple[Labeller, tuple[str, ...], list[LeftOut]]:
    """Labels by an attribute, the class names, and what is left out, with the class that its header says.

    Guarantees:
        A class whose files are all left out, and whose headers can be read, is among the names. Where no class is
        declared, files that were hardly meant to be in, such as reports, make none.

    Raises:
        ConfigError, DataError, IdentitySuspected: As `named_labels`.
    """
    lost = {_in_attribute(one) for one in found.not_taken if one.left_out.lost}
    labeller, names = named_labels(found.pictures, settings, lost)
    left_out = [
        replace(one.left_out, labels=(names.index(name),)) if (name := _in_attribute(one)) in names else one.left_out
        for one in found.not_taken
    ]
    return labeller, names, left_out


def _in_folders(settings: DatasetSettings) -> _NameOf:
    levels = settings.folder_levels or ("class",)
    if "site" in levels:
        raise ConfigError("DICOM files are listed hospital by hospital. Name the hospital's folder as site instead.")

    def name_of(one: DicomPicture) -> str:
        inside = one.picture.inside
        return owner_of(Found(inside, tuple(inside.split("/")[:-1])), levels).label or ""

    return name_of


def _refuse_persons(pictures: Sequence[DicomPicture], names: Sequence[str], settings: DatasetSettings) -> None:
    """Refuses class names that nobody declared and that look like patients, by their letters or by whom they hold."""
    seen = NamesSeen(settings.safe_kinds)
    seen.look_at_classes(set(names), "class names")
    seen.refuse(_ADVICE)
    pairs = {(name, one.patient) for name, one in zip(names, pictures, strict=True) if isinstance(one.patient, str)}
    classes, patients = {name for name, _ in pairs}, {patient for _, patient in pairs}
    if len(patients) >= _FEWEST and len(pairs) == len(classes):
        raise IdentitySuspected(
            "Each class would hold the pictures of one patient: its name would be the patient's, or an examination's. "
            f"{_ADVICE}",
            private=f"Such classes are {', '.join(sorted(classes)[:3])}.",
        )
