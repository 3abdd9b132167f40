"""Levels of folders, and what each stands for: a hospital, a class, a patient. It is declared or plain, never guessed.

A patient's folder taken for a class would publish the patient's name: where two readings are possible, nothing is read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from datasites.sources.folders.walk import Found
from policies.errors import DataError


@dataclass(frozen=True)
class Owner:
    """What the folders above a picture say of it: names as they are declared, None where no level is.

    Attributes:
        site: Whose it is.
        label: Its class.
        patient: Whose picture it is.
        others: Folders that say nothing of it.
    """

    site: str | None
    label: str | None
    patient: str | None
    others: tuple[str, ...]


def owner_of(found: Found, levels: Sequence[str]) -> Owner:
    """Reads the folders of one picture by their levels.

    Raises:
        DataError: It lies in fewer folders than there are levels, or in more than they account for.
    """
    folders = found.folders
    if len(folders) < len(levels):
        if not folders:
            raise DataError(
                "Pictures must lie in the folder of their class, one lies beside the class folders. Move or remove it.",
                private=f"File: {found.inside}",
            )
        raise DataError(
            f"Pictures must lie in folders within folders, as folder_levels says ({', '.join(levels)}); one lies "
            "higher. Move it, or set folder_levels.",
            private=f"File: {found.inside}",
        )
    if len(folders) > len(levels) and levels[-1] not in ("patient", "other"):
        raise nested(found)
    by_level = dict(zip(levels, map(one_form, folders), strict=False))
    others = [folder for level, folder in zip(levels, folders, strict=False) if level == "other"]
    return Owner(
        by_level.get("site"),
        by_level.get("class"),
        by_level.get("patient"),
        (*others, *folders[len(levels) :]),
    )


def nested(found: Found) -> DataError:
    """The refusal of pictures in folders that nobody has said the meaning of."""
    return DataError(
        "Pictures lie in folders within the class folders, or the folders are several hospitals'; nothing is published "
        "until that is said. In [dataset], set site to one hospital's folder, or set folder_levels to "
        '["class", "patient"], ["patient", "class"], ["site", "class"] or ["class", "other"]. '
        "'python -m datasites inspect' shows what is there.",
        private=f"For instance: {found.inside}",
    )


def one_form(name: str) -> str:
    """A name as all systems write it: some take letters with marks apart."""
    return unicodedata.normalize("NFC", name)
