"""The annex to a data-protection impact assessment in three languages that hold the same facts and figures."""

from __future__ import annotations

from types import ModuleType

from researcher.papers.documents import annex_de, annex_en, annex_zh
from researcher.papers.facts import Facts
from researcher.papers.lines import as_markdown

LANGUAGES: dict[str, ModuleType] = {"en": annex_en, "de": annex_de, "zh": annex_zh}


def annexes(facts: Facts) -> dict[str, str]:
    """Language → the annex in it, as Markdown."""
    study = facts.study["study"].value
    return {
        language: as_markdown(said.TITLE.format(study), said.SECTIONS, facts, rests_on=said.RESTS_ON)
        for language, said in LANGUAGES.items()
    }
