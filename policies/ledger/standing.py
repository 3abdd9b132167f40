"""The reservations as they stand after some entries, and what they charge, computed once. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.budget.steps import GaussianSteps
from policies.errors import NotReserved, RequestAltered
from policies.ledger.budget_check import charged
from policies.ledger.chain import Draft, Entry
from policies.ledger.reservations import Reservation, reservations

_Chosen = tuple[str | None, ...]


@dataclass(frozen=True)
class Standing:
    """What a ledger's entries come to.

    Attributes:
        entries: The verified entries.
        held: The reservations by request, oldest first.
    """

    entries: tuple[Entry, ...] = ()
    held: Mapping[str, Reservation] = field(default_factory=dict)
    _charged: dict[_Chosen, tuple[GaussianSteps, ...]] = field(default_factory=dict)

    def after(self, entries: tuple[Entry, ...]) -> Standing:
        """What these entries come to: this very value where they are the same ones.

        Where they go on from the ones known, only what is new is read: each one's hash covers all before it.

        Args:
            entries: Verified, all of them.

        Raises:
            LedgerBroken: An entry that no version of this platform has written.
        """
        known = len(self.entries)
        if entries is self.entries:
            return self
        if 0 < known <= len(entries) and entries[known - 1].hash == self.entries[-1].hash:
            return self if len(entries) == known else Standing(entries, reservations(entries[known:], self.held))
        return Standing(entries, reservations(entries))

    def unless_held(self, lost: Reservation) -> Draft | None:
        """What reserves that reservation; None where there is one of its request."""
        draft = Draft("reserve", lost.fingerprint, lost.request_id, lost.body())
        return None if lost.request_id in self.held else draft

    def charged(
        self, fingerprint: str, *, study: str | None, researcher: str | None, request_id: str | None
    ) -> tuple[GaussianSteps, ...]:
        """What is charged to a dataset; see `Ledger.history`."""
        chosen = (fingerprint, study, researcher, request_id)
        known = self._charged.get(chosen)
        if known is None:
            known = self._charged[chosen] = charged(
                held
                for held in self.held.values()
                if held.fingerprint == fingerprint
                and study in (None, held.study)
                and researcher in (None, held.researcher)
                and request_id in (None, held.request_id)
            )
        return known


def reserved(standing: Mapping[str, Reservation], request_id: str) -> Reservation:
    held = standing.get(request_id)
    if held is None:
        raise NotReserved("No budget is reserved for this request. It must be approved before it can run.")
    return held


def same_reservation(held: Reservation, wanted: Reservation) -> Reservation:
    if not held.covers_same(wanted):
        raise RequestAltered(
            "This request holds a reservation with other content. Submit what changed as a new request."
        )
    if held.released is not None:
        raise NotReserved("This request has ended and its reservation is released. Submit a new request.")
    return held
