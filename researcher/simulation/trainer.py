"""Trains made-up hospitals one after the other by the datasites' own trainer. Nothing in here is private.

What does not hang on a hospital is set up once: the model, its engine, and the look at the device for each size.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from datasites.training.dp_sgd.private_step import Shaped, find_shape
from datasites.training.dp_sgd.step_sums import CalledSums, StepSums
from datasites.training.local_round import PreparedTraining, Progress, prepare_training
from datasites.training.losses import loss_of
from datasites.training.process_group.process_group import SINGLE_PROCESS
from datasites.training.randomness.randomness import SecureRandom
from policies.contracts.encodings import decode, encode, largest_size
from policies.contracts.weights import Malformed
from policies.errors import InputRefused
from policies.plans.server.beside import apart
from policies.plans.server.local_part import local, shared
from policies.plans.training import TrainingPlan
from researcher.simulation.at_work.recorded import DrawnAlone, recorded_gradients
from researcher.simulation.made_up import MadeUpHospital, SharedPictures
from researcher.simulation.workers import Trained


def randomness(seed: int, hospital: str, round_index: int) -> SecureRandom:
    """The generator of a hospital's draws and noise in a round: always the same, so a round can be trained again.

    Whoever knows the seed can take the noise off again. No datasite can be asked for such a generator.

    Args:
        seed: Of the simulation.
        hospital: Its name.
        round_index: From 0.
    """
    return SecureRandom.for_tests(int.from_bytes(_digest(seed, hospital, round_index)))


class Trainer:
    """Trains one plan's rounds at any of the made-up hospitals, on a processor."""

    def __init__(self, plan: TrainingPlan, pictures: SharedPictures, seed: int) -> None:
        """Sets nothing up yet.

        Args:
            plan: The study's.
            pictures: Of all hospitals.
            seed: Of the simulation.
        """
        self._plan = replace(plan, run=replace(plan.run, device="cpu"))
        self._pictures, self._seed = pictures, seed
        self._prepared: PreparedTraining | None = None
        self._shapes: dict[int, Shaped | None] = {}
        self._sums: StepSums | None = None

    def train(
        self,
        hospital: MadeUpHospital,
        round_index: int,
        weights: Mapping[str, np.ndarray],
        progress: Progress = lambda done, total: None,
    ) -> Trained:
        """One hospital's update, the same for the same arguments to the last bit.

        Args:
            hospital: Whose.
            round_index: From 0.
            weights: Name → float32 array of the parameter's shape: the round's global weights, with the hospital's own
                part in them where it keeps one, and what the plan's strategy sends this hospital beside them.
            progress: Told (steps done, steps in the round) after each step.

        Raises:
            PlanError, DataError, RoundRefused, InputRefused, NotRepeatable, OutOfMemory: As `train_round`.
        """
        begun = time.monotonic()
        prepared = self._prepare(hospital.public_size, round_index, weights)
        random = randomness(self._seed, hospital.name, round_index)
        whole = prepared.train(self._pictures.of(hospital), progress=progress, random=random)
        took = time.monotonic() - begun
        update, stays = shared(self._plan, whole), became(weights, local(self._plan, whole))
        shapes = {name: array.shape for name, array in update.items()}
        encoding = self._plan.update_encoding
        most = largest_size(shapes, encoding)
        if encoding == "none":
            return Trained(update, most, took, stays)
        try:
            content = encode(update, encoding, seed=_digest(self._seed, hospital.name, round_index))
        except Malformed as error:
            raise InputRefused(
                f"The update of {hospital.name} cannot be sent: {error}. Lower --learning_rate."
            ) from error
        return Trained(decode(content, shapes, encoding, max_bytes=most), len(content), took, stays)

    def _prepare(self, public_size: int, round_index: int, weights: Mapping[str, np.ndarray]) -> PreparedTraining:
        """The round, prepared; a new size takes a look of its own, as it decides the shape of batches."""
        prepared = self._prepared
        if prepared is None:
            prepared = prepare_training(self._plan, round_index, weights, public_size=public_size)
            if prepared.private is None:
                add_gradients = recorded_gradients(prepared.model, loss_of(self._plan.objective))
                prepared = replace(prepared, add_gradients=add_gradients)
            elif isinstance(prepared.private.sums, CalledSums):
                self._sums = DrawnAlone(prepared.private.sums.engine.clipped_sum)
            self._prepared, self._shapes = prepared, {public_size: prepared.private}
        if public_size not in self._shapes:
            self._shapes[public_size] = self._shape(prepared, public_size)
        shape = self._shapes[public_size]
        own, beside = apart(self._plan, round_index, weights)
        private = None if shape is None else replace(shape, sums=self._sums or shape.sums)
        return replace(prepared, round_index=round_index, global_weights=own, beside=beside, private=private)

    def _shape(self, prepared: PreparedTraining, public_size: int) -> Shaped | None:
        if prepared.private is None or not isinstance(prepared.private.sums, CalledSums):
            return None
        engine = prepared.private.sums.engine
        return find_shape(self._plan, prepared.model, engine, public_size=public_size, process_group=SINGLE_PROCESS)


def became(begins: Mapping[str, np.ndarray], changes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters that stay, as a hospital keeps them after a round: begun with, plus their change.

    Args:
        begins: Name → float32 array of each parameter's shape, of the whole model.
        changes: Likewise, of the parameters that stay.

    Returns:
        Name → float32 array of each parameter that stays.

    Raises:
        InputRefused: One left float32.
    """
    with np.errstate(over="ignore"):
        found = {name: begins[name] + change for name, change in changes.items()}
    if not all(np.isfinite(array).all() for array in found.values()):
        raise InputRefused(
            "The part of the model that stays at a hospital is no number any more. Lower --learning_rate."
        )
    return found


def _digest(seed: int, hospital: str, round_index: int) -> bytes:
    return hashlib.sha256(f"simulation {seed}, round {round_index}, {hospital}".encode()).digest()
