"""Each hospital's part in a study, from the rounds' records. Public states and reasons only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.answers.requests import STATES
from policies.errors import DatasiteUnreachable
from researcher.studies.history import RoundRecord
from researcher.studies.taking_part.canaries import FAILED
from researcher.studies.taking_part.canary_end import CanaryEnd
from researcher.studies.taking_part.invited import Invited

APPROVED, ENDED, REFUSED, UNREACHABLE = "approved", "ended", "refused", "unreachable"


@dataclass(frozen=True)
class LeftOut:
    """Rounds in a row whose mean lacks a hospital's update, and why.

    Attributes:
        first: The first of them.
        last: The last.
        reason: As it was told for the last.
    """

    first: int
    last: int
    reason: str

    @property
    def rounds(self) -> str:
        """Which, in words."""
        return f"round {self.first}" if self.first == self.last else f"rounds {self.first} to {self.last}"


@dataclass(frozen=True)
class Participation:
    """One hospital's part in a study.

    Attributes:
        decision: `approved`, also where it gave no update; `ended` where it ended an approved request; else what kept
            it away: another of the states of a request, `canary failed`, `refused` where it did not take the plan or
            knows the account no more, or `unreachable`.
        rounds: Those whose mean holds its update, in order.
        left_out: The others, in order.
    """

    decision: str
    rounds: tuple[int, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def standing(self) -> str:
        """In a word or two: its part where it approved and gave updates, else why it has none."""
        if not self.rounds:
            return "dropped" if self.decision == APPROVED else self.decision
        return "some rounds" if self.left_out else "all rounds"

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        left_out = [vars(one) for one in self.left_out]
        return {"decision": self.decision, "standing": self.standing, "rounds": list(self.rounds), "left_out": left_out}


def participation(datasite: str, records: Sequence[RoundRecord]) -> Participation:
    """A hospital's part in these rounds, which are all of a study's so far."""
    rounds = tuple(record.round for record in records if datasite in record.datasites)
    left_out: list[LeftOut] = []
    for record in records:
        if datasite in record.datasites:
            continue
        reason = record.skipped.get(datasite, "not asked")
        last = left_out[-1] if left_out else None
        if last and last.last == record.round - 1 and _kind(last.reason) == _kind(reason):
            left_out[-1] = LeftOut(last.first, record.round, reason)
        else:
            left_out.append(LeftOut(record.round, record.round, reason))
    return Participation(_decision(rounds, left_out), rounds, tuple(left_out))


def told_left_out(records: Sequence[RoundRecord]) -> list[str]:
    """Rounds without a hospital, those in a row for the same reason in one line; in the order in which one was missing.

    Args:
        records: All of a study's rounds so far.
    """
    names = dict.fromkeys(name for record in records for name in record.skipped)
    left_out = {name: participation(name, records).left_out for name in names}
    return [f"{one.rounds} without {name}: {one.reason}" for name in names for one in left_out[name]]


def told_canaries(ended: Mapping[str, CanaryEnd]) -> str:
    """What became of the two steps on the mock before each hospital's first round; empty where no hospital ran them.

    Args:
        ended: Datasite → how its canary ended last.
    """
    passed = [name for name, end in sorted(ended.items()) if end.passed]
    failed = [f"{name} ({end.reason})" for name, end in sorted(ended.items()) if not end.passed]
    ends = [f"it {how} at {', '.join(names)}" for how, names in (("passed", passed), ("failed", failed)) if names]
    told = f"A canary, two steps on drawn pictures, runs before a hospital's first round: {'; '.join(ends)}."
    return told if ends else ""


def told_invited(invited: Mapping[str, Invited]) -> str:
    """Which hospitals were asked after the others, and when; empty where all were asked at once.

    Args:
        invited: Datasite → when it was asked, of those.
    """
    return " ".join(f"{name} was {one.told()}." for name, one in invited.items())


def _decision(rounds: Sequence[int], left_out: Sequence[LeftOut]) -> str:
    if rounds:
        return (
            ENDED if left_out and left_out[-1].last > rounds[-1] and _kind(left_out[-1].reason) == ENDED else APPROVED
        )
    kinds = {_kind(one.reason) for one in left_out}
    if known := kinds & {*STATES, UNREACHABLE, REFUSED, FAILED}:
        last = _kind(left_out[-1].reason)
        return last if last in known else sorted(known)[0]
    return APPROVED


def _kind(reason: str) -> str:
    """What a reason says first: a state of the request, that nobody was there, or an error's code."""
    if reason.startswith(FAILED):
        return FAILED
    first = reason.partition(" ")[0].rstrip(":")
    return UNREACHABLE if first == DatasiteUnreachable.code else first
