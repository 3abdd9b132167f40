"""The glossary has each word once, by the alphabet, and those by which commands and pages are called."""

from __future__ import annotations

from pathlib import Path

import pytest

GLOSSARY = Path(__file__).resolve().parents[2] / "docs" / "glossary.md"


def _words() -> list[str]:
    rows = GLOSSARY.read_text().partition("| --- | --- | --- |\n")[2].splitlines()
    return [row.split("|")[1].strip() for row in rows]


def test_each_word_stands_once_and_where_it_is_looked_for() -> None:
    words = [word.lower() for word in _words()]
    assert words == sorted(set(words))


# What a command or a page of the console is named after and everyday English does not say.
@pytest.mark.parametrize(
    "word",
    [
        "capture",
        "elsewhere",
        "extract",
        "halted",
        "invite",
        "notice",
        "papers",
        "rehearsal",
        "repetition",
        "round receipt",
    ],
)
def test_a_word_that_people_are_shown_is_explained(word: str) -> None:
    assert word in _words()
