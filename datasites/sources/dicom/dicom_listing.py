"""Labels of a hospital's DICOM pictures: from an attribute, from the folders that they lie in, or from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from datasites.picture_files.picture_refused import Reason
from datasites.sources.dicom.found_file import CODED_LABELS, IDENTIFIERS, WRITTEN_LABELS
from datasites.sources.dicom.frames import DicomFrames, DicomPicture
from datasites.sources.listing import LeftOut, ListedPicture, Listing
from policies.errors import DataError

NO_LABEL = Reason(
    "no_label",
    "Nothing says which class or findings the picture has.",
    "Add it to the table, put it in a class folder, or choose an attribute that the files have.",
)


@dataclass(frozen=True, repr=False)
class Said:
    """What is said of a picture: its labels as numbers, and its patient and report where the same source says them."""

    labels: tuple[int, ...]
    patient: str | None = None
    report: str | None = None


Labeller = Callable[[DicomPicture], Said | None]
"""What is said of a picture; None where nothing is."""


def listed(
    found: DicomFrames,
    labeller: Labeller,
    class_names: Sequence[str],
    *,
    label_kind: str = "single",
    patients: bool = False,
) -> Listing:
    """A listing of all pictures that something is said of.

    Args:
        found: The pictures.
        labeller: What is said of each.
        class_names: Public names in label order.
        label_kind: `single` or `multi`.
        patients: Whether each must have a patient.
    """
    pictures: list[ListedPicture] = []
    left_out = list(found.left_out)
    for one in found.pictures:
        said = labeller(one)
        if said is None:
            left_out.append(LeftOut(one.picture.place, NO_LABEL))
            continue
        patient = said.patient or one.patient
        if isinstance(patient, Reason) and patients:
            left_out.append(LeftOut(one.picture.place, patient))
            continue
        known = None if isinstance(patient, Reason) else patient
        pictures.append(ListedPicture(one.picture, said.labels, known, said.report))
    sizes, channels = {one.size for one in found.pictures}, {one.channels for one in found.pictures}
    return Listing(
        root=found.root,
        pictures=pictures,
        class_names=tuple(class_names),
        label_kind=label_kind,
        left_out=left_out,
        own_size=sizes.pop() if len(sizes) == 1 else None,
        own_channels=channels.pop() if len(channels) == 1 else None,
    )


def check_label_attribute(attribute: str, class_names: Sequence[str]) -> None:
    """Refuses an attribute that may name somebody, or that anything may stand in where no classes are declared.

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


def by_name(
    found: DicomFrames, name_of: Callable[[DicomPicture], str], class_names: Sequence[str]
) -> tuple[Labeller, tuple[str, ...]]:
    """Labels by a name that each picture has: an attribute's value, or a folder. Without one there is no label.

    Args:
        found: The pictures.
        name_of: A picture's name; empty where it has none.
        class_names: Names in label order; all that are found, sorted, where empty.

    Returns:
        What labels the pictures, and the class names.
    """
    names = tuple(class_names) or tuple(sorted({name_of(one) for one in found.pictures} - {""}))
    numbers = {name: number for number, name in enumerate(names)}

    def labeller(one: DicomPicture) -> Said | None:
        number = numbers.get(name_of(one))
        return None if number is None else Said((number,))

    return labeller, names


def by_table(rows: Mapping[str, Said], identifier: str) -> Labeller:
    """Labels by a table that names pictures by an identifier, or by their place where that is `path`.

    Raises:
        DataError: `identifier` is none that files have.
    """
    if identifier != "path" and identifier not in IDENTIFIERS:
        raise DataError(f"A table names DICOM pictures by path or one of {', '.join(IDENTIFIERS)}, not '{identifier}'.")

    def labeller(one: DicomPicture) -> Said | None:
        key = one.file_place if identifier == "path" else one.identifiers.get(identifier, "")
        return rows.get(key) if key else None

    return labeller
