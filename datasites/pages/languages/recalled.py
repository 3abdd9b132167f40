"""Computed texts in another language: one came as plain English, and its template is found again by its words.

A doctor's finding, a notice or a rehearsal is kept, logged and sent as one plain text. Templates number what was filled
in (`{1}`, `{2}`); only the catalogue has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

MOST_CHARACTERS = 2000
MOST_KEPT = 2048
_DEEPEST = 3  # a value may itself be such a text
_PLACE = re.compile(r"{(\d)}")
_CODE = re.compile(r"WW\d{3}: ")
_NEXT_SENTENCE = re.compile(r"(?<=[.!?]) ")


class Recalled:
    """Computed texts of one language.

    Args:
        catalogue: English texts and templates → theirs in this language.
    """

    def __init__(self, catalogue: Mapping[str, str]) -> None:
        made = [(tuple(_PLACE.split(text)[::2]), theirs) for text, theirs in catalogue.items() if _PLACE.search(text)]
        self._templates = sorted(made, key=lambda one: -sum(map(len, one[0])))
        self._whole = dict(catalogue)
        self._kept = lru_cache(MOST_KEPT)(self._told)

    def told(self, text: str) -> str | None:
        """The text in this language; None where no template is known that it was made from."""
        return self._kept(text, _DEEPEST) if len(text) <= MOST_CHARACTERS else None

    def _told(self, text: str, deep: int) -> str | None:
        if coded := _CODE.match(text):
            told = self._told(text[coded.end() :], deep)
            return None if told is None else coded[0] + told
        told = self._list(text, deep)
        if told is not None:
            return told
        sentences = [self._sentence(one, deep) for one in _NEXT_SENTENCE.split(text)]
        known = [one for one in sentences if one is not None]
        return "".join(known) if len(known) == len(sentences) else self._of_one(text, deep)

    def _list(self, text: str, deep: int) -> str | None:
        """Of several texts with semicolons between them, no sentences, all of which are known."""
        if _NEXT_SENTENCE.search(text):
            return None
        told = [self._of_one(one, deep) for one in text.split("; ")]
        known = [one for one in told if one is not None]
        return "；".join(known) if 1 < len(known) == len(told) else None

    def _sentence(self, text: str, deep: int) -> str | None:
        """Of one sentence, or of a part of one that a point was put behind."""
        in_part = text.endswith(".") and text not in self._whole
        part = self._of_one(text.removesuffix("."), deep) if in_part else None
        return self._of_one(text, deep) if part is None else f"{part}。"

    def _of_one(self, text: str, deep: int) -> str | None:
        """Of a text that one template made."""
        if text in self._whole:
            return self._whole[text]
        for parts, theirs in self._templates:
            values = _values(parts, text)
            if values is not None:
                named = map(_names, parts, parts[1:])
                inner = [
                    (self._told(one, deep - 1) if deep and not is_name else None) or one
                    for one, is_name in zip(values, named, strict=True)
                ]
                return _PLACE.sub(lambda place, inner=inner: inner[int(place[1]) - 1], theirs)  # type: ignore[misc]
        return None


def _names(before: str, behind: str) -> bool:
    """Whether what stands between these two parts is in quotation marks: a name, which is the same in each language."""
    return before.endswith("'") and behind.startswith("'")


def _values(parts: tuple[str, ...], text: str) -> list[str] | None:
    """What stands in a text between a template's parts, each found as early as it can be; None where one is missing."""
    at, end = len(parts[0]), len(text) - len(parts[-1])
    if at >= end or not text.startswith(parts[0]) or not text.endswith(parts[-1]):
        return None
    values = []
    for part in parts[1:-1]:
        found = text.find(part, at + 1, end)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(part)
    return [*values, text[at:end]] if at < end else None
