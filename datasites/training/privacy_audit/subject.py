"""The trainer that is audited: its rounds as a hospital's runs take them, or with a fault built in on purpose.

Every part of the audit takes its rounds here. All pictures are drawn; nothing private is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from datasites.training.dp_sgd.engine_contract import EngineFactory
from datasites.training.engines import ENGINES
from datasites.training.gpu.step import has_gpu
from datasites.training.jobs import run_round
from datasites.training.local_round import train_round
from datasites.training.pictures.data import LabelledPictures
from datasites.training.privacy_audit.faults import with_fault
from datasites.training.process_group.process_group import SINGLE_PROCESS, ProcessGroup
from datasites.training.randomness.randomness import Noise, SecureRandom
from policies.plans.training import RunSpec, TrainingPlan

_SEEDS = 1000  # generators that one audit may ask for


@dataclass
class Subject:
    """The trainer that is audited.

    Attributes:
        fault: One of `FAULTS`, or None for what hospitals run.
        seed: Makes the rounds repeatable; None lets the trainer make its own generators, as hospitals do.
        engine: By its name in plans.
        device: `auto` or `cpu`, as in plans.
        process_group: The processes that take the steps.
    """

    fault: str | None = None
    seed: int | None = None
    engine: str = "book_keeping"
    device: str = "auto"
    process_group: ProcessGroup = SINGLE_PROCESS
    _taken: int = field(default=0, init=False)

    def run(self, physical_batch_size: int) -> RunSpec:
        """The plan's performance settings."""
        return RunSpec(device=self.device, physical_batch_size=physical_batch_size, engine=self.engine)

    @property
    def torch_device(self) -> str:
        """Where torch computes."""
        return (self.process_group.device or "cuda") if self.device == "auto" and has_gpu() else "cpu"

    def engine_factory(self) -> EngineFactory:
        """The engine, for what looks at sums without a round."""
        engine = ENGINES[self.engine]
        return engine if self.fault is None else with_fault(self.fault, SecureRandom(), engine, batch=1.0)[1]

    def generator(self) -> SecureRandom:
        """A generator that no other round was given."""
        self._taken += 1
        return SecureRandom() if self.seed is None else SecureRandom.for_tests(_SEEDS * self.seed + self._taken)

    def take(
        self,
        plan: TrainingPlan,
        round_index: int,
        weights: Mapping[str, np.ndarray],
        pictures: LabelledPictures,
        *,
        silent: bool = False,
    ) -> dict[str, np.ndarray]:
        """Takes one round of a plan and returns its update.

        Args:
            plan: A plan with privacy settings.
            round_index: From 0.
            weights: The global weights: name → float32, each of its parameter's shape.
            pictures: Drawn ones.
            silent: Whether the noise is zero, so that sampling and clipping show as they are.
        """
        if self.fault is None and self.seed is None and not silent:
            return run_round(plan, round_index, weights, pictures, process_group=self.process_group)
        random = Silent(self.generator()) if silent else self.generator()
        engine: EngineFactory | None = None
        if self.fault is not None:
            batch = plan.sample_rate * pictures.public_size
            random, engine = with_fault(self.fault, random, ENGINES[self.engine], batch=batch)
        return train_round(
            plan, round_index, weights, pictures, random=random, engine=engine, process_group=self.process_group
        )


class Silent(SecureRandom):
    """Draws samples as ever, and noise that is zero."""

    def __init__(self, sound: SecureRandom) -> None:
        self._sound = sound

    def uniform(self, count: int) -> np.ndarray:
        """As `SecureRandom.uniform`."""
        return self._sound.uniform(count)

    def noise(self, spread: float) -> Noise:
        """Noise that is zero, whatever the spread asked for."""
        return self._sound.noise(0.0)
