"""Workers of a simulation: who trains made-up hospitals, and hands their updates on in the hospitals' order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from policies.plans.training import TrainingPlan
from researcher.simulation.made_up import MadeUpHospital, SharedPictures
from researcher.simulation.trainer import Trained, Trainer
from researcher.strategies import Weights

Begun = Callable[[MadeUpHospital], None]
Retried = Callable[[str, int], None]
"""Told a hospital's name and the round, from 0."""


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
        self, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun
    ) -> Iterator[Trained]:
        """Yields each hospital's part, in their order, so that sums are the same however many workers there are.

        Args:
            sent: To the hospitals.
            round_index: From 0.
            hospitals: Whom to ask.
            begun: Told a hospital when its training begins, and again where it begins again.
        """
        ...


class InThisProcess:
    """Trains in the process that calls it, one hospital after the other, in one thread as other workers do."""

    def __init__(self, plan: TrainingPlan, pictures: SharedPictures, seed: int) -> None:
        """Sets nothing up yet; see `Trainer`."""
        self._trainer = Trainer(plan, pictures, seed)

    def train(
        self, sent: Sent, round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun
    ) -> Iterator[Trained]:
        """As `Workers.train`."""
        for hospital in hospitals:
            begun(hospital)
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # what a gradient is to the last bit may hang on it
            try:
                trained = self._trainer.train(hospital, round_index, sent.to(hospital))
            finally:
                torch.set_num_threads(threads)
            yield trained
