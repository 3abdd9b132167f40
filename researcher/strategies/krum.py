"""Krum: takes the updates that lie closest to others. Works on released client updates, so it costs no privacy.

Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
NeurIPS 2017; with `averaged_hospitals` above 1 their Multi-Krum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from policies import validate
from researcher.strategies.kept_updates import KeptUpdates
from researcher.strategies.server_step import ServerStep
from researcher.strategies.state import ClientUpdate, ServerState, Weights


@dataclass(frozen=True)
class Krum(ServerStep):
    """Moves the global weights by the mean of the updates whose nearest neighbours are nearest.

    An update's score is the sum of its squared distances to the n - faulty_hospitals - 2 others that are closest.

    Attributes:
        faulty_hospitals: How many of the hospitals' updates may be anything.
        averaged_hospitals: How many updates of the lowest scores are averaged, all alike.
    """

    faulty_hospitals: int = 1
    averaged_hospitals: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        validate.integer("faulty_hospitals", self.faulty_hospitals, low=0, high=10_000)
        validate.integer("averaged_hospitals", self.averaged_hospitals, low=1, high=10_000)

    @property
    def least_updates(self) -> int:
        """2 · faulty_hospitals + 3, as the paper asks for, and as many as are averaged beside those that are faulty."""
        return max(2 * self.faulty_hospitals + 3, self.averaged_hospitals + self.faulty_hospitals + 2)

    def direction(self, state: ServerState, updates: Iterable[ClientUpdate]) -> Weights:
        """The mean of the chosen updates, name → float64 array.

        Args:
            state: As of `apply`.
            updates: Likewise; of equal scores the earlier one is chosen.
        """
        with KeptUpdates(state.weights, updates, least=self.least_updates) as kept:
            chosen = np.argsort(self._scores(kept), kind="stable")[: self.averaged_hospitals]
            means = kept.empty()
            for part, values in kept.pieces():
                means[part] = values[chosen].mean(axis=0, dtype=np.float64)
            return kept.shaped(means)

    def _scores(self, kept: KeptUpdates) -> np.ndarray:
        """(updates,) float64; products of what differs from the mean, as those of the updates would cancel."""
        number = len(kept)
        products = np.zeros((number, number))
        for _, values in kept.pieces():
            apart = values - values.mean(axis=0, dtype=np.float64)
            products += apart @ apart.T
        squares = np.diagonal(products)
        distances = np.maximum(squares[:, None] + squares - 2 * products, 0)
        np.fill_diagonal(distances, np.inf)
        nearest = np.sort(distances, axis=1)[:, : number - self.faulty_hospitals - 2]
        return np.asarray(nearest.sum(axis=1))
