"""Labels of DICOM pictures: from an attribute, from the folders that they lie in, or from a table. All are private."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from datasites.picture_files.picture_refused import Reason
from datasites.sources.dicom.found_file import CODED_LABELS, IDENTIFIERS, WRITTEN_LABELS
from datasites.sources.dicom.frames import DicomPicture
from datasites.sources.reasons import NOT_IN_TABLE
from policies.errors import DataError

NO_LABEL = Reason(
    "no_label",
    "Nothing says which class the picture has.",
    "Put it in a class folder, choose an attribute that the files have, or name the labels in a table.",
)
OTHER_CLASS = Reason(
    "other_class", "Its class is none of class_names.", "Add the class to class_names if it is meant to be in."
)


@dataclass(frozen=True, repr=False)
class Said:
    """What is said of a picture: its labels as numbers, and its patient and report where the same source says them."""

    labels: tuple[int, ...]
    patient: str | None = None
    report: str | None = None


NameOf = Callable[[DicomPicture], str]
Labeller = Callable[[DicomPicture], Said | Reason]
"""What is said of a picture, or why nothing is."""


def check_attribute(attribute: str, class_names: Sequence[str]) -> None:
    """Refuses an attribute that may name somebody, or in which anything may stand where no classes are declared.

    Guarantees:
        What becomes a public class name without being declared is the value of an attribute of `CODED_LABELS`.

    Raises:
        DataError: Otherwise.
    """
    if attribute not in (*CODED_LABELS, *WRITTEN_LABELS):
        raise DataError(
            f"Labels cannot come from the attribute '{attribute}'. Take one of {', '.join(CODED_LABELS)}, or with "
            f"class_names one of {', '.join(WRITTEN_LABELS)}; for others name the pictures' labels in a table."
        )
    if attribute in WRITTEN_LABELS and not class_names:
        raise DataError(
            f"In the attribute '{attribute}' anything may stand that somebody typed, and class names are public. "
            "Declare class_names: pictures of other values are left out."
        )


def attribute_of(one: DicomPicture) -> str:
    """What the picture's attribute says."""
    return one.label


def folder_of(level: int) -> NameOf:
    """The name of the folder that a picture lies in at a level, 0 being the outermost; empty where there is none."""

    def name(one: DicomPicture) -> str:
        folders = one.picture.inside.split("/")[:-1]
        return folders[level] if level < len(folders) else ""

    return name


def by_name(pictures: Iterable[DicomPicture], name_of: NameOf, class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names in label order: those declared, or all that are found, sorted.

    Raises:
        DataError: No picture has a name.
    """
    names = tuple(class_names) or tuple(sorted({name_of(one) for one in pictures} - {""}))
    if not names:
        raise DataError(
            "No DICOM picture that can be taken says its class. Choose other labels_from; the report lists what was "
            "left out and why."
        )
    return names


def name_labeller(name_of: NameOf, class_names: Sequence[str]) -> Labeller:
    """Labels by a name that each picture has."""
    numbers = {name: number for number, name in enumerate(class_names)}

    def labeller(one: DicomPicture) -> Said | Reason:
        name = name_of(one)
        if not name:
            return NO_LABEL
        return Said((numbers[name],)) if name in numbers else OTHER_CLASS

    return labeller


def table_labeller(rows: Mapping[str, Said], match: str) -> Labeller:
    """Labels by a table whose rows name pictures by an identifier, or by their path where `match` is `path`.

    Raises:
        DataError: `match` is nothing that files have.
    """
    if match != "path" and match not in IDENTIFIERS:
        raise DataError(f"A table names DICOM pictures by path or one of {', '.join(IDENTIFIERS)}, not '{match}'.")

    def labeller(one: DicomPicture) -> Said | Reason:
        key = one.picture.inside if match == "path" else one.identifiers.get(match, "")
        return rows.get(key, NOT_IN_TABLE) if key else NOT_IN_TABLE

    return labeller
