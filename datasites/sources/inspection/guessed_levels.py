"""Guesses what levels of folders stand for, for a person to read and correct: none where a level may be persons."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from datasites.picture_files.picture_refused import Reason
from datasites.sources.contents import content_of
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.splits import is_part, parts_among, to_train_on
from datasites.sources.folders.walk import Walk
from datasites.sources.identity import looks_like

Notes = list[str]
_Leaf = tuple[str, ...]
_MOST_FOLDERS, _MOST_FILES, _MOST_LEVELS = 5000, 16, 6  # that are looked at
_MOST_CLASSES = 20  # folders beside one another that are rather classes than patients
_MOST_HOSPITALS = 10
_MOST_SHARED = 10  # of the same names in several folders: more are rather patients of several classes


def guess_levels(settings: DatasetSettings) -> tuple[DatasetSettings, Notes]:
    """(the settings with the folder and the levels in it that hold classes, what a person should know of the guess).

    Raises:
        DataError: A folder cannot be listed.
    """
    if settings.site or settings.folder_levels:
        return settings, []
    root, notes = Path(settings.data_path), Notes()
    leaves = list(islice(_leaves(Walk(root), ()), _MOST_FOLDERS))
    while (own := _inner(leaves, notes)) is not None:
        root /= own
        leaves = [leaf[1:] for leaf in leaves if leaf[0] == own]
    settings = replace(settings, data_path=str(root))
    if max(map(len, leaves), default=0) < 2:
        return settings, notes
    if _are_hospitals(leaves):
        tops = sorted({leaf[0] for leaf in leaves if leaf})
        settings = replace(settings, site=tops[0])
        leaves = [leaf[1:] for leaf in leaves if leaf[:1] == (tops[0],)]
        notes.append(
            f"The folders look like {len(tops)} hospitals' with the same classes; this is of {tops[0]} alone. If the "
            'outer ones are classes and the inner ones patients: folder_levels = ["class", "patient"], without site.'
        )
        if max(map(len, leaves), default=0) < 2:
            return settings, notes
    levels, note = _levels(leaves)
    unit = "patient" if levels else settings.unit
    return replace(settings, folder_levels=levels, unit=unit), [*notes, note]


def _leaves(walk: Walk, folders: _Leaf) -> Iterator[_Leaf]:
    """The folders in which a picture lies, by a look at a few files of each."""
    here = walk.root.joinpath(*folders)
    files = (entry for entry in sorted(here.iterdir()) if entry.is_file() and not entry.name.startswith("."))
    if any(not isinstance(content_of(file), Reason) for file in islice(files, _MOST_FILES)):
        yield folders
    if len(folders) < _MOST_LEVELS:
        for name in walk.subfolders("/".join(folders)):
            yield from _leaves(walk, (*folders, name))


def _inner(leaves: Sequence[_Leaf], notes: Notes) -> str | None:
    """The folder to look into instead: the only one, one of several parts, or a hospital's that has parts."""
    if not leaves or any(len(leaf) < 2 for leaf in leaves):
        return None
    tops = sorted({leaf[0] for leaf in leaves})
    if _parts(tops):
        own = to_train_on(tops)
        notes.append(
            f"{', '.join(tops)} look like parts of one data set: this is of {own} alone. Measure models on the others."
        )
        return own
    if len(tops) == 1:
        notes.append(f"Everything lies in the folder {tops[0]}: it is given as data_path.")
        return tops[0]
    if all(len(leaf) > 2 and is_part(leaf[1]) for leaf in leaves):
        notes.append(f"The folders look like {len(tops)} hospitals' with parts in each; this is of {tops[0]} alone.")
        return tops[0]
    return None


def _are_hospitals(leaves: Sequence[_Leaf]) -> bool:
    """Whether few outer folders hold inner ones of the same few names, none of which is a person's."""
    inner = _inner_names(leaves)
    names = set().union(*inner.values())
    shared = 1 < len(inner) <= _MOST_HOSPITALS and len(names) <= _MOST_SHARED
    return shared and bool(set.intersection(*inner.values())) and not any(map(looks_like, names)) and not _parts(names)


def _levels(leaves: Sequence[_Leaf]) -> tuple[tuple[str, ...], str]:
    """(which of the two outermost levels is the class, what to say of that); no level where it cannot be told."""
    inner = _inner_names(leaves)
    outside, inside = set(inner), set().union(*inner.values())
    if _parts(inside):
        return (), (
            f"Each class folder holds parts of a data set ({', '.join(sorted(inside))}). Move them outside, as "
            "PART/CLASS/picture, and give the path of one: with both in it, test pictures would be trained on."
        )
    if 1 < len(inside) < len(outside) and len(inside) <= _MOST_CLASSES and not any(map(looks_like, inside)):
        return ("patient", "class"), "The outer folders are taken for patients, the folders in them for classes."
    if len(outside) <= _MOST_CLASSES and not any(map(looks_like, outside)):
        return ("class", "patient"), (
            "The folders in the class folders are taken for patients. If they are none, take 'other' in place of "
            "'patient'."
        )
    return (), (
        "Which folders are classes cannot be told, and those of patients are not to be published as such. Set "
        "folder_levels, from the outermost, to 'class', 'patient' and 'other'; or name a table of labels (--table)."
    )


def _parts(names: Collection[str]) -> bool:
    """Whether all of these are parts of a data set."""
    return len(parts_among(names)) == len(names) or all(map(is_part, names))


def _inner_names(leaves: Sequence[_Leaf]) -> dict[str, set[str]]:
    """The names of the folders in each outermost folder that has some."""
    found: dict[str, set[str]] = {}
    for leaf in leaves:
        if len(leaf) > 1:
            found.setdefault(leaf[0], set()).add(leaf[1])
    return found
