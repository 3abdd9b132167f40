"""Reservations, computed from the ledger's entries: which request holds how much of a budget. Stays in the hospital."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

from policies.budget.steps import GaussianSteps, merged
from policies.errors import LedgerBroken, NotReserved, PlanError, RoundRefused
from policies.ledger.chain import Entry

# Stands for the update of a round that was charged and gave none: SHA-256 of no bytes.
NOTHING_LEFT = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class StartedRound:
    """A round that was charged before it read a picture: what it spends, and the weights that it alone may run with."""

    spend: GaussianSteps | None
    weights_digest: str


@dataclass(frozen=True)
class CommittedRound:
    """A round that has ended: what it spent, None without differential privacy, and its update's digest.

    The digest is `NOTHING_LEFT` where the round gave no update.
    """

    spend: GaussianSteps | None
    update_digest: str


@dataclass(frozen=True)
class Reservation:
    """What an approved request may spend, what it has spent, and whether it has ended.

    Attributes:
        request_id: Of the code request.
        fingerprint: Of the dataset's lineage, which renamed copies and later versions share.
        dataset: Its name when the request was approved.
        study: Name of the study; requests of one researcher and study count together.
        researcher: Who asked.
        plan_digest: Of the approved plan.
        spend: The envelope: all that the request's rounds may spend together.
        rounds: How many rounds it covers, from 0.
        non_private: Whether it runs without differential privacy; then `spend` is empty, and the dataset's
            epsilon says nothing of these runs.
        dataset_version: Which version of the dataset the request was approved on; all its rounds read that one.
        started: The rounds that were charged at their start; rounds of older ledgers were not.
        committed: The rounds that ended.
        released: Why it ended, or None while it is live.
        rule: Name of the hospital's rule that approved it; empty where people did.
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
    dataset_version: int = 1
    started: Mapping[int, StartedRound] = field(default_factory=dict, hash=False)
    committed: Mapping[int, CommittedRound] = field(default_factory=dict, hash=False)
    released: str | None = None
    rule: str = ""

    @property
    def rounds_charged(self) -> dict[int, CommittedRound]:
        """Every round that is charged, in order: ended ones as they are, the others as if nothing had come of them."""
        begun = {index: CommittedRound(one.spend, NOTHING_LEFT) for index, one in self.started.items()}
        return dict(sorted({**begun, **self.committed}.items()))

    @property
    def spent(self) -> tuple[GaussianSteps, ...]:
        """What its rounds are charged: each that started, whatever came of it."""
        return merged(one.spend for one in self.rounds_charged.values() if one.spend is not None)

    @property
    def charged(self) -> tuple[GaussianSteps, ...]:
        """What counts against the budget: the whole envelope while live, afterwards what its rounds are charged."""
        return self.spend if self.released is None else self.spent

    def covers_same(self, other: Reservation) -> bool:
        """Whether both reserve the same for the same, whoever approved it and whatever ran since."""
        return self._as_reserved() == other._as_reserved()

    def body(self) -> dict[str, object]:
        """What a ledger entry keeps of a new reservation, besides the request and the fingerprint."""
        later: dict[str, object] = {"dataset_version": self.dataset_version} if self.dataset_version > 1 else {}
        later |= {"rule": self.rule} if self.rule else {}
        return {
            "dataset": self.dataset,
            "study": self.study,
            "researcher": self.researcher,
            "plan_digest": self.plan_digest,
            "spend": [steps_to_json(part) for part in self.spend],
            "rounds": self.rounds,
            "non_private": self.non_private,
            **later,
        }

    @classmethod
    def from_entry(cls, entry: Entry, rounds: _Rounds) -> Self:
        """Reads what `body` wrote."""
        body = dict(entry.body)
        spend = steps_of(entry)
        del body["spend"]
        return cls(
            entry.request_id,
            entry.fingerprint,
            spend=spend,
            started=rounds.started,
            committed=rounds.committed,
            **body,
        )

    def has_started(self, round_index: int, spend: GaussianSteps | None, weights_digest: str) -> bool:
        """Whether this very round has started already, with these very weights.

        Raises:
            RoundRefused: It started with other weights or another spend, or has ended.
        """
        if round_index in self.committed:
            raise RoundRefused(
                f"Round {round_index + 1} of this request has ended and was charged; what it gave is final."
            )
        begun = self.started.get(round_index)
        if begun is None:
            return False
        if begun != StartedRound(spend, weights_digest):
            raise RoundRefused(
                f"Round {round_index + 1} of this request has started and was charged with other weights. Ask for it "
                "with those, or go on with the next round."
            )
        return True

    def check_start(self, round_index: int, spend: GaussianSteps | None) -> None:
        """Refuses a round that this reservation does not cover.

        Guarantees:
            All rounds that start together never spend more than the envelope.

        Raises:
            NotReserved: Released, a round outside it, or more than is left of the envelope.
        """
        self.check_live()
        if isinstance(round_index, bool) or not isinstance(round_index, int):
            raise NotReserved(f"A round is a whole number, got {round_index!r}.")
        if not 0 <= round_index < self.rounds:
            raise NotReserved(
                f"The approved request covers rounds 1 to {self.rounds}, got round {round_index + 1}. "
                f"Submit a request for more rounds."
            )
        if (spend is None) != self.non_private:
            raise NotReserved("A round must be charged as its request was approved: with or without a spend.")
        if spend is not None and not _within((*self.spent, spend), self.spend):
            raise NotReserved(
                f"Round {round_index + 1} would run {spend.steps} steps at noise multiplier "
                f"{spend.noise_multiplier:g} and sample rate {spend.sample_rate:g}, more than is left of "
                f"what the hospital approved."
            )

    def has_committed(self, round_index: int, update_digest: str) -> bool:
        """Whether this very round has ended already, with this very update.

        Raises:
            RoundRefused: It ended with another one.
            NotReserved: It never started, or the request has ended.
        """
        done = self.committed.get(round_index)
        if done is None:
            self.check_live()
            if round_index not in self.started:
                raise NotReserved(
                    f"Round {round_index + 1} has not started, so it was not charged and may give nothing."
                )
            return False
        if done.update_digest != update_digest:
            raise RoundRefused(
                f"Round {round_index + 1} of this request has ended and was charged; what it gave is final."
            )
        return True

    def check_live(self) -> None:
        """Refuses a request that has ended.

        Raises:
            NotReserved: It has.
        """
        if self.released is not None:
            raise NotReserved("This request has ended and its reservation is released. Submit a new request.")

    def _as_reserved(self) -> Self:
        return replace(self, started={}, committed={}, released=None, rule="")


