"""Names that differ in nothing but how they are written, of which one class or hospital would become two.

Of `Benign` and `benign` a model learns to tell the spelling. Nobody sees it in the numbers, and both names are public.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

_SPACES = re.compile(r"[\s_]+")
_HYPHEN = re.compile(r"(?<=[^\W\d_]) ?- ?(?=[^\W\d_])")  # not the sign of a number
_NUMBER = re.compile(r"([+-]?)0*(\d+)(?:[.,]0*)?")
_TRUTH = {"true": "1", "false": "0"}  # a workbook's own cell of it is 1 or 0, a text in the same column is not

_MOST_DIGITS = 16
# Cyrillic letters that look as these do, small or as capitals: the keyboard's language decides which are typed.
_LOOK_ALIKE = str.maketrans("авсенікмѕотрухј", "abcehikmsotpyxj")


def two_alike(names: Collection[str]) -> tuple[str, str] | None:
    """Two of the names that are one by all but capitals, spaces, letters that look alike, or the form of a number; None
    where none are.
    """
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(_plain(name).translate(_LOOK_ALIKE), name)
        if other != name:
            return other, name
    return None


def plain_patient(identifier: str) -> str:
    """What stays of a patient's identifier where programs wrote it in different ways: `0012`, `12.0`, `'12` and `12`,
    `P 01` and `p01`.
    """
    return re.sub(r"\s", "", _plain(identifier.lstrip("'")))


def other_spellings(identifier: str) -> set[str]:
    """The ways in which programs write a patient's identifier, as far as they can be listed; it is among them.

    Capitals, spaces, and of a number leading zeros up to `_MOST_DIGITS` and a fraction of nothing.
    """
    plain = plain_patient(identifier)
    spelt = {identifier, re.sub(r"\s", "", identifier), plain, plain.upper()}
    if plain.isascii() and plain.isdigit():
        spelt |= {plain.zfill(width) for width in range(1, _MOST_DIGITS + 1)}
        spelt |= {f"{plain}.0", f"{plain},0", f"'{plain}"}
    return spelt - {""}


def _plain(name: str) -> str:
    """What stays of a name where nobody looks at how it is written."""
    text = _SPACES.sub(" ", unicodedata.normalize("NFKC", name).casefold()).strip()
    text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    text = _TRUTH.get(text, text)
    number = _NUMBER.fullmatch(text)
    return f"{number[1]}{number[2]}" if number else _HYPHEN.sub(" ", text)
