"""Hospitals of one source, for a trial of several on one machine, and what their datasites are called there."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from datasites.sources.contents import Measured, PictureFiles
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.folders.levels import one_form
from datasites.sources.folders.masks import refuse_masks_as_hospitals
from datasites.sources.folders.splits import refuse_part_hospitals
from datasites.sources.folders.unnamed import refuse_unnamed_hospitals
from datasites.sources.folders.walk import Walk
from datasites.sources.identity import NamesSeen, column_looks_like, is_a_numbered_patient, looks_like
from policies.errors import ConfigError, DataError

# Words of hospitals' own names, so that one called after a person is not taken for that person.
_HOSPITAL = re.compile(
    r"^(?:st|sankt|saint|sainte|ste|san|santa|santo|sta|são|sao)\b|klini|clinic|clínic|hospi|hôpital|spital|ospedal|"
    r"ziekenhuis|sjukhus|sykehus|krankenhaus|medical|medizin|institut|universit|centre|center|zentrum|"
    r"医院|醫院|病院|병원|больниц",
    re.IGNORECASE,
)
_IF_PATIENTS = (
    "If these are one hospital's, describe it in a hospitals.toml, with folder_levels = "
    '["class", "patient"] or ["patient", "class"] in [NAME.dataset].'
)
_IF_PATIENTS_OF_AN_ARCHIVE = (
    "If they are patients of one hospital, call the array groups instead of sites. If they are hospitals, describe "
    "each in hospitals.toml."
)
_IF_HOSPITALS = "If they are hospitals, describe each in hospitals.toml."
_OTHER_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "æ": "ae", "å": "a", "ł": "l"})


def list_sites(path: Path | str) -> list[str]:
    """Names of the hospitals in a source, sorted; empty if it is one hospital's own.

    Args:
        path: FOLDER of FOLDER/<hospital>/<class>/<picture>, or an .npz file with `sites`. A folder whose subfolders
            hold no folders is one hospital's own FOLDER/<class>/<picture>.

    Raises:
        ConfigError: Neither a folder nor an .npz file.
        DataError: It cannot be read, or its folders are rather parts of a data set, or classes with patients.
        IdentitySuspected: The hospitals' names look like patients' names or numbers.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".npz":
        from datasites.sources.arrays.npz_pictures import npz_sites

        found = npz_sites(path)
        refuse_part_hospitals(found)
        refuse_unnamed_hospitals(found)
        seen = NamesSeen()
        look_at_hospitals(seen, "values of sites", found)
        seen.refuse(_IF_PATIENTS_OF_AN_ARCHIVE)
        return found
    if not path.is_dir():
        raise ConfigError(
            f"{path} is neither a folder nor an .npz file. Give one of these, or describe each hospital in a "
            "hospitals.toml."
        )
    walk = Walk(path)
    inner = {name: _with_files(walk, name) for name in walk.subfolders()}
    sites = {name: folders for name, folders in inner.items() if folders}
    if not sites:
        return []
    if repeated := [name for name, times in Counter(map(one_form, sites)).items() if times > 1]:
        raise DataError(
            f"Two folders are called {repeated[0]}: one writes its letters with marks as one character each, the other "
            "as two. Each would be a hospital of that name. Rename one, or move its pictures into the other."
        )
    refuse_part_hospitals(sites)
    refuse_masks_as_hospitals(sites)
    refuse_unnamed_hospitals(sites)
    refuse_patients(sites, _IF_PATIENTS, _IF_HOSPITALS)
    return sorted(sites)


def datasite_names(hospitals: Sequence[str]) -> list[str]:
    """A datasite's name for each hospital, as a folder or a file calls it: different ones, and always the same.

    Letters with marks are written without them. A name of which letters are lost, and one that another hospital has
    without a change, end in four digits of their own.
    """
    plain = [_plain(name) for name in hospitals]
    times = Counter(plain)
    return [
        _numbered(word, name) if times[word] > 1 and word != name else word
        for word, name in zip(plain, hospitals, strict=True)
    ]


def common_form(path: Path) -> Measured:
    """Sizes and channels of the pictures of all hospitals in a folder, by the files' headers."""
    files = PictureFiles(path, DatasetSettings(frames="all"))
    for found in Walk(path).files():
        files.pictures(found.inside)
    return files.measured


def _with_files(walk: Walk, name: str) -> list[str]:
    """The folders in a folder that hold a file, however deep."""
    return [one for one in walk.subfolders(name) if any(True for _ in walk.files(f"{name}/{one}"))]


def refuse_patients(sites: Mapping[str, Collection[str]], if_patients: str, if_hospitals: str) -> None:
    """Refuses classes with a folder for each patient and patients with one for each class, which look like hospitals.

    Args:
        sites: The inner folders of each outer one.
        if_patients: What to do where they are classes and patients.
        if_hospitals: What to do where they are hospitals and classes all the same.

    Raises:
        IdentitySuspected: The inner folders' names look like persons', or at least half of the outer ones' do, not
            counting those with a hospital's word such as `St.` or `Klinik`.
        DataError: No two of the outer folders have an inner one of the same name.
    """
    seen = NamesSeen()
    look_at_hospitals(seen, "folders that would be hospitals", sites)
    inner = {one for folders in sites.values() for one in folders}
    seen.look_at_classes(inner, "folders that would be classes")
    seen.refuse(if_patients)
    refuse_no_common_class(sites, if_patients, if_hospitals)


def look_at_hospitals(seen: NamesSeen, where: str, names: Collection[str], head: str = "") -> None:
    """Notes names of hospitals of which at least half look like a person's, not counting those with a hospital's word.

    If each is a word for a patient and a number, they are patients' too.

    Args:
        seen: What has been noted.
        where: What they are the names of, in the plural.
        names: Of the hospitals.
        head: Of the column in which they stand; one of persons is noted with all its names.
    """
    persons = [name for name in names if not _HOSPITAL.search(name)]
    said_by_head = column_looks_like(head, ())
    for kind in column_looks_like(head, [name if name in persons else "hospital" for name in names]):
        for name in persons:
            if kind in said_by_head or kind in looks_like(name):
                seen.suspect(where, kind, name)
    if len(names) > 1 and all(map(is_a_numbered_patient, names)):
        seen.suspect(where, "record_number", min(names))


def refuse_no_common_class(sites: Mapping[str, Collection[str]], if_patients: str, if_hospitals: str) -> None:
    """Refuses folders in folders of which no two outer ones have an inner one of the same name; see `refuse_patients`.

    Raises:
        DataError: They are such.
    """
    sets = [set(map(one_form, folders)) for folders in sites.values()]
    if len(sets) > 1 and not any(first & second for first, second in combinations(sets, 2)):
        raise DataError(
            f"The outer folders would be hospitals and the inner ones classes, but no two hospitals have a class in "
            f"common. {if_patients} {if_hospitals}",
            private="; ".join(f"{name}: {', '.join(sorted(folders)[:3])}" for name, folders in list(sites.items())[:3]),
        )


def _plain(name: str) -> str:
    lower = one_form(name).lower().translate(_OTHER_LETTERS)
    bare = "".join(one for one in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(one))
    word = re.sub(r"[^a-z0-9_.-]+", "_", bare).strip("_.-")[:56].strip("_.-")
    is_lost = any(one.isalnum() and not one.isascii() for one in bare)
    return _numbered(word or "hospital", name) if is_lost or not word else word


def _numbered(word: str, name: str) -> str:
    return f"{word}_{hashlib.sha256(one_form(name).encode(errors='surrogatepass')).hexdigest()[:4]}"
