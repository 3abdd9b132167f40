"""The one shape of a private step's batches, from the plan and the declared size alone: all that a step's time tells.

Kernels are chosen by the size of a batch, and may round differently at each place in it. So a private step always
computes the same number of batches of the same size, and draws the places of its pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import TrainingPlan

_HARDLY_EVER = 60 * math.log(2)
EMPTY = -1
"""In place of a picture's index: nobody's picture, computed and not counted."""


@dataclass(frozen=True)
class BatchShape:
    """The public shape of a private step's batches, whoever is drawn.

    Attributes:
        places: Pictures in a batch, taken or empty.
        batches: Batches of a step, over all processes; a multiple of `processes`.
        processes: Of the process group.
    """

    places: int
    batches: int
    processes: int = 1

    @classmethod
    def for_draws(cls, most_drawn: int, *, most_places: int, processes: int = 1) -> BatchShape:
        """The shape that wastes least: as few batches as can be, none larger than is needed.

        Args:
            most_drawn: How many pictures fit into a step.
            most_places: Of a batch.
            processes: That share the batches.
        """
        batches = processes * math.ceil(most_drawn / (most_places * processes))
        return cls(math.ceil(most_drawn / batches), batches, processes)

    def seat(self, drawn: np.ndarray, random: SecureRandom) -> np.ndarray:
        """Gives each drawn unit a place.

        Guarantees:
            Any choice of different places is equally likely (to within 2^-53). So up to `places * batches` units, a
            unit's place does not depend on who else was drawn. Above, nobody is left out: the step takes more batches.

        Args:
            drawn: int64, (B, k), pictures of each drawn unit.
            random: Draws the places.

        Returns:
            int64, (B, 1 + k): place, counted over all batches, and pictures.
        """
        batches = max(self.batches, self.processes * math.ceil(len(drawn) / (self.places * self.processes)))
        places = list(range(batches * self.places))  # whose numbers change places twenty times as fast as an array's
        further = random.integers(len(places) - np.arange(len(drawn)))
        for unit, other in enumerate((np.arange(len(drawn)) + further).tolist()):  # Fisher and Yates' shuffle
            places[unit], places[other] = places[other], places[unit]
        return np.column_stack([np.array(places[: len(drawn)], dtype=np.int64), drawn])

    def batches_of(self, seated: np.ndarray, rank: int) -> np.ndarray:
        """The batches that one process computes.

        Args:
            seated: What `seat` returned, the same in all processes.
            rank: Of the process.

        Returns:
            int64, (batches, places, k): indices of pictures, or `EMPTY`.
        """
        places, pictures = seated[:, 0], seated[:, 1:]
        full = self.processes * math.ceil(len(seated) / (self.places * self.processes))
        batches = np.full((max(self.batches, full), self.places, pictures.shape[1]), EMPTY, dtype=np.int64)
        batches[places // self.places, places % self.places] = pictures
        return batches[rank :: self.processes]


def most_drawn(plan: TrainingPlan, public_size: int) -> int:
    """How many units fit into a step without more batches: those expected, and the plan's margin.

    Guarantees:
        With an own model or an own loss, a step is that full with a chance of at most 2^-60. The look before a run may
        miss that such a graph's gradients depend on places: a part of it may be at rest with made-up weights. While a
        draw fits, places are drawn, and nobody's depends on who else is there.
    """
    rate = plan.sample_rate
    room = plan.run.batch_margin * math.sqrt(public_size * rate * (1 - rate))
    most = math.ceil(public_size * rate + room)
    if plan.model.is_own or plan.objective.is_own:
        most = max(most, _hardly_ever_drawn(public_size, rate))
    return max(1, min(public_size, most))


def _hardly_ever_drawn(size: int, rate: float) -> int:
    """The least number of `size` units that are all drawn with a chance of at most 2^-60, by Chernoff's bound; `size`
    where there is none."""
    low, high = math.floor(size * rate), size
    while low < high:
        middle = (low + high) // 2
        if middle > size * rate and size * _divergence(middle / size, rate) >= _HARDLY_EVER:
            high = middle
        else:
            low = middle + 1
    return high


def _divergence(share: float, rate: float) -> float:
    """The Kullback-Leibler divergence of a coin that falls so often from one with the rate, in nats."""
    found = share * math.log(share / rate)
    return found + (1 - share) * math.log((1 - share) / (1 - rate)) if share < 1 else found
