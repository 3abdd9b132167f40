"""Workers of a simulation: who trains made-up hospitals, and hands their updates on in the hospitals' order.

The process that asks them neither trains nor scores, and imports no torch: it would take as much memory as a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from researcher.simulation.made_up import MadeUpHospital

if TYPE_CHECKING:  # a trainer needs no reader of pictures' files
    from researcher.evaluation.evaluation import Evaluation
    from researcher.strategies import Weights

Begun = Callable[[MadeUpHospital], None]
Stepped = Callable[[MadeUpHospital, int], None]
"""Told a hospital, and how many steps of its round it has taken."""
Retried = Callable[[str, int], None]
"""Told a hospital's name and the round, from 0."""


@dataclass(frozen=True)
class Trained:
    """One hospital's part in a round.

    Attributes:
        update: Name → float32 array of the parameter's shape, as it is after the plan's encoding.
        size_bytes: Of the encoded update.
        seconds: That the training took.
        stays: Name → float32 array of each parameter that the plan's strategy keeps at the hospital, as it became;
            empty for most strategies.
    """

    update: dict[str, np.ndarray]
    size_bytes: int
    seconds: float
    stays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Sent:
    """What the hospitals are sent in a round, as they have it once it is decoded: name → float32 array of its shape.

    Attributes:
        to: Makes what one hospital is sent; the same each time it is asked in a round.
        alike: Whether all are sent the same.
    """

    to: Callable[[MadeUpHospital], Weights]
    alike: bool


class Workers(Protocol):
    """Trains a round at every hospital."""

    def train(
        self, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun, stepped: Stepped
    ) -> Iterator[Trained]:
        """Yields each hospital's part, in their order, so that sums are the same however many workers there are.

        Args:
            sent: To the hospitals.
            round_index: From 0.
            hospitals: Whom to ask.
            begun: Told a hospital when its training begins, and again where it begins again.
            stepped: Told a hospital's steps on the way, by workers that know of them before it is done.
        """
        ...

    def score_round(self, weights: Weights) -> Callable[[], Evaluation]:
        """Has a round's global model scored on the hold-out, as `evaluate_round` does, before what is asked for next.

        Returns:
            What waits for the scores.
        """
        ...

    def score_models(self, models: Sequence[Callable[[], Weights]]) -> Iterator[Evaluation]:
        """Yields the scores of whole models on the hold-out, in their order.

        Args:
            models: Each makes one when its turn comes, so that few are in memory.
        """
        ...
