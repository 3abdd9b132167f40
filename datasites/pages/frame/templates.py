"""Templates, in each language: what anybody wrote is shown as one plain line and escaped, wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datasites.pages.frame.state_words import role_word, state_word
from datasites.pages.languages.in_templates import speak
from datasites.pages.languages.languages import Language
from datasites.review.page import TEMPLATES as OF_RECORDS
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


@cache
def make_environment(language: Language) -> Environment:
    """Where templates of one language are found, with what all of them may call; one for a process, as they compile."""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, OF_RECORDS]),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    speak(environment, language, MOST_CHARACTERS)
    environment.globals.update(role_word=role_word, state_word=state_word)
    environment.filters.update(
        moment=language.moment,
        day=language.day,
        iso=language.iso,
        paragraphs=_paragraphs,
        broken_at_underscores=_broken_at_underscores,
    )
    return environment


def _paragraphs(text: str) -> Markup:
    """A text of several lines that somebody wrote: each line as it was, none of it obeyed."""
    lines = [line for line in text[: 4 * MOST_CHARACTERS].splitlines() if line.strip()]
    return Markup("").join(Markup("<p>{}</p>").format(shown(line, most=MOST_CHARACTERS)) for line in lines)


def _broken_at_underscores(value: object) -> Markup:
    """A setting's value, shown as any other, whose lines may end behind an underscore and so need not within a word."""
    return Markup("_<wbr>").join(Markup("{}").format(one) for one in shown(value, most=MOST_CHARACTERS).split("_"))
