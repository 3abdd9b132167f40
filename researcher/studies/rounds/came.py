"""The outcome of a round at the study's hospitals: released updates, and why there are no others."""

from __future__ import annotations

from dataclasses import dataclass, field

from researcher.studies.rounds.datasite_round import DatasiteRound


class GivenUp(Exception):
    """Too few hospitals delivered, and those that are missing have lost the round: no more will come of it."""


@dataclass
class Came:
    """The outcome of a round.

    Attributes:
        results: Hospital → its part of this round.
        late: Hospital → how many rounds before this one its update in the mean was asked for.
        failed: Hospital → why it gave nothing.
        lost: Those of them that charged this round for nothing, or with other weights than it has now.
        epsilon: Hospital → spent, where it said so.
        bytes_up: To all.
        bytes_down: From all.
        waited_until: When it was last waited for a hospital, by the monotonic clock.
    """

    results: dict[str, DatasiteRound] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    epsilon: dict[str, float] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0
    waited_until: float = 0.0

    @property
    def names(self) -> set[str]:
        """Those whose update is in the mean."""
        return {*self.results, *self.late}

    def seconds(self, aggregated: float) -> dict[str, float]:
        """Seconds of each phase of the slowest hospital that delivered in time, and of the averaging from then on.

        What the round waited for others after that, which came late or not at all, is in none of them.
        """
        if not self.results:
            return dict.fromkeys(("queue", "transfer", "train", "aggregate"), 0.0)
        slowest = max(self.results.values(), key=lambda one: one.arrived)
        return {
            "queue": slowest.queue_seconds,
            "transfer": slowest.transfer_seconds,
            "train": slowest.train_seconds,
            "aggregate": aggregated - max(slowest.arrived, self.waited_until),
        }
