"""Records of decisions: the same state gives the same page, which shows what was signed and obeys nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.hostile_texts import HOSTILE, raw_in
from support.reviewed import PLAN, Reviewed, reviewed_datasite

from datasites.console.answers import RecordAnswer
from datasites.console.records import check_record, keep_record
from datasites.pages.languages.languages import CODES
from datasites.review.page import read_page, signed_page
from datasites.review.record import DecisionRecord, TrailEvent, record_of
from policies.answers.plain_values import to_plain
from policies.errors import ConfigError, ReceiptInvalid, RequestError
from policies.ledger.receipt import public_key

SEED = bytes(range(32))
KEY = public_key(SEED)


@pytest.fixture(scope="module")
def datasite(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Iterator[Reviewed]:
    with reviewed_datasite(tmp_path_factory.mktemp("records"), drawn) as made:
        yield made


@pytest.fixture(scope="module")
def decided(datasite: Reviewed) -> str:
    request = datasite.request(PLAN)
    for event, by in (("request approved by one", "ada"), ("request approved", "ada, grace")):
        datasite.books.audit.write(event, request=request, by=by, digest="d" * 64)
    datasite.books.audit.write("run done", request=request, run="r1")
    datasite.approve(request, by="ada, grace")
    return request


def record(datasite: Reviewed, request: str, language: str = "en") -> DecisionRecord:
    return record_of(datasite.review(request), datasite.books, datasite="north", public_key=KEY, language=language)


def answer(made: DecisionRecord) -> object:
    hashes = tuple(one.hash for one in made.ledger)
    return to_plain(RecordAnswer(made.review.id, signed_page(made, SEED), KEY, made.decided_digest, hashes))


def test_the_record_tells_the_decision_the_votes_the_ledgers_entry_and_no_run(datasite: Reviewed, decided: str) -> None:
    made = record(datasite, decided)
    assert (made.decision, made.decided_by) == ("approved", "ada, grace")
    assert [one.event for one in made.trail] == ["request approved by one", "request approved"]
    assert all(one.at.startswith("20") and "time=" not in one.details for one in made.trail)
    assert [one.hash for one in made.ledger] == [one.hash for one in datasite.books.ledger.entries()]
    page = signed_page(made, SEED)
    for told in (decided, made.decided_digest, made.ledger[0].hash, "ada, grace", PLAN.study, "in 100 pictures"):
        assert told in page


def test_the_costs_are_those_that_stood_when_it_was_decided(datasite: Reviewed, decided: str) -> None:
    before = datasite.review(decided).cost
    assert before is not None
    assert before.scopes[0].before == 0.0
    datasite.approve(datasite.request(replace(PLAN, study="later")))
    assert datasite.review(decided).cost == before


def test_the_same_state_gives_the_same_page_which_reads_back(datasite: Reviewed, decided: str) -> None:
    made = record(datasite, decided)
    page = signed_page(made, SEED)
    assert page == signed_page(record(datasite, decided), SEED)
    assert read_page(page, KEY) == made


def test_the_page_needs_nothing_else_and_runs_nothing(datasite: Reviewed, decided: str) -> None:
    page = signed_page(record(datasite, decided), SEED)
    assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|\bhref=|\bon\w+=|url\(|@import|https?:", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_a_record_is_in_the_language_it_was_asked_in_and_either_is_checked(
    datasite: Reviewed, decided: str, tmp_path: Path
) -> None:
    pages = {}
    for language in CODES:
        made, file = record(datasite, decided, language), tmp_path / f"{language}.html"
        keep_record(answer(made), file)
        pages[language] = file.read_text()
        assert read_page(pages[language], KEY) == made
        # What the datasite answers with is in one language, whichever the kept record is in.
        assert check_record(answer(record(datasite, decided)), file).startswith("approved by ada, grace")
    assert '<html lang="zh-Hans">' in pages["zh"] and "决定内容" in pages["zh"]
    assert '<html lang="en">' in pages["en"] and "The decision" in pages["en"]
    for told in (decided, made.decided_digest, made.ledger[0].hash, KEY, "ada, grace", PLAN.study):
        assert all(told in one for one in pages.values())


@pytest.mark.parametrize("taken", [("signed",), ("signature",), ("signed", "signature")], ids="+".join)
def test_the_language_is_signed_with_the_rest(datasite: Reviewed, decided: str, taken: tuple[str, ...]) -> None:
    page, other = (signed_page(record(datasite, decided, language), SEED) for language in ("zh", "en"))
    for name in taken:
        part = re.compile(rf'(?s)<(pre|code) id="{name}">.*?</\1>')
        mine, theirs = (part.search(one) for one in (page, other))
        assert mine and theirs
        page = page.replace(mine[0], theirs[0])
    with pytest.raises(ReceiptInvalid):
        read_page(page, KEY)


def test_a_chinese_record_leaves_no_sentence_in_english(datasite: Reviewed, decided: str) -> None:
    page = signed_page(record(datasite, decided, "zh"), SEED)
    shown = re.sub(r"(?s)<style>.*?</style>|<(code|pre|title)\b.*?</\1>|<[^>]+>", "|", page)
    assert not re.findall(r"[a-z]+ (?:the|of|and|to|is|in|a) [a-z]+", shown)


def test_a_language_that_there_is_not_is_refused(datasite: Reviewed, decided: str) -> None:
    with pytest.raises(RequestError, match="Ask for one of: en, zh"):
        signed_page(record(datasite, decided, "tlh"), SEED)


@pytest.mark.parametrize("part", ["shown", "signed", "signature", "key", "nothing"])
def test_a_changed_page_is_refused(datasite: Reviewed, decided: str, part: str) -> None:
    page, key = signed_page(record(datasite, decided), SEED), KEY
    if part == "shown":
        page = page.replace("<dd>ada, grace</dd>", "<dd>ada, mallory</dd>")
    elif part == "signed":
        page = page.replace("&#34;decided_by&#34;:&#34;ada", "&#34;decided_by&#34;:&#34;bob")
    elif part == "signature":
        page = re.sub(r'(<code id="signature">)[0-9a-f]', r"\1" + "g", page)
    elif part == "key":
        key = public_key(bytes(range(1, 33)))
    else:
        page = "<p>nothing</p>"
    with pytest.raises(ReceiptInvalid):
        read_page(page, key)


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_somebody_wrote_is_shown_and_not_obeyed(datasite: Reviewed, decided: str, kind: str) -> None:
    made, text = record(datasite, decided), HOSTILE[kind]
    review = replace(made.review, words={"purpose": text}, researcher=text, reason=text)
    hostile = replace(made, review=review, reason=text, trail=(TrailEvent("now", text, text, text),))
    page = signed_page(hostile, SEED)
    assert not raw_in(page)
    assert read_page(page, KEY) == hostile


def test_a_request_that_is_not_decided_has_no_record(datasite: Reviewed) -> None:
    with pytest.raises(RequestError, match="not decided yet"):
        record(datasite, datasite.request(replace(PLAN, study="undecided")))


def test_a_kept_record_holds_against_the_books_that_went_on_and_no_others(
    datasite: Reviewed, decided: str, tmp_path: Path
) -> None:
    made, file = record(datasite, decided), tmp_path / "record.html"
    keep_record(answer(made), file)
    assert file.stat().st_mode & 0o777 == 0o600
    datasite.books.ledger.release(decided, "done")
    assert check_record(answer(record(datasite, decided)), file) == "approved by ada, grace, 1 entries of the ledger"
    with pytest.raises(ReceiptInvalid, match="another ledger"):
        check_record(answer(replace(made, ledger=())), file)
    with pytest.raises(ReceiptInvalid, match="another decision"):
        check_record(answer(replace(made, decided_digest="0" * 64)), file)
    with pytest.raises(ConfigError):
        check_record(answer(made), tmp_path / "none.html")
    with pytest.raises(ConfigError):
        keep_record(answer(made), tmp_path / "missing" / "record.html")
