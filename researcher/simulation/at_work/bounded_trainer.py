"""A trainer of made-up hospitals in a process that it bounds in threads and memory. All data are the researcher's."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from datasites.training.dp_sgd.memory import is_out_of_memory, keep_freed_memory
from policies.errors import ConfigError, OutOfMemory, WanwuError
from policies.plans.training import TrainingPlan
from policies.versions import packages
from researcher.evaluation.evaluation import Evaluation, evaluate
from researcher.evaluation.hold_out import HoldOut
from researcher.evaluation.shared_part import evaluate_round
from researcher.simulation.made_up import MadeUpHospital, SharedPictures
from researcher.simulation.trainer import Trainer
from researcher.simulation.workers import Trained

_T = TypeVar("_T")


class BoundedTrainer:
    """Trains hospitals and scores models; what it raises is returned, as Ray would wrap it."""

    def __init__(
        self,
        plan: str,
        pictures: SharedPictures,
        hold_out: HoldOut,
        seed: int,
        memory_bytes: int,
        known: dict[str, str],
    ) -> None:
        """Bounds itself, then sets nothing up yet.

        Args:
            plan: As JSON.
            pictures: In the cluster's store.
            hold_out: Likewise.
            seed: Of the simulation.
            memory_bytes: That it may take beside what it has.
            known: Versions that the simulation's own process has.
        """
        torch.set_num_threads(1)
        keep_freed_memory()
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes, most))
        self._differs = {name: own for name, own in packages.installed().items() if known.get(name) != own}
        self._plan, self._hold_out = TrainingPlan.from_json(plan), hold_out
        self._trainer = Trainer(self._plan, pictures, seed)

    def train(
        self, hospital: MadeUpHospital, round_index: int, weights: Mapping[str, np.ndarray]
    ) -> Trained | WanwuError:
        """As `Trainer.train`."""
        return self._told(lambda: self._trainer.train(hospital, round_index, weights))

    def score_round(self, weights: Mapping[str, np.ndarray]) -> Evaluation | WanwuError:
        """As `evaluate_round`."""
        return self._told(lambda: evaluate_round(self._plan, weights, self._hold_out))

    def score_model(self, weights: Mapping[str, np.ndarray]) -> Evaluation | WanwuError:
        """As `evaluate`."""
        return self._told(lambda: evaluate(self._plan.model, weights, self._hold_out))

    def _told(self, do: Callable[[], _T]) -> _T | WanwuError:
        if self._differs:
            name, own = next(iter(self._differs.items()))
            return ConfigError(
                f"A machine of the cluster has {name} {own}, this one has another. Install the same there."
            )
        try:
            return do()
        except WanwuError as error:
            return error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return OutOfMemory(
                "A worker's memory does not hold a step. Lower --physical_batch_size, or raise --worker_memory."
            )
