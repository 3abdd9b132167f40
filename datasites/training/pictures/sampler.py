"""Sampling of the units of a step: Poisson's, or random allocation over the steps of an epoch.

Neither the batches nor their sizes cross the hospital's boundary.

Sampling by privacy unit: a unit with many pictures is drawn as often as one with a single picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datasites.training.pictures.unit_index import UnitIndex
from datasites.training.randomness.randomness import SecureRandom


def poisson_steps(
    units: np.ndarray,
    *,
    sample_rate: float,
    steps: int,
    random: SecureRandom,
    pictures_each: int = 1,
    index: UnitIndex | None = None,
) -> Iterator[np.ndarray]:
    """Yields the pictures of each step.

    Guarantees:
        Exactly `steps` batches, whatever the data. In each, every unit is drawn with probability
        `sample_rate`, independently of all other units and steps, and a drawn unit contributes exactly
        `pictures_each` of its own pictures, each equally likely, and none again before all others have come.
        Batches that happen to be empty are yielded as well.

    Args:
        units: int64, (N,), privacy unit of each picture, 0 .. U-1, each with at least one picture.
        sample_rate: Poisson probability q, in (0, 1].
        steps: Number of batches.
        random: Makes the draws.
        pictures_each: Pictures of each drawn unit; where it has fewer, all of them again.
        index: What `UnitIndex.of` gives for these units, where somebody has it already.

    Yields:
        int64, (B, pictures_each), pictures of each drawn unit; B varies from 0 to U.
    """
    index = UnitIndex.of(units) if index is None else index
    for _ in range(steps):
        yield _pictures(index, random.bernoulli(sample_rate, index.num_units), pictures_each, random)


def allocated_steps(
    units: np.ndarray,
    *,
    steps_of_epoch: int,
    steps: int,
    random: SecureRandom,
    pictures_each: int = 1,
    index: UnitIndex | None = None,
) -> Iterator[np.ndarray]:
    """Yields the pictures of each step, where each unit joins exactly one step of each epoch.

    Guarantees:
        Exactly `steps` batches, whatever the data. In each epoch, every unit is in exactly one batch, each equally
        likely (to within 2^-46), drawn independently of all other units and epochs; and contributes exactly
        `pictures_each` of its own pictures to it, as in `poisson_steps`. Batches that happen to be empty are yielded.

    Args:
        units: As `poisson_steps`, like those that are not named here.
        steps_of_epoch: At least 1; `steps` is a multiple of it.
        steps: Likewise.
        random: Likewise.
        pictures_each: Likewise.
        index: Likewise.

    Yields:
        int64, (B, pictures_each), as `poisson_steps`.
    """
    if steps % steps_of_epoch:
        raise ValueError(f"{steps} steps are no whole epochs of {steps_of_epoch}")
    index = UnitIndex.of(units) if index is None else index
    for _ in range(steps // steps_of_epoch):
        allocated = random.integers(np.full(index.num_units, steps_of_epoch, dtype=np.int64))
        for step in range(steps_of_epoch):
            yield _pictures(index, allocated == step, pictures_each, random)


def _pictures(index: UnitIndex, joins: np.ndarray, each: int, random: SecureRandom) -> np.ndarray:
    """Pictures of the units that join a step, bool (U,): int64, (B, each)."""
    drawn = np.flatnonzero(joins)
    first = index.starts[drawn]
    counts = index.starts[drawn + 1] - first
    return index.by_unit[first[:, None] + _some_of(counts, each, random)]


def _some_of(counts: np.ndarray, each: int, random: SecureRandom) -> np.ndarray:
    """Draws numbers below each count, int64 (B, each): the first of a random order, then from its start again."""
    starts = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((random.uniform(len(owner)), owner))  # each unit's numbers stay together, in a random order
    turns = np.arange(each) % counts[:, None]
    return order[starts[:, None] + turns] - starts[:, None]
