"""The card shows a request's statement apart from what was computed; a hospital may refuse requests without one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.governed import Governed, small_plan
from support.hostile_texts import HOSTILE

from datasites.code_requests.card import RequestCard
from datasites.console.shown.review_card import review_card
from datasites.review.reviewing import review_of
from policies.answers.plain_values import to_plain
from policies.errors import LimitExceeded
from policies.plans.words.statement import HEADING, Statement
from policies.terminal.rich_terminal import PlainConsole

PLAN = small_plan("cells")
SAID = Statement("Wang", "Example University", "wang@example.org", "To see " * 280, "EK 17", "none")


def printed(north: Governed, card: RequestCard) -> str:
    review = review_of(card.id, book=north.book, books=north.books, enrolled_since=lambda email: "")
    console = PlainConsole(width=4000)
    with console.capture() as capture:
        console.print(review_card(to_plain(review)))
    return capture.get()


def test_the_statement_stands_under_a_heading_that_says_whose_words_they_are(north: Governed) -> None:
    request = north.submit(replace(PLAN, study="said", statement=SAID))
    card = north.book.card(request.request_id)
    assert card.statement == SAID and "statement" not in card.plan
    text = printed(north, card)
    assert text.index(HEADING) < text.index("Example University")
    assert text.count("To see") == 280
    assert card.digest != north.book.card(north.submit(replace(PLAN, study="said")).request_id).digest


def test_a_request_that_says_nothing_is_shown_as_saying_nothing(north: Governed) -> None:
    card = north.book.card(north.submit(replace(PLAN, study="silent")).request_id)
    assert card.statement is None and "statement" not in to_plain(card)
    text = printed(north, card)
    assert "nothing was said" in text[text.index(HEADING) :].splitlines()[1]


def test_markup_in_a_statement_is_shown_and_not_obeyed(north: Governed) -> None:
    statement = Statement(name=HOSTILE["closing markup"], purpose=HOSTILE["markup"], contact=HOSTILE["html"])
    card = north.book.card(north.submit(replace(PLAN, study="markup", statement=statement)).request_id)
    assert HOSTILE["markup"] in printed(north, card) and HOSTILE["html"] in printed(north, card)


def test_a_hospital_that_asks_for_a_statement_names_what_is_missing(
    north: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(north.books.limits._config, require_statement=True)
    monkeypatch.setattr(north.books.limits, "_config", strict)
    before = north.book.page().counts
    with pytest.raises(LimitExceeded, match=r"says no protocol, publication\. Give --protocol, --publication"):
        north.submit(replace(PLAN, study="partly", statement=replace(SAID, protocol="", publication=" ")))
    with pytest.raises(LimitExceeded, match="says no name, institution, contact, purpose, protocol, publication"):
        north.submit(replace(PLAN, study="silent-too"))
    assert north.book.page().counts == before
    assert north.book.card(north.submit(replace(PLAN, study="whole", statement=SAID)).request_id).finding == ""
