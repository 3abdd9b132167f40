"""A worker of a simulation on Ray: a process on a core of the cluster.

The process that asks it imports this file too. So what trains, and needs torch, is imported where a worker begins.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from policies.errors import WanwuError
from researcher.evaluation.evaluation import Evaluation
from researcher.evaluation.hold_out import HoldOut
from researcher.simulation.made_up import MadeUpHospital, SharedPictures
from researcher.simulation.workers import Trained


class Worker:
    """Trains hospitals and scores models; see `BoundedTrainer`."""

    def __init__(
        self,
        plan: str,
        pictures: SharedPictures,
        hold_out: HoldOut,
        seed: int,
        memory_bytes: int,
        known: dict[str, str],
    ) -> None:
        """As `BoundedTrainer`."""
        from researcher.simulation.at_work.bounded_trainer import BoundedTrainer  # late: it is what imports torch

        self._trainer = BoundedTrainer(plan, pictures, hold_out, seed, memory_bytes, known)

    def train(
        self, hospital: MadeUpHospital, round_index: int, weights: Mapping[str, np.ndarray]
    ) -> Trained | WanwuError:
        """As `Trainer.train`; what it raises is returned, here and below, as Ray would wrap it."""
        return self._trainer.train(hospital, round_index, weights)

    def score_round(self, weights: Mapping[str, np.ndarray]) -> Evaluation | WanwuError:
        """As `evaluate_round`."""
        return self._trainer.score_round(weights)

    def score_model(self, weights: Mapping[str, np.ndarray]) -> Evaluation | WanwuError:
        """As `evaluate`."""
        return self._trainer.score_model(weights)
