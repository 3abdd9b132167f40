"""Names that a public hold-out's own files give its classes: they stand in results and reports, which are passed on."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from datasites.sources.alike import two_alike
from datasites.sources.class_names import refuse_alike_classes
from datasites.sources.folders.levels import one_form
from datasites.sources.folders.splits import part_beside, parts_among
from datasites.sources.folders.walk import Found
from datasites.sources.identity import NamesSeen
from datasites.sources.sites import look_at_hospitals, refuse_patients
from policies.errors import DataError

_IF_NONE = (
    "If they are none, give a TOML file with a table [dataset] that names this as data_path and lists the classes in "
    "class_names."
)
_IF_PATIENTS = (
    "If these are classes and patients, give a TOML file with a table [dataset] that names this folder as data_path, "
    'with folder_levels = ["class", "patient"] or ["patient", "class"].'
)
_IF_HOSPITALS = "If they are hospitals, give a table with columns path, label and site."


def refuse_own_names(names: Collection[str], safe_kinds: Collection[str] = ()) -> None:
    """Refuses class names that nobody declared, as a hospital's ingest does.

    Args:
        names: Those that the files give.
        safe_kinds: What they may look like although it is none.

    Raises:
        IdentitySuspected: One looks like a person's.
        DataError: Two are one, written in two ways.
    """
    seen = NamesSeen(safe_kinds)
    seen.look_at_classes(set(names), "class names")
    seen.refuse(_IF_NONE)
    refuse_alike_classes(set(map(one_form, names)))


def refuse_patients_as_classes(found: Iterable[Found]) -> None:
    """Refuses folders of classes and patients that would be read as hospitals and classes.

    Args:
        found: Pictures, each in two folders.

    Raises:
        IdentitySuspected: Folders look like persons.
        DataError: No two of the outer folders have an inner one of the same name.
    """
    inner: dict[str, set[str]] = {}
    for one in found:
        inner.setdefault(one.folders[0], set()).add(one.folders[1])
    refuse_patients(inner, _IF_PATIENTS, _IF_HOSPITALS)


def refuse_hospitals_of_a_column(values: Collection[str], column: str) -> None:
    """Refuses a column's values as hospitals that are persons', parts of a data set, or one name in two spellings.

    Raises:
        IdentitySuspected: They look like persons': the folder notes which hospital is which, and it is passed on.
        DataError: They are parts, or two are one but for how they are written.
    """
    seen = NamesSeen()
    look_at_hospitals(seen, f"values of column {column!r}, which would be hospitals,", values, column)
    seen.refuse("Name another column, or one that holds numbers in their place.")
    if parts := list(parts_among(values)) or list(filter(None, [part_beside(values)])):
        raise DataError(
            f"The column {column!r} names parts of one data set ({', '.join(parts)}), and what models are to be "
            "measured on is not to be trained on. Give the part to train on as --data and another as --test, or name "
            "another column."
        )
    if alike := two_alike(values):
        raise DataError(
            f"Two values of the column {column!r} differ only in capitals, spaces, letters that look alike or the form "
            f"of a number: {alike[0]!r} and {alike[1]!r}. They would be two hospitals. Write them alike."
        )
