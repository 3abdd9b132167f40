"""A rule approves what people approved before, and leaves all else to them: on real PySyft, ledger and decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.governed import Governed
from support.hospitals import RESEARCHER, STRANGER

from datasites.code_requests.receipts import Receipts
from datasites.rehearsal.rehearsals import Rehearsal
from datasites.rules.desk import People
from datasites.rules.kept_rule import KeptRule
from datasites.rules.rule import WantedRule
from datasites.rules.rules import Rules, open_rules
from policies.budget.limits import PrivacyBudget
from policies.errors import WanwuError
from policies.plans.plan_json import sha256_text
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.plans.words.statement import Statement

SAID = Statement(name="Ada", purpose="We retrain each week.", protocol="EPN 7")
PLAN = TrainingPlan(
    "first",
    "pictures",
    ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4}),
    2,
    1,
    0.1,
    0.5,
    privacy=PrivacySpec(2.0, 1.0, 1e-5),
    statement=SAID,
)
ENDS = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()


@dataclass
class Ruled:
    """A datasite with a request that people approved, and rules like it; each test's are its own."""

    north: Governed
    rules: Rules
    test: str
    like: str = ""
    deciders: set[str] = field(default_factory=lambda: {"wu", "chan"})

    def submit(self, study: str = "again", *, passed: bool = True, by: str = RESEARCHER, **changes: Any) -> str:
        """A request that waits, rehearsed."""
        name = f"{study}-{sha256_text(self.test)[:8]}"
        own = {"statement": replace(SAID, publication=sha256_text(self.test)[:8]), **changes}
        request = self.north.submit(replace(PLAN, study=name, **own), by).request_id
        self.north.books.rehearsals.end(Rehearsal(request, "passed" if passed else "failed"))
        return request

    @property
    def name(self) -> str:
        """The ledger counts each test's rule by its name."""
        return f"rule-{sha256_text(self.test)[:8]}"

    def rule(self, **changes: Any) -> KeptRule:
        wanted = WantedRule(self.name, self.like, 1.0, 1.0, ENDS, ("rounds=1..4", "learning_rate=0.1..1"), "weekly")
        return self.rules.book.make(replace(wanted, **changes), by="wu", named=True)

    def state(self, request: str) -> str:
        return self.north.book.state_of(request)[0]

    def asked(self, request: str) -> str:
        """What becomes of a request once the rules are asked about it."""
        self.rules.desk.look(request)
        return self.state(request)

    def limits(self, patch: pytest.MonkeyPatch, **limits: Any) -> None:
        config = self.north.books.limits._config
        patch.setattr(self.north.books.limits, "_config", replace(config, limits=replace(config.limits, **limits)))


@pytest.fixture
def ruled(governed_north: Governed, request: pytest.FixtureRequest) -> Iterator[Ruled]:
    north, deciders = governed_north, {"wu", "chan"}
    north.accounts.enrol(RESEARCHER)
    north.state.rules.unlink(missing_ok=True)
    people = People(lambda name: name in deciders, north.enrolment.in_good_standing)
    rules = open_rules(north.state.rules, north.book, north.books, people, north.enrolment.since)
    made = Ruled(north, rules, request.node.name, deciders=deciders)
    made.like = made.submit("like")
    north.book.approve(made.like, by="wu")
    yield made
    for row in north.book.index.page(state="pending").rows:
        north.book.withdraw(row.id, by=RESEARCHER)
    for row in north.book.index.page(state="approved").rows:
        north.book.end(row.id, reason="the test is over", by="tests")


def test_without_a_rule_nothing_is_approved(ruled: Ruled) -> None:
    assert ruled.asked(ruled.submit()) == "pending"


def test_what_is_like_an_approved_request_is_approved_and_says_by_which_rule(ruled: Ruled) -> None:
    kept, request = ruled.rule(), ruled.submit(rounds=3, learning_rate=0.9)
    assert ruled.asked(request) == "approved"
    north, by = ruled.north, f"rule {ruled.name} version {kept.version}"
    decision, held = north.books.approvals.of_request(request), north.books.ledger.held(request)
    assert decision is not None and held is not None
    assert (decision.decided_by, held.rule, held.charged) == (by, ruled.name, held.spend)
    assert (north.book.card(request).decided_by, north.book.index.page(count=1).rows[0].decided_by) == (by, by)
    event = north.events("request approved")[-1]
    assert (event["by"], event["rule"], event["rule_version"]) == (by, ruled.name, kept.version)
    assert north.book.approved_now(request).plan == decision.approved_plan


def test_the_same_under_another_name_which_a_card_tells_of_is_what_a_rule_may_approve(ruled: Ruled) -> None:
    ruled.rule()
    assert ruled.asked(ruled.submit("another-name")) == "approved"


