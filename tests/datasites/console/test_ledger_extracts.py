"""An extract of the ledger says what one study and its whole dataset hold, and its signing is logged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.console_pages import Noted
from support.ledgers import FINGERPRINT, LIMITS, OTHER_FINGERPRINT, WEIGHTS, hundredth_a_step, ledger_at, reserve, start

from datasites.console.sharing.extracts import make_extract
from policies.errors import RequestUnknown
from policies.ledger.receipt import dataset_mark, public_key
from policies.papers.ledger_extract import LedgerExtract, read_extract

SEED = bytes(32)


@pytest.fixture
def console(tmp_path: Path) -> Any:
    """The parts of a console that sign extracts: two studies of one dataset, one of another."""
    ledger = ledger_at(tmp_path / "ledger.db")
    reserve(ledger, "one", 40)
    reserve(ledger, "two", 100, study="lungs")
    reserve(ledger, "three", 300, fingerprint=OTHER_FINGERPRINT)
    start(ledger, "one", 0, 10)
    books = SimpleNamespace(
        ledger=ledger,
        audit=Noted(),
        limits=SimpleNamespace(current=LIMITS),
        epsilon=lambda history: hundredth_a_step(history, LIMITS.total.delta),
    )
    return SimpleNamespace(name="north", signing_seed=SEED, books=books, review=lambda name: SimpleNamespace(id=name))


def extract(console: Any) -> LedgerExtract:
    return read_extract(make_extract(console, "one", by="dr.wu").text.encode()).extract


def test_an_extract_holds_the_studys_rounds_and_what_all_studies_of_its_dataset_hold(console: Any) -> None:
    signed = read_extract(make_extract(console, "one", by="dr.wu").text.encode())
    made = signed.extract
    assert signed.public_key == public_key(SEED) and made.dataset_mark == dataset_mark(FINGERPRINT, SEED)
    assert (made.rounds_reserved, made.rounds_charged, made.released) == (4, 1, False)
    assert (made.epsilon_held, made.epsilon_limit, made.delta) == (1.4, 8.0, 1e-5)
    assert made.ledger_head == console.books.ledger.head()[1] and not made.without_privacy
    assert console.books.audit.events == [
        {"event": "ledger extract signed", "request": "one", "rounds": 1, "by": "dr.wu"}
    ]


def test_rounds_without_differential_privacy_on_the_dataset_are_named_once_they_ran(console: Any) -> None:
    reserve(console.books.ledger, "open", 0, study="open", limits=replace(LIMITS, allow_non_private=True))
    assert not extract(console).without_privacy
    console.books.ledger.start(request_id="open", round_index=0, spend=None, weights_digest=WEIGHTS)
    assert extract(console).without_privacy


def test_there_is_no_extract_of_a_request_that_was_never_approved(console: Any) -> None:
    with pytest.raises(RequestUnknown):
        make_extract(console, "four", by="dr.wu")
    assert console.books.audit.events == []
