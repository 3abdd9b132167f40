"""The weighted mean of client updates, one at a time. Only released updates and public sizes come in here.

A late update counts with its full weight and is itself made smaller, by 1 / sqrt(1 + staleness): Nguyen et al.,
"Federated Learning with Buffered Asynchronous Aggregation", AISTATS 2022, after the polynomial weights of Xie, Koyejo
and Gupta, "Asynchronous Federated Optimization", 2019. So a round of late updates alone moves the model less, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from policies.contracts.halves import CACHED_VALUES, in_halves
from policies.contracts.weights import is_finite
from policies.contracts.weights_file import ArrayAtRest, AtRest
from policies.errors import ConfigError, InputRefused, NotEnoughDatasites
from researcher.strategies.state import ClientUpdate, Weights, check_update

# Updates that are added in one go: the sums, twice as large as an update, come from memory once for all of them. More
# would be quicker still, and take an update's memory each; of 100 MB, five and all else take less than 1 GB. Of fewer
# values in all the sums stay in the processor's cache, and each is added at once.
_ADDED_TOGETHER = 5
_READ_TOGETHER = 20  # of those that lie on a disk, and take no memory
_LEAST_TO_WAIT = 1 << 20
_VALUES_AT_ONCE = CACHED_VALUES


class Averager:
    """Sums weighted updates in float64, in the order in which they came; memory does not grow with their number.

    An update is checked whole before any of it is added: one that is refused leaves the mean as it was. Large ones wait
    until five, or twenty that lie on a disk, can be added together, so that nobody may write to an update's arrays
    before the mean is taken.
    """

    def __init__(self, like: Mapping[str, np.ndarray]) -> None:
        """Starts at zero.

        Args:
            like: Arrays with the names and shapes that every update must have, such as the global weights.
        """
        self._sums: Weights = {name: np.zeros(array.shape, dtype=np.float64) for name, array in like.items()}
        values = sum(total.size for total in self._sums.values())
        self._together = _ADDED_TOGETHER if values >= _LEAST_TO_WAIT else 1
        self._waiting: list[tuple[Mapping[str, np.ndarray], float]] = []
        self._weight = 0.0
        self._is_read = False  # from a disk, as values were added
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
        self._is_read = self._is_read or isinstance(update.update, AtRest)
        self._waiting.append((update.update, update.weight / math.sqrt(1 + update.staleness)))
        on_disk = sum(isinstance(one, AtRest) for one, _ in self._waiting)
        if self._together == 1 or on_disk == _READ_TOGETHER or len(self._waiting) - on_disk == self._together:
            self._add_waiting()
        self._weight += update.weight
        self._datasites.add(update.datasite)

    def result(self) -> Weights:
        """The weighted mean, name → float64 array; round it once, after adding it to what it belongs to.

        Raises:
            NotEnoughDatasites: No update was added.
            ConfigError: This machine's disk gave other values than those that were checked.
        """
        if not self._datasites:
            raise NotEnoughDatasites("A mean needs at least one client update, none was added.")
        self._add_waiting()
        if self._is_read and not all(map(is_finite, self._sums.values())):
            raise ConfigError(
                "A client update of this round has changed on this machine's disk since it came. Look at the disk that "
                "TMPDIR is on, or name another folder there, and run it again: the hospitals keep their updates."
            )
        return {name: np.asarray(total / self._weight) for name, total in self._sums.items()}

    def _add_waiting(self) -> None:
        for name, total in self._sums.items():
            add_scaled(total, [(_part(update, name), factor) for update, factor in self._waiting])
        self._waiting.clear()


def _part(update: Mapping[str, np.ndarray], name: str) -> np.ndarray | ArrayAtRest:
    """An array of an update, or what reads it piece by piece where it lies on a disk."""
    return update.part(name) if isinstance(update, AtRest) else update[name]


def add_scaled(total: np.ndarray, parts: Sequence[tuple[np.ndarray | ArrayAtRest, float]]) -> None:
    """Adds to a float64 total, in pieces that stay in the processor's cache.

    Args:
        total: Of any shape.
        parts: (array, factor): factor · array is added, one after the other; each array of the total's shape.
    """
    sums = total.reshape(-1)
    added = [(one if isinstance(one, ArrayAtRest) else one.reshape(-1), factor) for one, factor in parts]

    def add(begin: int, end: int) -> None:
        room = np.empty(min(_VALUES_AT_ONCE, end - begin))
        read = np.empty(room.shape, "<f4")
        for start in range(begin, end, _VALUES_AT_ONCE):
            stop = min(start + _VALUES_AT_ONCE, end)
            product, piece = room[: stop - start], sums[start:stop]
            for values, factor in added:
                if isinstance(values, ArrayAtRest):
                    values.fill(start, read[: stop - start])
                    product[...] = read[: stop - start]
                else:
                    product[...] = values[start:stop]
                product *= factor
                piece += product

    in_halves(sums.size, add)
