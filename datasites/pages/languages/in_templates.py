"""Templates in one language: what each may call. What anybody wrote is shown as one plain line, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jinja2 import Environment
from markupsafe import Markup

from datasites.pages.languages.languages import Language
from policies.answers import rounded
from policies.untrusted_text import shown


def speak(environment: Environment, language: Language, most: int) -> None:
    """Has the templates of an environment speak a language: texts of the catalogue, computed texts, numbers.

    Guarantees:
        Every value that a template or a text of the catalogue shows passes through `shown`, then is escaped, unless a
        macro or a text of the catalogue made it.

    Args:
        environment: With the extension `jinja2.ext.i18n`, and escaping.
        language: Of all its templates.
        most: Characters of one value.
    """

    def finalize(value: object) -> object:
        return value if isinstance(value, Markup) else shown(value, most=most)

    def gettext(text: str, **values: object) -> Markup:
        return Markup(language.catalogue.gettext(text)) % seen(values)  # noqa: S704 - the platform's own text

    def ngettext(one: str, many: str, num: int, **values: object) -> Markup:
        text = Markup(language.catalogue.ngettext(one, many, num))  # noqa: S704 - the platform's own text
        return text % seen({"count": language.number(num), **values, "num": language.number(num)})

    def seen(values: Mapping[str, object]) -> dict[str, object]:
        return {name: finalize(value) for name, value in values.items()}

    environment.finalize = finalize
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    environment.globals.update(_=gettext, gettext=gettext, ngettext=ngettext)
    environment.filters.update(
        number=language.number,
        cost=language.cost,
        left=language.left,
        percent=language.percent,
        written=rounded.number,
        at_most=language.at_most,
        said=language.said,
        told=_told(language, most),
        word=language.word,
    )


def _told(language: Language, most: int) -> Callable[[str], Markup]:
    def told(text: str) -> Markup:
        """A computed text in this language; in English, and marked as that, where it has no other."""
        theirs = language.told(text)
        seen = shown(text if theirs is None else theirs, most=most)
        if theirs is None and any(one.isalpha() for one in text):
            return Markup('<span lang="en">{}</span>').format(seen)
        return Markup("{}").format(seen)

    return told
