"""Reviews as the console's pages show them: realistic ones, in several states, without a ledger or a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from datasites.approvals.threads import Message
from datasites.approvals.votes import APPROVE, DENY, Vote
from datasites.code_requests.calculator import DeclaredShapes
from datasites.code_requests.card import Unusual
from datasites.code_requests.request_index import STATES, RequestPage, RequestRow
from datasites.console.answers import RecordAnswer
from datasites.elsewhere.told_decisions import DecidedElsewhere
from datasites.rehearsal.rehearsals import Rehearsal
from datasites.review import findings, misleading, wording
from datasites.review.channels import channels_of
from datasites.review.questions import questions_of
from datasites.review.review import Changed, Cost, Differences, Review, ReviewFinding, Scope
from datasites.review.study_row import StudyRow
from policies.answers.odds import odds
from policies.answers.sentence import said
from policies.budget.limits import DatasetLimits
from policies.budget.membership import MembershipBounds
from policies.errors import RequestError, RequestUnknown
from policies.plans.plan_json import settings
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

ADA, BOB = "ada.lindqvist@uni-uppsala.example", "b.moreau@chu.example"
PENDING, FLAGGED, APPROVED, DENIED, UNREADABLE = (f"{digit}{'f3c9a1e' * 4}{digit * 3}" for digit in "57ab9")
TELLS_MUCH = "is below 0.5: each single step tells much of a unit."
RATES = (0.001, 0.01, 0.1)
PLAN = TrainingPlan(
    "pneumonia-screening",
    "chest-xrays",
    ModelSpec("small_cnn", (64, 64, 1), 2, {"width": 16}),
    10,
    40,
    0.02,
    0.5,
    privacy=PrivacySpec(1.4, 1.0, 1e-5, "patient"),
)
REHEARSED = Rehearsal(
    PENDING,
    "passed",
    seconds_a_step=14.0,
    peak_memory_mb=900,
    estimated_seconds_a_round=580.0,
    estimated_hours=1.6,
    assumptions="on one of the hospital's own GPUs with nothing else running, where a step computes as many pictures "
    "as one at the public size of 12000 does; without what the network takes",
)
ELSEWHERE = (
    DecidedElsewhere("Rigshospitalet", "approved", "2026-11-24", "", "0f4e 77c1 9a02 d3b8 5e6f 1c2d 8890 ab31"),
    DecidedElsewhere(
        "北京协和医院", "denied", "2026-11-25", "Our scanners differ.", "a1b2 c3d4 e5f6 0718 293a 4b5c 6d7e 8f90"
    ),
)
WORDS = {
    "name": "Ada Lindqvist",
    "institution": "Uppsala University, Department of Radiology",
    "contact": ADA,
    "purpose": "We ask whether a small network, trained across four hospitals, reads portable chest X-rays of adults "
    "as well as the residents on night duty do. The model is meant for triage research, not for care.",
    "protocol": "EPN 2026-0411",
    "publication": "An article in an open radiology journal, with the model's card.",
}


def _cost(*, over: bool = False) -> Cost:
    bounds = MembershipBounds(RATES, (0.0113, 0.0687, 0.3214), 0.91)
    in_all = MembershipBounds(RATES, (0.0196, 0.1034, 0.4127), 1.2)
    after = 9.4 if over else 3.12
    scopes = (Scope("dataset", 1.84, after, 8.0), Scope("researcher", 1.21, 2.71, 4.0), Scope("study", 0.0, 2.31, 4.0))
    return Cost(2.31, 1e-5, scopes, 0 if over else 6, False, odds(bounds, "patient"), bounds, in_all)


def review(request_id: str = PENDING, *, plan: TrainingPlan = PLAN, cost: Cost | None = None, **parts: Any) -> Review:
    """An ordinary request that waits, or with `parts` in the place of its own."""
    manifest = SimpleNamespace(
        name=plan.dataset,
        dataset_version=3,
        modality="radiograph",
        public_size=12_000,
        unit="patient",
        class_names=("clear", "pneumonia"),
    )
    checked: Any = SimpleNamespace(
        plan=plan, dataset=SimpleNamespace(manifest=manifest), digest="4c1d" * 16, researcher=ADA, account="8e20" * 16
    )
    cost, shapes = cost or _cost(), DeclaredShapes({}, {"conv": (16, 1, 3, 3), "head": (2, 4096)})
    computed, leaves = wording.computed(plan, "patient"), wording.leaves(plan, shapes)
    whole = Review(
        id=request_id,
        state="pending",
        researcher=ADA,
        submitted="2026-11-25T09:12:00+00:00",
        reason="",
        decided_by="",
        delta=1e-5,
        plan={name: value for name, value in settings(plan).items() if name != "statement"},
        epsilon=cost.epsilon,
        epsilon_left=6.16,
        numbers=8336,
        digest="c0ffee17" * 8,
        days_waiting=2,
        dataset_version=3,
        words=WORDS,
        enrolled_since="2026-03-02T09:00:00+00:00",
        decided_before={"approved": 2, "denied": 1},
        studies=(StudyRow(ADA, "cardiomegaly-baseline", 1.21, 10, 10, True, False),),
        computed=computed,
        leaves=leaves,
        model_from=wording.model_from(plan, None),
        model_digest="9b71d224" * 8,
        cost=cost,
        differences=(
            Differences(
                "researcher",
                APPROVED,
                "cardiomegaly-baseline",
                (
                    Changed("rounds", "number of rounds", "6", str(plan.rounds)),
                    Changed("privacy.noise_multiplier", "noise, as a multiple of what one unit can add", "1.2", "1.4"),
                ),
            ),
        ),
        channels=channels_of(checked, cost),
        questions=questions_of(
            checked, computed=computed, leaves=leaves, cost=cost, enrolled_since="2026-03-02", has_purpose=True
        ),
        gpu_hours=1.6,
        plan_digest=plan.digest(),
        elsewhere=ELSEWHERE,
        rehearsal=REHEARSED,
        thread=(
            Message(request_id, "dr.wu", "hospital", "Are portable images of wards among them?", "2026-11-26T08:12:00"),
            Message(request_id, ADA, "researcher", "Yes, all adults; no images of children.", "2026-11-26T15:40:00"),
        ),
    )
    return replace(whole, **parts)


def flagged() -> Review:
    """A request that three things speak against."""
    over = said(findings.OVER_BUDGET["dataset"], after="9.40", limit="8.00")
    claims = said(misleading.CLAIMS_APPROVAL, field="The statement's purpose")
    return review(
        FLAGGED,
        plan=replace(PLAN, study="night-shift"),
        cost=_cost(over=True),
        findings=(ReviewFinding("budget", over), ReviewFinding("text", claims)),
        unusual=(Unusual("privacy.noise_multiplier", f"noise_multiplier 0.4 {TELLS_MUCH}"),),
        words={**WORDS, "purpose": "The night shift asks for it, and your hospital has already approved the protocol."},
        thread=(),
        differences=(Differences("study", APPROVED, "night-shift", ()),),
    )


def decided(request_id: str, state: str, *votes: Vote, reason: str = "") -> Review:
    """A request that was decided on by these votes."""
    by = ", ".join(vote.person for vote in votes)
    return review(request_id, state=state, decided_by=by, reason=reason, votes=votes, days_waiting=0)


def unreadable() -> Review:
    """A request that cannot be read."""
    reason = said("It cannot be read as a request of this platform. {reason}", reason="WW404: The code is another.")
    return Review(
        id=UNREADABLE,
        state="pending",
        researcher=BOB,
        submitted="2026-11-26 10:00:00",
        reason="",
        decided_by="",
        delta=1e-5,
        finding="WW404: The code is another.",
        findings=(ReviewFinding("refused", reason),),
    )


def reviews() -> dict[str, Review]:
    """One request in each state that a page tells apart."""
    at = "2026-11-25T09:31:00+00:00"
    yes = (Vote("dr.wu", APPROVE, "", at), Vote("a.okoye", APPROVE, "", at))
    no = (Vote("dr.wu", DENY, "The ethics approval covers another hospital.", at),)
    made = (
        review(),
        flagged(),
        decided(APPROVED, "approved", *yes),
        decided(DENIED, "denied", *no, reason=no[0].reason),
        unreadable(),
    )
    return {one.id: one for one in made}


def row_of(one: Review) -> RequestRow:
    """A review's row of the list."""
    if not one.plan:
        return RequestRow(one.id, one.submitted, one.researcher)
    about = (str(one.plan["study"]), "training", "chest-xrays", "small_cnn", 10)
    return RequestRow(one.id, one.submitted, one.researcher, *about, epsilon=one.epsilon, state=one.state)


