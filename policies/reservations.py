"""What the ledger's entries mean: which request holds how much of a budget. Stays in the hospital."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from policies.chain import Entry
from policies.errors import LedgerBroken, NotReserved, PlanError, RoundRefused
from policies.steps import GaussianSteps, merged


@dataclass(frozen=True)
class CommittedRound:
    """A round that ran, the digest of its update, and what it spent: None without differential privacy."""

    spend: GaussianSteps | None
    update_digest: str


@dataclass(frozen=True)
class Reservation:
    """What an approved request may spend, what it has spent, and whether it has ended.

    Attributes:
        request_id: Of the code request.
        fingerprint: Of the picture store, which renamed copies share.
        dataset: Its name when the request was approved.
        study: Name of the study; requests of one researcher and study count together.
        researcher: Who asked.
        plan_digest: Of the approved plan.
        spend: The envelope: all that the request's rounds may spend together.
        rounds: How many rounds it covers, from 0.
        non_private: Whether it runs without differential privacy; then `spend` is empty, and the dataset's
            epsilon says nothing of these runs.
        committed: The rounds that ran.
        released: Why it ended, or None while it is live.
    """

    request_id: str
    fingerprint: str
    dataset: str
    study: str
    researcher: str
    plan_digest: str
    spend: tuple[GaussianSteps, ...]
    rounds: int
    non_private: bool
    committed: Mapping[int, CommittedRound] = field(default_factory=dict, hash=False)
    released: str | None = None

    @property
    def committed_spend(self) -> tuple[GaussianSteps, ...]:
        """What really ran."""
        return merged(done.spend for done in self.committed.values() if done.spend is not None)

    @property
    def charged(self) -> tuple[GaussianSteps, ...]:
        """What counts against the budget: the whole envelope while live, afterwards what really ran."""
        return self.spend if self.released is None else self.committed_spend

    def covers_same(self, other: Reservation) -> bool:
        """Whether both reserve the same for the same, whatever ran since."""
        return replace(self, committed={}, released=None) == replace(other, committed={}, released=None)

    def body(self) -> dict[str, Any]:
        """What a ledger entry keeps of a new reservation, besides the request and the fingerprint."""
        return {
            "dataset": self.dataset,
            "study": self.study,
            "researcher": self.researcher,
            "plan_digest": self.plan_digest,
            "spend": [steps_to_json(part) for part in self.spend],
            "rounds": self.rounds,
            "non_private": self.non_private,
        }

    @classmethod
    def from_entry(cls, entry: Entry, committed: Mapping[int, CommittedRound]) -> Self:
        """Reads what `body` wrote."""
        body = dict(entry.body)
        spend = tuple(GaussianSteps(**part) for part in body.pop("spend"))
        return cls(entry.request_id, entry.fingerprint, spend=spend, committed=committed, **body)

    def has_committed(self, round_index: int, spend: GaussianSteps | None, update_digest: str) -> bool:
        """Whether this very round with this very update is committed already.

        Raises:
            RoundRefused: The round is committed with another update or another spend.
        """
        done = self.committed.get(round_index)
        if done is None:
            return False
        if done != CommittedRound(spend, update_digest):
            raise RoundRefused(
                f"Round {round_index} of this request has run and was charged; its stored update is final."
            )
        return True

    def check_commit(self, round_index: int, spend: GaussianSteps | None) -> None:
        """Refuses a round that this reservation does not cover.

        Guarantees:
            All committed rounds together never spend more than the envelope.

        Raises:
            NotReserved: Released, a round outside it, or more than is left of the envelope.
        """
        if self.released is not None:
            raise NotReserved("This request has ended and its reservation is released. Submit a new request.")
        if isinstance(round_index, bool) or not isinstance(round_index, int):
            raise NotReserved(f"A round is a whole number, got {round_index!r}.")
        if not 0 <= round_index < self.rounds:
            raise NotReserved(
                f"The approved request covers rounds 0 to {self.rounds - 1}, got round {round_index}. "
                f"Submit a request for more rounds."
            )
        if (spend is None) != self.non_private:
            raise NotReserved("A round must be charged as its request was approved: with or without a spend.")
        if spend is not None and not _within((*self.committed_spend, spend), self.spend):
            raise NotReserved(
                f"Round {round_index} would run {spend.steps} steps at noise multiplier "
                f"{spend.noise_multiplier:g} and sample rate {spend.sample_rate:g}, more than is left of "
                f"what the hospital approved."
            )


def steps_to_json(part: GaussianSteps) -> dict[str, float | int]:
    """Plain values, for JSON; the names are those of the constructor."""
    return {"noise_multiplier": part.noise_multiplier, "sample_rate": part.sample_rate, "steps": part.steps}


def reservations(entries: Iterable[Entry]) -> dict[str, Reservation]:
    """All reservations by request, oldest first, as they stand after `entries`.

    Raises:
        LedgerBroken: An entry that no version of this platform has written.
    """
    standing: dict[str, Reservation] = {}
    rounds: defaultdict[str, dict[int, CommittedRound]] = defaultdict(dict)
    for entry in entries:
        try:
            if entry.kind == "reserve":
                standing[entry.request_id] = Reservation.from_entry(entry, rounds[entry.request_id])
            elif entry.kind == "release":
                reason = str(entry.body["reason"])
                standing[entry.request_id] = replace(standing[entry.request_id], released=reason)
            else:
                rounds[standing[entry.request_id].request_id].update([_committed(entry)])
        except (KeyError, TypeError, ValueError, PlanError) as error:
            raise LedgerBroken(
                "The hospital's privacy ledger does not verify; every run is refused. Ask its admin.",
                private=f"entry {entry.sequence} says what this version does not understand ({error!r}).",
            ) from error
    return standing


def _committed(entry: Entry) -> tuple[int, CommittedRound]:
    if entry.kind != "commit" or entry.round_index is None:
        raise ValueError(entry.kind)
    spend = entry.body["spend"]
    steps = None if spend is None else GaussianSteps(**spend)
    return entry.round_index, CommittedRound(steps, str(entry.body["update_digest"]))


def _within(spent: Iterable[GaussianSteps], envelope: Iterable[GaussianSteps]) -> bool:
    """Whether `spent` has no more steps than `envelope` for any noise and sample rate."""
    left: Counter[tuple[float, float]] = Counter()
    for part in envelope:
        left[part.noise_multiplier, part.sample_rate] += part.steps
    for part in spent:
        left[part.noise_multiplier, part.sample_rate] -= part.steps
    return all(steps >= 0 for steps in left.values())