NONE: Mapping[str, Reservation] = MappingProxyType({})


def steps_to_json(part: GaussianSteps) -> dict[str, float | int]:
    """Plain values, for JSON; the names are those of the constructor. What is not allocated reads as it always did."""
    allocated = {"allocated_over": part.allocated_over} if part.allocated_over else {}
    return {
        "noise_multiplier": part.noise_multiplier,
        "sample_rate": part.sample_rate,
        "steps": part.steps,
        **allocated,
    }


def steps_of(entry: Entry) -> tuple[GaussianSteps, ...]:
    """The envelope that an entry reserves."""
    return tuple(GaussianSteps(**part) for part in entry.body["spend"])


def reservations(entries: Iterable[Entry], before: Mapping[str, Reservation] = NONE) -> dict[str, Reservation]:
    """All reservations by request, oldest first, as they stand after `entries`.

    Args:
        entries: In order.
        before: How they stood before these entries, which stays as it is.

    Raises:
        LedgerBroken: An entry that no version of this platform has written.
    """
    standing = dict(before)
    rounds: dict[str, _Rounds] = {}  # of the requests that these entries are of
    for entry in entries:
        try:
            if entry.request_id not in rounds:
                rounds[entry.request_id] = _Rounds.taken_up(standing, entry.request_id)
            if entry.kind == "reserve":
                standing[entry.request_id] = Reservation.from_entry(entry, rounds[entry.request_id])
            elif entry.kind == "release":
                reason = str(entry.body["reason"])
                standing[entry.request_id] = replace(standing[entry.request_id], released=reason)
            else:
                rounds[standing[entry.request_id].request_id].add(entry)
        except (KeyError, TypeError, ValueError, PlanError) as error:
            raise LedgerBroken(
                "The hospital's privacy ledger does not verify; every run is refused. Ask its admin.",
                private=f"entry {entry.sequence} says what this version does not understand ({error!r}).",
            ) from error
    return standing


@dataclass(frozen=True)
class _Rounds:
    """The rounds of one request, while its entries are read."""

    started: dict[int, StartedRound] = field(default_factory=dict)
    committed: dict[int, CommittedRound] = field(default_factory=dict)

    @classmethod
    def taken_up(cls, standing: dict[str, Reservation], request_id: str) -> Self:
        """A request's rounds to go on with; its reservation gets them in the place of its own, which stay."""
        held = standing.get(request_id)
        if held is None:
            return cls()
        made = cls(dict(held.started), dict(held.committed))
        standing[request_id] = replace(held, started=made.started, committed=made.committed)
        return made

    def add(self, entry: Entry) -> None:
        index, begun = entry.round_index, self.started.get(entry.round_index or 0)
        if index is None or index in self.committed or (entry.kind == "start" and begun is not None):
            raise ValueError(f"{entry.kind} of round {index}")
        if entry.kind == "start":
            self.started[index] = StartedRound(_steps(entry.body["spend"]), str(entry.body["weights_digest"]))
        elif entry.kind == "commit":
            # Older versions charged a round at its end: their commits name a spend, and no start came before.
            spend = _steps(entry.body["spend"]) if begun is None else begun.spend
            self.committed[index] = CommittedRound(spend, str(entry.body["update_digest"]))
        else:
            raise ValueError(entry.kind)


def _steps(values: Any) -> GaussianSteps | None:
    return None if values is None else GaussianSteps(**values)


def _within(spent: Iterable[GaussianSteps], envelope: Iterable[GaussianSteps]) -> bool:
    """Whether `spent` has no more steps than `envelope` for any noise, sample rate and way of drawing."""
    left: Counter[tuple[float, float, int]] = Counter()
    for part in envelope:
        left[part.noise_multiplier, part.sample_rate, part.allocated_over] += part.steps
    for part in spent:
        left[part.noise_multiplier, part.sample_rate, part.allocated_over] -= part.steps
    return all(steps >= 0 for steps in left.values())