def test_a_researcher_reads_that_it_is_approved_and_nothing_of_the_rule(ruled: Ruled) -> None:
    kept, request = ruled.rule(), ruled.submit()
    assert (ruled.asked(request), ruled.north.book.state_of(request)) == ("approved", ("approved", ""))
    receipts = Receipts("north", bytes(32), ruled.north.books)
    told = receipts.issue(request)
    assert "the hospital" in told
    assert ruled.name not in told and kept.version not in told


WAYS: dict[str, Callable[[Ruled], str]] = {
    "failed rehearsal": lambda ruled: ruled.submit(passed=False),
    "out of range": lambda ruled: ruled.submit(rounds=5),
    "another setting": lambda ruled: ruled.submit(momentum=0.1),
    "another model": lambda ruled: ruled.submit(model=replace(PLAN.model, options={"width": 8})),
    "less noise": lambda ruled: ruled.submit(privacy=PrivacySpec(1.9, 1.0, 1e-5)),
    "another purpose": lambda ruled: ruled.submit(statement=replace(SAID, purpose="We sell it.")),
    "no statement": lambda ruled: ruled.submit(statement=None),
    "another researcher": lambda ruled: ruled.submit(by=STRANGER),
    "a name that misleads": lambda ruled: ruled.submit("already-approved"),
}


def test_what_is_otherwise_goes_to_people(ruled: Ruled) -> None:
    ruled.rule()
    waiting = {way: submit(ruled) for way, submit in WAYS.items()}
    alike = ruled.submit("alike")
    ruled.rules.desk.look()
    assert {way: ruled.state(request) for way, request in waiting.items()} == dict.fromkeys(WAYS, "pending")
    assert ruled.state(alike) == "approved"


def _ask(ruled: Ruled, request: str) -> None:
    ruled.north.book.conversation.ask(request, "Which ward?", by="chan")


def _answered(ruled: Ruled, request: str) -> None:
    _ask(ruled, request)
    ruled.north.book.conversation.answer(request, "The third.", by=RESEARCHER)


def _deny_another(ruled: Ruled, request: str) -> None:
    ruled.north.book.deny(ruled.submit("other"), by="chan", reason="no")


def _new_rehearsal(ruled: Ruled, request: str) -> None:
    ruled.north.books.rehearsals.ask(request)


def _revoke(ruled: Ruled, request: str) -> None:
    ruled.north.accounts.revoke(RESEARCHER)


def _revoke_and_enrol(ruled: Ruled, request: str) -> None:
    ruled.north.accounts.revoke(RESEARCHER)
    ruled.north.accounts.enrol(RESEARCHER)


def _person_gone(ruled: Ruled, request: str) -> None:
    ruled.deciders.discard("wu")


def _damage(ruled: Ruled, request: str) -> None:
    ruled.north.state.rules.write_text("{")


def _off(ruled: Ruled, request: str) -> None:
    ruled.rules.book.switch_off(ruled.rules.book.all()[0].version, by="admin")


SINCE = [_ask, _answered, _deny_another, _new_rehearsal, _revoke, _revoke_and_enrol, _person_gone, _damage, _off]


@pytest.mark.parametrize("happens", SINCE, ids=[one.__name__.strip("_") for one in SINCE])
def test_what_has_happened_since_leaves_it_to_people(ruled: Ruled, happens: Callable[[Ruled, str], None]) -> None:
    ruled.rule()
    request = ruled.submit()
    happens(ruled, request)
    if happens is _damage:
        with pytest.raises(WanwuError):
            ruled.asked(request)
    else:
        ruled.asked(request)
    assert ruled.state(request) == "pending"


STRICTER: tuple[dict[str, Any], ...] = (
    {"approvals_needed": 2},
    {"max_rounds": 1},
    {"min_noise_multiplier": 3.0},
    {"total": PrivacyBudget(0.1, 1e-5)},
    {"max_study_epsilon": 0.1},
    {"max_researcher_epsilon": 0.1},
)


def test_no_rule_approves_what_people_could_not(ruled: Ruled) -> None:
    ruled.rule()
    request = ruled.submit()
    for limits in STRICTER:
        with pytest.MonkeyPatch.context() as patch:
            ruled.limits(patch, **limits)
            assert ruled.asked(request) == "pending", limits
            assert ruled.north.books.ledger.held(request) is None
    assert ruled.asked(request) == "approved"


def test_a_person_who_has_voted_is_not_overtaken(ruled: Ruled, monkeypatch: pytest.MonkeyPatch) -> None:
    ruled.limits(monkeypatch, approvals_needed=2)
    proposed = ruled.rule()
    ruled.rules.book.confirm(proposed.version, by="chan", named=True)
    waiting, request = ruled.submit("untouched"), ruled.submit()
    ruled.north.book.deny(request, by="lee", reason="no")
    assert (ruled.asked(request), ruled.asked(waiting)) == ("pending", "approved")


