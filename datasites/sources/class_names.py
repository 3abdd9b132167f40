"""Class names: the one thing in a listing that researchers will see, checked before anything else happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from datasites.sources.alike import two_alike
from policies.errors import DataError
from policies.validate import MAX_LABEL, Checks

MAX_CLASSES = 10_000


def check_class_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names as a tuple if they can be shown to researchers.

    Raises:
        DataError: Not 2 to `MAX_CLASSES` different names as `policies.validate.label` takes them.
    """
    names = tuple(class_names)
    if isinstance(class_names, str) or not 2 <= len(names) <= MAX_CLASSES:
        raise DataError(
            f"Pictures must have 2 to {MAX_CLASSES} classes. Name each class, or give each a folder; where other "
            "hospitals have the others, list all of them in class_names.",
            private=f"There is one class: {names[0]!r}." if len(names) == 1 else f"There are {len(names)} classes.",
        )
    for name in names:
        Checks(_no_class_name).label("Class name", name)
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise DataError(
            "Each class must have a name of its own, one came twice. Rename the class.",
            private=f"The class {repeated[0]!r} came twice.",
        )
    return names


def refuse_alike_classes(found: Collection[str]) -> None:
    """Refuses class names that nobody declared of which two are one, written in two ways.

    Raises:
        DataError: Two are. Which is private.
    """
    if alike := two_alike(found):
        raise DataError(
            "Two classes have names that differ only in capitals, spaces, letters that look alike or the form of a "
            "number. Write them alike, or list both in class_names if they are two.",
            private=f"They are {alike[0]!r} and {alike[1]!r}.",
        )


def in_label_order(found: Collection[str]) -> list[str]:
    """Names that a source holds, in the order that their labels get: numbers by value, else all by name."""
    if all(name.isascii() and name.isdigit() for name in found):
        return sorted(found, key=lambda name: (int(name), name))
    return sorted(found)


def _no_class_name(private: str) -> DataError:
    return DataError(
        f"A class name must be 1 to {MAX_LABEL} printable characters, since researchers see it. Rename the class.",
        private=private,
    )