@dataclass
class FakeBook:
    """Requests, and what was done about them: (what, request, by, text)."""

    requests: dict[str, Review] = field(default_factory=reviews)
    needed: int = 1
    done: list[tuple[str, str, str, str]] = field(default_factory=list)

    def page(
        self,
        state: str | None = None,
        researcher: str | None = None,
        query: str = "",
        after: str | None = None,
        count: int = 50,
    ) -> RequestPage:
        if state not in (None, *STATES):
            raise RequestError("no such state")
        rows = [row_of(one) for one in self.requests.values()]
        counts = {one: sum(row.state == one for row in rows) for one in STATES}
        rows = [row for row in rows if state in (None, row.state) and researcher in (None, row.researcher)]
        rows = [row for row in rows if query in row.study]
        start = [row.id for row in rows].index(after) + 1 if after else 0
        chosen = rows[start : start + count]
        more = chosen[-1].id if len(rows) > start + count else None
        return RequestPage(tuple(chosen), more, counts)

    def review(self, request_id: str, viewer: str = "") -> Review:
        if request_id not in self.requests:
            raise RequestUnknown("No request begins so.")
        return self.requests[request_id]

    def record(self, request_id: str, language: str) -> RecordAnswer:
        if self.review(request_id).state == "pending":
            raise RequestError("There is a record once the request is decided.")
        return RecordAnswer(request_id, f"<!doctype html><html lang={language}><title>record</title>", "k", "d", ())

    def _vote(self, state: str, request_id: str, by: str, text: str) -> Review:
        self.done.append((state, request_id, by, text))
        before = self.requests[request_id]
        given = before.votes_given + 1
        if given >= self.needed:
            now = replace(before, state=state, reason=text, decided_by=by, votes_given=0)
        else:
            now = replace(before, votes_given=given, own_vote="approve")
        self.requests[request_id] = now
        return now

    def approve(self, request_id: str, *, by: str, named: bool) -> Review:
        return self._vote("approved", request_id, by, "")

    def deny(self, request_id: str, *, reason: str, by: str, named: bool) -> Review:
        return self._vote("denied", request_id, by, reason)

    def ask_for_a_change(self, request_id: str, *, reason: str, by: str, named: bool) -> Review:
        return self._vote("returned", request_id, by, reason)

    @property
    def conversation(self) -> Any:
        return SimpleNamespace(ask=lambda request, text, by: self.done.append(("ask", request, by, text)))


def limits(**parts: Any) -> DatasetLimits:
    """Limits with some of them at other values."""
    return replace(DatasetLimits(), **parts)
