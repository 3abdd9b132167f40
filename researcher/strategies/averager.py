"""The weighted mean of client updates, one at a time. Only released updates and public sizes come in here.

A late update counts with its full weight and is itself made smaller, by 1 / sqrt(1 + staleness): Nguyen et al.,
"Federated Learning with Buffered Asynchronous Aggregation", AISTATS 2022, after the polynomial weights of Xie, Koyejo
and Gupta, "Asynchronous Federated Optimization", 2019. So a round of late updates alone moves the model less, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from policies.contracts.halves import CACHED_VALUES, in_halves
from policies.errors import InputRefused, NotEnoughDatasites
from researcher.strategies.state import ClientUpdate, Weights, check_update


class Averager:
    """Sums weighted updates in float64, so that memory does not grow with the number of datasites.

    An update is checked whole before any of it is added: one that is refused leaves the mean as it was.
    """

    def __init__(self, like: Mapping[str, np.ndarray]) -> None:
        """Starts at zero.

        Args:
            like: Arrays with the names and shapes that every update must have, such as the global weights.
        """
        self._sums: Weights = {name: np.zeros(array.shape, dtype=np.float64) for name, array in like.items()}
        self._weight = 0.0
        self._datasites: set[str] = set()

    @property
    def datasites(self) -> tuple[str, ...]:
        """Names of the datasites in the mean so far, sorted."""
        return tuple(sorted(self._datasites))

    def add(self, update: ClientUpdate) -> None:
        """Takes one update into the mean.

        Raises:
            InputRefused: A second update of a datasite, or one that `check_update` refuses.
        """
        if update.datasite in self._datasites:
            raise InputRefused(f"{update.datasite!r} sent two client updates in one round, expected one.")
        check_update(update, self._sums)
        factor = update.weight / math.sqrt(1 + update.staleness)
        for name, array in update.update.items():
            add_scaled(self._sums[name], array, factor)
        self._weight += update.weight
        self._datasites.add(update.datasite)

    def result(self) -> Weights:
        """The weighted mean, name → float64 array; round it once, after adding it to what it belongs to.

        Raises:
            NotEnoughDatasites: No update was added.
        """
        if not self._datasites:
            raise NotEnoughDatasites("A mean needs at least one client update, none was added.")
        return {name: np.asarray(total / self._weight) for name, total in self._sums.items()}


def add_scaled(total: np.ndarray, array: np.ndarray, factor: float) -> None:
    """Adds factor · array to a float64 total of the same shape, in pieces that stay in the processor's cache."""
    sums, values = total.reshape(-1), array.reshape(-1)

    def add(begin: int, end: int) -> None:
        room = np.empty(min(CACHED_VALUES, end - begin))
        for start in range(begin, end, CACHED_VALUES):
            stop = min(start + CACHED_VALUES, end)
            product = np.multiply(values[start:stop], factor, out=room[: stop - start], dtype=np.float64)
            sums[start:stop] += product

    in_halves(sums.size, add)
