"""Every page in Chinese: nothing that the datasite computes is left in English on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest
from support.console_pages import ConsoleOfFakes
from support.console_reviews import WORDS
from support.daily_fakes import MARKUP
from support.waiting import CEILING_SECONDS

from datasites.rules.rule import VARIABLE

from .test_every_page import PAGES

ENGLISH = re.compile(r"[A-Za-z][a-z']+(?:[ ,;:]+[A-Za-z][a-z']+){2,}")
APART = {"script", "style", "code", "pre", "blockquote"}
WITHOUT_END = {"meta", "link", "input", "img", "br", "hr"}
# No sentences of the datasite's: its other language, and names of events' details.
LEFT = {"English", "run", "request", "round", "detail", "note"}
SAID_BY_PEOPLE = (*WORDS.values(), MARKUP)
SETTINGS = ", ".join(VARIABLE)  # as a plan's JSON names them


class Texts(HTMLParser):
    """The texts of a page that are no code and nobody's own words, each with whether it is marked as English."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool, bool]] = []
        self.found: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in WITHOUT_END:
            apart, english = self.open[-1][1:] if self.open else (False, False)
            marks = dict(attrs)
            theirs = "thread" in (marks.get("class") or "")
            self.open.append((tag, apart or theirs or tag in APART, english or marks.get("lang") == "en"))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open and not self.open[-1][1]:
            self.found.append((" ".join(data.split()), self.open[-1][2]))


def texts_of(served: ConsoleOfFakes, path: str, name: str) -> Iterator[tuple[str, bool]]:
    cookies = served.session_of(name) if name else {}
    answer = httpx.get(
        served.url + path,
        cookies=cookies,
        headers={"accept-language": "zh-CN"},
        trust_env=False,
        timeout=CEILING_SECONDS,
    )
    page = Texts()
    page.feed(answer.text)
    yield from page.found


@pytest.mark.parametrize(("path", "name"), PAGES, ids=[path for path, _ in PAGES])
def test_no_sentence_of_the_datasite_is_english_on_a_chinese_page(served: ConsoleOfFakes, path: str, name: str) -> None:
    for text, english in texts_of(served, path, name):
        if not any(words in text for words in SAID_BY_PEOPLE):
            assert text in LEFT if english else not ENGLISH.search(text.replace(SETTINGS, "")), text
