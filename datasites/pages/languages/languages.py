"""The languages of pages and records: texts from catalogues, numbers and dates by Babel. English texts are the keys."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

from babel import Locale, dates, numbers
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from datasites.pages.languages.recalled import Recalled
from policies.answers import moments
from policies.answers.rounded import rounded_down, rounded_up
from policies.answers.sentence import Sentence

CATALOGUES = Path(__file__).parent.parent / "translations"
FIRST = "en"
MOST_KEPT = 4096
_NAMES = MappingProxyType({"en": "English", "zh": "简体中文"})
CODES = tuple(_NAMES)
_TAGS = MappingProxyType({"en": "en", "zh": "zh-Hans"})
_PREFERENCE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,30})?\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?))?\s*")
_MOST_PREFERENCES = 20
PAGES, SENTENCES = "pages", "sentences"
# What is a word in a sentence's values, not a number or a name; and what is a text that was computed.
_WORDS, _REASON = ("unit", "field"), "reason"


@dataclass(frozen=True)
class Language:
    """One language of the console.

    Attributes:
        code: As the cookie and the catalogue's folder have it.
        tag: As HTML and HTTP have it.
        name: As its own speakers write it.
        locale: For numbers and dates.
        catalogue: Its texts.
        sentences: What is computed elsewhere, as templates and words: sentences of a review, odds, limits.
        recalled: Likewise, of what comes as plain English texts; None in English.
    """

    code: str
    tag: str
    name: str
    locale: Locale
    catalogue: NullTranslations
    sentences: NullTranslations
    recalled: Recalled | None = None

    def gettext(self, text: str, **values: object) -> str:
        """The text in this language, with the values where it names them as `%(name)s`."""
        return self.catalogue.gettext(text) % values

    def ngettext(self, one: str, many: str, count: int, **values: object) -> str:
        """As `gettext`, of a text that counts: the count stands as `%(count)s`."""
        return self.catalogue.ngettext(one, many, count) % {"count": self.number(count), **values}

    def said(self, sentence: Sentence) -> str:
        """A sentence that was computed, in this language; in English where its template is not known here."""
        values = {name: self.word(one) if name in _WORDS else one for name, one in sentence.values.items()}
        if _REASON in values:
            values[_REASON] = self.told(values[_REASON]) or values[_REASON]
        return self.word(sentence.template).format_map(values)

    def told(self, text: str) -> str | None:
        """A text that was computed and came as plain English, in this language; None where it is not known here."""
        return self.recalled.told(text) if self.recalled else text

    def word(self, text: str) -> str:
        """A word or a template that another part of the datasite computes with, in this language."""
        return self.sentences.gettext(text) if text else ""

    def number(self, value: float, digits: int = 2) -> str:
        """A number, whole or with at most so many digits behind the point."""
        return _number(value, "#,##0." + "#" * digits if isinstance(value, float) else "#,##0", str(self.locale))

    def cost(self, epsilon: float) -> str:
        """The epsilon of a cost, never less than it is."""
        return self.number(rounded_up(epsilon))

    def left(self, epsilon: float) -> str:
        """The epsilon that is left, never more than it is."""
        return self.number(rounded_down(epsilon))

    def percent(self, share: float, digits: int = 0) -> str:
        """A share of one, as a percentage."""
        return _percent(share, "#,##0%" if digits == 0 else f"#,##0.{'0' * digits}%", str(self.locale))

    def at_most(self, share: float) -> str:
        """A share as a percentage, rounded up to a tenth: what is stated is never less than what it is of."""
        return self.percent(math.ceil(round(1000 * share, 6)) / 1000, 1)

    def moment(self, when: str | float | datetime) -> str:
        """A time of day on a date, on the hospital's clock; alike in every language, and in the terminal.

        Args:
            when: ISO 8601, or seconds since 1970, or a time; one without a zone is UTC.
        """
        return moments.moment(when)

    def iso(self, when: str | float | datetime) -> str:
        """A time of day as ISO 8601 has it, for programs."""
        return moments.as_time(when).isoformat(timespec="seconds")

    def duration(self, seconds: float) -> str:
        """About how long, in its largest unit."""
        return dates.format_timedelta(timedelta(seconds=seconds), locale=self.locale)

    def day(self, when: str | float | datetime) -> str:
        """A date, likewise."""
        return moments.day(when)


# A list has the same numbers and moments on each visit, and Babel takes long with each.
@lru_cache(MOST_KEPT)
def _number(value: float, pattern: str, locale: str) -> str:
    return numbers.format_decimal(value, format=pattern, locale=locale)


@lru_cache(MOST_KEPT)
def _percent(share: float, pattern: str, locale: str) -> str:
    return numbers.format_percent(share, format=pattern, locale=locale)


@cache
def read_languages() -> Mapping[str, Language]:
    """Every language, by its code."""
    return MappingProxyType({code: read_language(code) for code in CODES})


@cache
def read_language(code: str) -> Language:
    """One of the languages that `CODES` names; its catalogues are read once in a process."""
    pages, sentences = _read(code, PAGES), _read(code, SENTENCES)
    recalled = None if sentences is None else _recalled(sentences)
    return Language(code, _TAGS[code], _NAMES[code], Locale.parse(code), _texts(pages), _texts(sentences), recalled)


def catalogue_file(code: str, of: str = PAGES) -> Path:
    """Where a language's texts stand, those of pages or the computed sentences'; English ones stand in the code."""
    return CATALOGUES / code / "LC_MESSAGES" / f"{of}.po"


def preferred(languages: Mapping[str, Language], chosen: str, accepted: str) -> Language:
    """The language that a person chose, or the first that their browser asks for, or English.

    Args:
        languages: Those that there are.
        chosen: What the cookie holds.
        accepted: The header Accept-Language.
    """
    if chosen in languages:
        return languages[chosen]
    wished = [_PREFERENCE.fullmatch(one) for one in accepted[:500].split(",")[:_MOST_PREFERENCES]]
    ranked = sorted((one for one in wished if one), key=lambda one: -float(one[2] or 1))
    codes = (one[1].lower() for one in ranked if float(one[2] or 1) > 0)
    return languages[next((code for code in codes if code in languages), FIRST)]


def to_translate(text: str) -> str:
    """Marks a text that is translated where it is shown."""
    return text


def _read(code: str, of: str) -> Catalog | None:
    """A catalogue; None in English, which has none."""
    if code == FIRST:
        return None
    with catalogue_file(code, of).open("rb") as file:
        return read_po(file, locale=code, abort_invalid=True)


def _texts(catalogue: Catalog | None) -> NullTranslations:
    if catalogue is None:
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


def _recalled(sentences: Catalog) -> Recalled:
    return Recalled({str(one.id): str(one.string) for one in sentences if one.id})
