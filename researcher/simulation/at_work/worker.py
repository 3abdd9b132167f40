"""A worker of a simulation on Ray: a process on a core of the cluster.

The process that asks it imports this file too. So what trains, and needs torch, is imported in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from policies.errors import WanwuError
from researcher.evaluation.evaluation import Evaluation
from researcher.evaluation.hold_out import HoldOut
from researcher.simulation.made_up import MadeUpHospital, SharedPictures
from researcher.simulation.workers import Trained


class Worker:
    """Trains hospitals and scores models; see `BoundedTrainer`. It is begun before it has anything to do."""

    def __init__(self) -> None:
        """Imports what it will need, which takes longer than a plan is waited for."""
        from researcher.simulation.at_work import bounded_trainer  # late: it is what imports torch

        self._kind = bounded_trainer.BoundedTrainer

    def begin(
        self,
        plan: str,
        pictures: SharedPictures,
        hold_out: HoldOut,
        seed: int,
        memory_bytes: int,
        known: dict[str, str],
    ) -> None:
        """As `BoundedTrainer`; before anything else is asked of it. Where that fails the worker ends, as if it died."""
        try:
            self._trainer = self._kind(plan, pictures, hold_out, seed, memory_bytes, known)
        except Exception as error:
            raise SystemExit(f"A worker of a simulation cannot begin: {error}") from error

    def train(
        self, hospitals: Sequence[MadeUpHospital], round_index: int, weights: Mapping[str, np.ndarray]
    ) -> list[Trained] | WanwuError:
        """As `Trainer.train`, of one after the other; what it raises is returned, here and below: Ray would wrap it."""
        trained = []
        for hospital in hospitals:
            found = self._trainer.train(hospital, round_index, weights)
            if isinstance(found, WanwuError):
                return found
            trained.append(found)
        return trained

    def score_round(self, weights: Mapping[str, np.ndarray]) -> Evaluation | WanwuError:
        """As `evaluate_round`."""
        return self._trainer.score_round(weights)

    def score_model(self, weights: Mapping[str, np.ndarray]) -> Evaluation | WanwuError:
        """As `evaluate`."""
        return self._trainer.score_model(weights)
