"""Decisions that hospitals tell each other: what is read is what was signed, and a name stays with its key."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.console_pages import Noted
from support.console_reviews import review

from datasites.console.sharing import elsewhere
from datasites.console.shown.review_card import review_card
from datasites.elsewhere.kept_decisions import KeptDecisions
from datasites.elsewhere.shared_decision import (
    MOST_OF_A_FILE,
    MOST_OF_A_REASON,
    SharedDecision,
    fingerprint,
    read_decision,
    sign_decision,
)
from policies.answers.plain_values import to_plain
from policies.errors import ConfigError, ReceiptInvalid, RequestError
from policies.ledger.receipt import public_key
from policies.terminal.rich_terminal import PlainConsole

PLAN = "5a" * 32
SEED, OTHER_SEED = b"1" * 32, b"2" * 32
DECISION = SharedDecision("St. Göran 医院", PLAN, "approved", "2026-11-20", "Our board has agreed.")


@pytest.fixture
def kept(tmp_path: Path) -> KeptDecisions:
    return KeptDecisions(tmp_path / "elsewhere")


def test_a_decision_is_read_as_it_was_signed_and_holds_nothing_else() -> None:
    text = sign_decision(DECISION, SEED)
    assert read_decision(text) == (DECISION, public_key(SEED))
    assert set(json.loads(text)["decision"]) == {"hospital", "plan_digest", "decision", "decided_on", "reason"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hospital", "another"),
        ("plan_digest", "5b" * 32),
        ("decision", "denied"),
        ("decided_on", "2026-11-21"),
        ("reason", ""),
        ("reason", "x" * (MOST_OF_A_REASON + 1)),
        ("hospital", "two\nlines"),
        ("decided_on", "20261120"),
        ("budget", "8"),
    ],
)
def test_a_decision_of_which_anything_was_changed_is_none(kept: KeptDecisions, field: str, value: str) -> None:
    content = json.loads(sign_decision(DECISION, SEED))
    content["decision"][field] = value
    with pytest.raises(ReceiptInvalid):
        kept.add(json.dumps(content))
    assert kept.of_plan(PLAN) == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 9000, "\ud800", "x" * (MOST_OF_A_FILE + 1)])
def test_what_is_no_decision_is_refused(text: str) -> None:
    with pytest.raises(ReceiptInvalid):
        read_decision(text)


def test_another_key_for_a_name_and_another_name_for_a_key_are_refused(kept: KeptDecisions) -> None:
    assert kept.add(sign_decision(DECISION, SEED)).fingerprint == fingerprint(public_key(SEED))
    another_plan, another_name = replace(DECISION, plan_digest="6b" * 32), replace(DECISION, hospital="b")
    for other, seed in ((another_plan, OTHER_SEED), (another_name, SEED)):
        with pytest.raises(ReceiptInvalid, match="do not belong together"):
            kept.add(sign_decision(other, seed))
    kept.add(sign_decision(replace(DECISION, hospital="b", decision="denied"), OTHER_SEED))
    assert [(one.hospital, one.decision) for one in kept.of_plan(PLAN)] == [
        ("St. Göran 医院", "approved"),
        ("b", "denied"),
    ]
    assert kept.of_plan("6b" * 32) == kept.of_plan("") == ()


def test_a_later_decision_takes_the_place_of_an_earlier_one_and_never_the_other_way(kept: KeptDecisions) -> None:
    later = replace(DECISION, decision="denied", decided_on="2026-11-25")
    kept.add(sign_decision(DECISION, SEED))
    kept.add(sign_decision(later, SEED))
    with pytest.raises(ReceiptInvalid, match="later decision"):
        kept.add(sign_decision(DECISION, SEED))
    assert [(one.decision, one.decided_on) for one in kept.of_plan(PLAN)] == [("denied", "2026-11-25")]


def test_what_is_kept_is_this_accounts_only_is_bounded_and_counts_only_while_it_verifies(
    kept: KeptDecisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.add(sign_decision(DECISION, SEED))
    (file,) = (tmp_path / "elsewhere").iterdir()
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    monkeypatch.setattr("datasites.elsewhere.kept_decisions.MOST_KEPT", 1)
    with pytest.raises(ConfigError):
        kept.add(sign_decision(replace(DECISION, plan_digest="6b" * 32), SEED))
    kept.add(sign_decision(DECISION, SEED))
    file.write_text(file.read_text().replace("approved", "denied"))
    assert kept.of_plan(PLAN) == ()


def test_a_hospital_with_a_new_key_is_added_once_its_former_decisions_are_removed(kept: KeptDecisions) -> None:
    for plan, day in ((PLAN, "2026-11-20"), ("6b" * 32, "2026-11-22")):
        kept.add(sign_decision(replace(DECISION, plan_digest=plan, decided_on=day), SEED))
    kept.add(sign_decision(replace(DECISION, hospital="b"), OTHER_SEED))
    old, new = fingerprint(public_key(SEED)), sign_decision(DECISION, b"3" * 32)
    assert [(one.hospital, one.decisions, one.latest) for one in kept.hospitals()] == [
        ("St. Göran 医院", 2, "2026-11-22"),
        ("b", 1, "2026-11-20"),
    ]
    with pytest.raises(ReceiptInvalid, match=f"elsewhere remove {old}"):
        kept.add(new)
    for unknown in ("", "0f4e", old[:-1]):
        with pytest.raises(ConfigError, match="elsewhere list"):
            kept.remove(unknown)
    south: Any = _Console("approved")
    assert elsewhere.remove_decisions(south, kept, old.replace(" ", "").upper(), by="dr.chan").decisions == 2
    assert [(one["event"], one["by"], one["count"]) for one in south.books.audit.events] == [
        ("decisions of another hospital removed", "dr.chan", 2)
    ]
    kept.add(new)
    assert {one.hospital for one in kept.of_plan(PLAN)} == {"b", "St. Göran 医院"}


class _Console(SimpleNamespace):
    """The parts of a console that share and keep decisions: one request, decided so."""

    def __init__(self, decision: str) -> None:
        at = "2026-11-20T10:11:12+00:00"
        decided = SimpleNamespace(decision=decision, decided_at=at, reason="private", decided_by="wu")
        super().__init__(
            name="north",
            signing_seed=SEED,
            review=lambda request: SimpleNamespace(id=request, plan_digest=PLAN),
            books=SimpleNamespace(audit=Noted(), approvals=SimpleNamespace(of_request=lambda request: decided)),
        )


def test_what_one_hospital_shares_another_adds_and_both_logs_say_by_whom(kept: KeptDecisions) -> None:
    north: Any = _Console("denied")
    shared = elsewhere.share_decision(north, "5f", "North", "", by="dr.wu")
    assert "private" not in shared.text and "wu" not in shared.text
    assert read_decision(shared.text).decision == SharedDecision("North", PLAN, "denied", "2026-11-20")
    south: Any = _Console("approved")
    added = elsewhere.add_decision(south, kept, shared.text, by="dr.chan")
    assert (added.hospital, added.fingerprint) == ("North", shared.fingerprint)
    assert kept.of_plan(PLAN) == (added,)
    assert [(one["event"], one["by"]) for one in (*north.books.audit.events, *south.books.audit.events)] == [
        ("decision shared", "dr.wu"),
        ("decision of another hospital added", "dr.chan"),
    ]


def test_the_card_in_the_terminal_says_who_decided_so_and_by_which_key() -> None:
    terminal = PlainConsole(width=400)
    with terminal.capture() as capture:
        terminal.print(review_card(to_plain(review())))
    told = "Rigshospitalet approved on 2026-11-24, signature verified (fingerprint 0f4e 77c1"
    assert told in capture.get() and "北京协和医院 denied on 2026-11-25" in capture.get()


@pytest.mark.parametrize("decision", ["returned", "withdrawn", "ended"])
def test_only_an_approval_or_a_denial_is_shared(decision: str) -> None:
    console: Any = _Console(decision)
    with pytest.raises(RequestError):
        elsewhere.share_decision(console, "5f", "North", "", by="dr.wu")
    assert console.books.audit.events == []
