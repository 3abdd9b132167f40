"""The part of a budget that approved studies keep where it is lowered below that; nobody outside is told."""

from __future__ import annotations

from dataclasses import dataclass

from datasites.code_requests.books import Books
from policies.answers import rounded
from policies.ledger.reservations import Reservation


@dataclass(frozen=True)
class KeptEnvelopes:
    """What a budget does not hold any more.

    Attributes:
        epsilon: What is spent and reserved of the dataset.
        studies: How many approved studies have not ended, and go on.
    """

    epsilon: float
    studies: int

    @property
    def told(self) -> str:
        """For who lowers the budget at a terminal."""
        spent = rounded.cost(self.epsilon)
        if not self.studies:
            return f"Spent and reserved are epsilon {spent} already. No study is approved from then on."
        return (
            f"Spent and reserved are epsilon {spent} already. Approved studies that go on with what was reserved for "
            f"them: {self.studies}; end those that are not to. No new one is approved."
        )


def kept_beyond(books: Books, epsilon: float) -> KeptEnvelopes | None:
    """What studies keep of a dataset's budget beyond a total; None where the total holds all of it."""
    held: dict[str, list[Reservation]] = {}
    for one in books.ledger.reservations().values():
        if not one.non_private:
            held.setdefault(one.fingerprint, []).append(one)
    kept = [
        KeptEnvelopes(
            books.epsilon_charged(books.ledger.history(fingerprint)), sum(one.released is None for one in studies)
        )
        for fingerprint, studies in held.items()
    ]
    most = max(kept, key=lambda one: one.epsilon, default=None)
    return most if most is not None and most.epsilon > epsilon else None
