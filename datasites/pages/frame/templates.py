"""Templates, in each language: what anybody wrote is shown as one plain line and escaped, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datasites.pages.frame.languages import Language, as_time
from datasites.pages.frame.state_words import role_word, state_word
from policies.untrusted_text import shown

TEMPLATES = Path(__file__).parent.parent / "templates"
MOST_CHARACTERS = 4000


class Templates:
    """Every template, in one language each."""

    def __init__(self, languages: Mapping[str, Language]) -> None:
        self._environments = {code: make_environment(language) for code, language in languages.items()}

    def render(self, language: Language, template: str, values: Mapping[str, object]) -> str:
        """A page's text. A value that a template names and nobody gave is an error."""
        return self._environments[language.code].get_template(template).render(values)


def make_environment(language: Language) -> Environment:
    """Where templates of one language are found, with what all of them may call."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    gettext = _gettext(language)
    environment.globals.update(
        _=gettext,
        gettext=gettext,
        ngettext=_ngettext(language),
        role_word=role_word,
        state_word=state_word,
    )
    environment.filters.update(
        number=language.number,
        cost=language.cost,
        left=language.left,
        percent=language.percent,
        at_most=language.at_most,
        moment=language.moment,
        day=language.day,
        said=language.said,
        told=_told(language),
        word=language.word,
        iso=lambda when: as_time(when).isoformat(timespec="seconds"),
        paragraphs=_paragraphs,
    )
    return environment


def _finalize(value: object) -> object:
    """What every value passes through before it is escaped; what a macro or a text of the catalogue made, is made."""
    return value if isinstance(value, Markup) else shown(value, most=MOST_CHARACTERS)


def _gettext(language: Language) -> Callable[..., Markup]:
    def gettext(text: str, **values: object) -> Markup:
        return Markup(language.catalogue.gettext(text)) % _seen(values)  # noqa: S704 - the console's own text

    return gettext


def _ngettext(language: Language) -> Callable[..., Markup]:
    def ngettext(one: str, many: str, num: int, **values: object) -> Markup:
        text = Markup(language.catalogue.ngettext(one, many, num))  # noqa: S704 - the console's own text
        return text % _seen({"count": language.number(num), **values, "num": language.number(num)})

    return ngettext


def _told(language: Language) -> Callable[[str], Markup]:
    def told(text: str) -> Markup:
        """A computed text in this language; in English, and marked as that, where it has no other."""
        theirs = language.told(text)
        seen = shown(text if theirs is None else theirs, most=MOST_CHARACTERS)
        if theirs is None and any(one.isalpha() for one in text):
            return Markup('<span lang="en">{}</span>').format(seen)
        return Markup("{}").format(seen)

    return told


def _seen(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _finalize(value) for name, value in values.items()}


def _paragraphs(text: str) -> Markup:
    """A text of several lines that somebody wrote: each line as it was, none of it obeyed."""
    lines = [line for line in text[: 4 * MOST_CHARACTERS].splitlines() if line.strip()]
    return Markup("").join(Markup("<p>{}</p>").format(shown(line, most=MOST_CHARACTERS)) for line in lines)
