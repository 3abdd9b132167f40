"""Workers of a simulation: who trains made-up hospitals, and hands their updates on in the hospitals' order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from policies.plans.training import TrainingPlan
from researcher.simulation.made_up import MadeUpHospital, SharedPictures
from researcher.simulation.trainer import Trained, Trainer

Begun = Callable[[MadeUpHospital], None]
Retried = Callable[[str, int], None]
"""Told a hospital's name and the round, from 0."""


class Workers(Protocol):
    """Trains a round at every hospital."""

    def train(
        self, weights: Mapping[str, np.ndarray], round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun
    ) -> Iterator[Trained]:
        """Yields each hospital's part, in their order, so that sums are the same however many workers there are.

        Args:
            weights: Name → float32 array of the parameter's shape, as the hospitals are sent them.
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
        self, weights: Mapping[str, np.ndarray], round_index: int, hospitals: Sequence[MadeUpHospital], begun: Begun
    ) -> Iterator[Trained]:
        """As `Workers.train`."""
        for hospital in hospitals:
            begun(hospital)
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # what a gradient is to the last bit may hang on it
            try:
                trained = self._trainer.train(hospital, round_index, weights)
            finally:
                torch.set_num_threads(threads)
            yield trained
