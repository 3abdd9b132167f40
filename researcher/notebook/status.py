"""The status of a study: what hospitals decided, how far its rounds are, what was spent and what is left."""

from __future__ import annotations

from dataclasses import dataclass, field

from policies.answers import rounded
from policies.answers.hospital import BudgetAnswer
from policies.answers.requests import with_reason
from policies.errors import WanwuError
from policies.plans.training import TrainingPlan
from policies.untrusted_text import shown
from researcher.hospitals.connections.connecting import NOT_LET_IN
from researcher.html.element import Html, bar, element, listed, table, together
from researcher.reports import wording
from researcher.reports.participation import told_left_out
from researcher.studies.conversation import what_times_rest_on
from researcher.studies.history import History
from researcher.studies.submission import Submission
from researcher.studies.taking_part.roster import FOR_NOW

_SIGNS = {"approved": "✓", "pending": "…", "ended": "■"}


@dataclass(frozen=True)
class HospitalStatus:
    """One hospital's part of a study.

    Attributes:
        datasite: Which.
        request: Identifier of its request; empty where it did not take the plan.
        state: One of the states of a request, `unreachable`, or `refused`: it did not take the plan, or takes no
            question from this account.
        reason: The hospital's, or why it cannot be reached.
        questions: How many of its questions wait for an answer.
        rehearsal: What its own rehearsal on the mock came to, in a line; empty where there is none.
        spent: Epsilon that its ledger says this study spent; None where it said nothing yet.
        budget: What is left of the dataset there; None where it could not be asked.
        canary: How its canary ended, in a line; empty where none has.
        times_rest_on: What the times of its rehearsal rest on; empty where it told none.
        invited: When it was asked, in words, where that was after the others; else empty.
    """

    datasite: str
    request: str
    state: str
    reason: str = ""
    questions: int = 0
    rehearsal: str = ""
    spent: float | None = None
    budget: BudgetAnswer | None = None
    canary: str = ""
    times_rest_on: str = ""
    invited: str = ""

    def told(self) -> str:
        """It in one line."""
        request = f"{self.request[:8]} " if self.request else ""
        parts = [f"{self.datasite}: {request}{with_reason(self.state, self.reason)}"]
        if self.invited:
            parts.append(self.invited)
        if self.questions:
            parts.append(f"{wording.count(self.questions, 'question')} waiting for your answer")
        if self.canary:
            parts.append(f"canary {self.canary}")
        if self.spent is not None:
            parts.append(f"epsilon {rounded.cost(self.spent)} spent")
        if self.budget is not None:
            parts.append(f"{rounded.left(self.budget.epsilon_left)} of {self.budget.epsilon_total:g} left")
        return shown("; ".join(parts), most=2000)


@dataclass(frozen=True)
class StudyStatus:
    """A study at one time.

    Attributes:
        study: Its name.
        rounds: How many its plan has.
        hospitals: Each hospital's part.
        history: The rounds that are done.
    """

    study: str
    rounds: int
    hospitals: tuple[HospitalStatus, ...]
    history: History = field(default_factory=History)

    @property
    def decisions(self) -> dict[str, str]:
        """Datasite → state of its request."""
        return {one.datasite: one.state for one in self.hospitals}

    def __repr__(self) -> str:
        return "\n".join([self._summary(), *(f"  {one.told()}" for one in self.hospitals), *self._without()])

    def _repr_html_(self) -> Html:
        head = ["hospital", "request", "state", "reason", "questions", "rehearsal", "canary", "spent", "budget left"]
        told = table("Hospitals", head, map(_row, self.hospitals))
        done = bar(len(self.history), self.rounds, self._summary())
        rests_on = what_times_rest_on({one.datasite: one.times_rest_on for one in self.hospitals})
        notes = [*(shown(line, most=2000) for line in rests_on), *self._without()]
        return together(element("p", done), told, listed(notes), self.history.to_html())

    def _summary(self) -> str:
        return f"Study '{shown(self.study)}': {len(self.history)} of {wording.count(self.rounds, 'round')} done"

    def _without(self) -> list[str]:
        return [shown(line, most=2000) for line in told_left_out(self.history.records)]


def _row(one: HospitalStatus) -> list[object]:
    left: object = "not told"
    if one.budget is not None:
        told = f"{rounded.left(one.budget.epsilon_left)} of {one.budget.epsilon_total:g}"
        left = bar(one.budget.epsilon_left, one.budget.epsilon_total, told)
    spent = "nothing yet" if one.spent is None else f"epsilon {rounded.cost(one.spent)}"
    state = f"{_SIGNS.get(one.state, '✗')} {one.state}"
    asked = one.questions or "none"
    reason = "; ".join(filter(None, [one.reason, one.invited]))
    return [one.datasite, one.request[:8], state, reason, asked, one.rehearsal, one.canary, spent, left]


def status_of(study: Submission[TrainingPlan], history: History) -> StudyStatus:
    """How a study stands, as its hospitals say now; one that does not answer is told as that.

    Args:
        study: Which.
        history: Its rounds.
    """
    spent: dict[str, float] = {}
    for record in history.records:
        spent |= record.epsilon
    hospitals = [_asked(study, name, spent.get(name)) for name in study.requests]
    hospitals += [HospitalStatus(name, "", "refused", reason) for name, reason in study.refused.items()]
    return StudyStatus(study.plan.study, study.plan.rounds, tuple(hospitals), history)


def _asked(study: Submission[TrainingPlan], name: str, spent: float | None) -> HospitalStatus:
    request = study.requests[name].request_id
    canary = study.canaries[name].told() if name in study.canaries else ""
    invited = study.invited[name].told() if name in study.invited else ""
    try:
        answer = study.asked(name, lambda routes, request: routes.request(request))
        routes = study.hospital(name).routes
        rehearsal = routes.rehearsal(request)
        budget = routes.budget(study.plan.dataset)
    except WanwuError as error:
        let_in = not isinstance(error, NOT_LET_IN)
        state = "unreachable" if let_in and isinstance(error, FOR_NOW) else "refused"
        why = f"{error.code}: {error.public}"
        return HospitalStatus(name, request, state, why, canary=canary, spent=spent, invited=invited)
    return HospitalStatus(
        datasite=name,
        request=request,
        state=answer.state,
        reason=answer.reason,
        questions=answer.questions,
        rehearsal="" if rehearsal is None else rehearsal.told(with_assumptions=False),
        times_rest_on="" if rehearsal is None else rehearsal.times_rest_on,
        canary=canary,
        spent=spent,
        budget=budget,
        invited=invited,
    )