def test_a_month_that_is_full_leaves_the_next_to_people_also_under_another_version(ruled: Ruled) -> None:
    ruled.rule(max_month_epsilon=0.5)  # a tenth for each step: two requests of two rounds
    states = [ruled.asked(ruled.submit(f"s{number}")) for number in range(3)]
    assert states == ["approved", "approved", "pending"]
    ruled.rule(max_month_epsilon=0.55)
    assert ruled.asked(ruled.submit("s4")) == "pending"


def test_a_study_that_holds_all_that_the_rule_allows_goes_to_people(ruled: Ruled) -> None:
    ruled.rule(max_study_epsilon=0.3)
    assert [ruled.asked(ruled.submit("same")), ruled.asked(ruled.submit("same", rounds=1))] == ["approved", "approved"]
    assert ruled.asked(ruled.submit("same", rounds=2)) == "pending"


def test_a_rule_that_is_switched_off_while_it_is_asked_decides_nothing(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, request = ruled.rule(), ruled.submit()
    review = ruled.rules.desk._past.review

    def meanwhile(*asked: Any) -> Any:
        found = review(*asked)
        ruled.rules.book.switch_off(kept.version, by="admin")
        return found

    monkeypatch.setattr(ruled.rules.desk._past, "review", meanwhile)
    assert ruled.asked(request) == "pending"


def _vote(ruled: Ruled, request: str) -> None:
    ruled.north.book.deny(request, by="lee", reason="no")


def _withdraw(ruled: Ruled, request: str) -> None:
    ruled.north.book.withdraw(request, by=RESEARCHER)


def _need_three(ruled: Ruled, request: str) -> None:
    config = ruled.north.books.limits._config
    ruled.north.books.limits._config = replace(config, limits=replace(config.limits, approvals_needed=3))


MEANWHILE = [_vote, _ask, _new_rehearsal, _withdraw, _need_three]


@pytest.mark.parametrize("happens", MEANWHILE, ids=[one.__name__.strip("_") for one in MEANWHILE])
def test_what_people_begin_while_a_rule_is_asked_goes_before_it(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Ruled, str], None]
) -> None:
    ruled.limits(monkeypatch, approvals_needed=2)
    proposed = ruled.rule()
    ruled.rules.book.confirm(proposed.version, by="chan", named=True)
    request, moment = ruled.submit(), ruled.rules.desk._moment

    def meanwhile(*asked: Any) -> Any:
        found = moment(*asked)
        happens(ruled, request)
        return found

    monkeypatch.setattr(ruled.rules.desk, "_moment", meanwhile)
    assert ruled.asked(request) == ("withdrawn" if happens is _withdraw else "pending")
    assert ruled.north.books.ledger.held(request) is None


def test_a_request_that_is_changed_after_the_rule_was_asked_is_not_approved(
    ruled: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruled.rule()
    request, review = ruled.submit(), ruled.rules.desk._past.review
    monkeypatch.setattr(ruled.rules.desk._past, "review", lambda *asked: replace(review(*asked), digest="f" * 64))
    assert ruled.asked(request) == "pending"


def test_the_desk_hears_of_a_rehearsal_that_passed_and_of_a_new_rule(ruled: Ruled) -> None:
    from support.waiting import wait_for

    before = ruled.submit("before")
    ruled.rules.desk.start()
    try:
        ruled.rule()
        wait_for(lambda: ruled.state(before) == "approved")
        after = ruled.submit("after")
        ruled.north.books.audit.write("request rehearsed", request=after, answer="passed")
        wait_for(lambda: ruled.state(after) == "approved")
    finally:
        ruled.rules.desk.stop()


def test_a_dry_run_tells_what_the_rule_would_have_decided_and_decides_nothing(ruled: Ruled) -> None:
    book = ruled.north.book
    alike, denied, other = ruled.submit("alike"), ruled.submit("denied"), ruled.submit("other", rounds=9)
    book.deny(denied, by="chan", reason="no")
    wanted = WantedRule("night", ruled.like, 1.0, 0.45, ENDS, (), "weekly")
    found = ruled.rules.dry_run(ruled.rules.book.draft(wanted))
    rows = {row.request_id: row for row in found.rows}
    assert (rows[ruled.like].approves, rows[alike].approves) == (True, True)
    assert [one.text for one in rows[denied].reasons] == [
        "It would take the rule's 30 days to epsilon 0.60; the rule allows 0.45."
    ]
    assert [one.text for one in rows[other].reasons] == [
        "number of rounds is not as in the request that people approved."
    ]
    assert (found.approves, found.against_people) == (2, 0)
    assert (ruled.state(alike), len(ruled.rules.book.all())) == ("pending", 0)
    roomy = ruled.rules.dry_run(ruled.rules.book.draft(replace(wanted, max_month_epsilon=5.0)))
    assert (roomy.approves, roomy.against_people) == (3, 1)


def test_a_rule_is_like_what_people_approved_and_not_what_a_rule_did(ruled: Ruled) -> None:
    ruled.rule()
    request = ruled.submit()
    assert ruled.asked(request) == "approved"
    with pytest.raises(WanwuError, match="people approved"):
        ruled.rule(name="day", like=request)
