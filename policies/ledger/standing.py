"""The reservations as they stand after some entries, and what they charge, computed once. It stays in the hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from policies.budget.steps import GaussianSteps
from policies.ledger.budget_check import charged
from policies.ledger.chain import Entry
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

        Raises:
            LedgerBroken: An entry that no version of this platform has written.
        """
        return self if entries is self.entries else Standing(entries, reservations(entries))

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
