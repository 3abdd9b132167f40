"""A round's client updates in a file, for strategies that compare them; memory does not grow with their number."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Self

import numpy as np

from policies.errors import ConfigError, InputRefused, NotEnoughDatasites
from researcher.strategies.state import ClientUpdate, Weights, check_update

_VALUES_AT_ONCE = 1 << 22


class KeptUpdates:
    """Client updates one after the other in a temporary file, for the length of a `with` block.

    A late update is made smaller by 1 / sqrt(1 + staleness), as in a mean.
    """

    def __init__(self, like: Mapping[str, np.ndarray], updates: Iterable[ClientUpdate], *, least: int = 1) -> None:
        """Writes the updates, read one at a time.

        Args:
            like: Arrays with the names and shapes that every update must have, such as the global weights.
            updates: Each of another datasite.
            least: How many are needed.

        Raises:
            InputRefused: A second update of a datasite, or one that `check_update` refuses.
            NotEnoughDatasites: There were fewer than `least`.
            ConfigError: The disk does not hold them.
        """
        self._shapes = {name: array.shape for name, array in like.items()}
        self._size = sum(math.prod(shape) for shape in self._shapes.values())
        self._number = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        try:
            self._keep(like, updates)
            if self._number < least:
                raise NotEnoughDatasites(f"The strategy needs {least} client updates a round, {self._number} came.")
        except BaseException:
            self._file.close()
            raise

    def _keep(self, like: Mapping[str, np.ndarray], updates: Iterable[ClientUpdate]) -> None:
        datasites: set[str] = set()
        for update in updates:
            if update.datasite in datasites:
                raise InputRefused(f"{update.datasite!r} sent two client updates in one round, expected one.")
            check_update(update, like)
            smaller = np.float32(1 / math.sqrt(1 + update.staleness))
            try:
                for name in self._shapes:
                    self._file.write(np.ascontiguousarray(update.update[name] * smaller).data)
                self._file.flush()
            except OSError as error:
                raise ConfigError(
                    f"The client update of {update.datasite!r} cannot be kept beside the others of its round in "
                    f"{tempfile.gettempdir()} ({error.strerror}). Make room there, or point TMPDIR elsewhere, "
                    "and resume."
                ) from error
            datasites.add(update.datasite)
            self._number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        """How many updates there are."""
        return self._number

    def pieces(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Some values of all updates at a time: which, and (updates, values) float32, in the updates' order.

        Raises:
            ConfigError: The disk does not give them back.
        """
        at_once = max(1, _VALUES_AT_ONCE // len(self))
        for begin in range(0, self._size, at_once):
            values = np.empty((len(self), min(at_once, self._size - begin)), dtype=np.float32)
            for number, own in enumerate(values):
                self._read(own, number * self._size + begin)
            yield slice(begin, begin + at_once), values

    def _read(self, values: np.ndarray, first: int) -> None:
        """Reads values into (n,) float32, from the file's value `first` on: a map would end the process at an error."""
        left, at = values.data.cast("B"), first * values.itemsize
        try:
            while left:
                count = os.preadv(self._file.fileno(), [left], at)
                if not count:
                    raise OSError(errno.EIO, "the file is shorter than it was written")
                left, at = left[count:], at + count
        except OSError as error:
            raise ConfigError(
                f"The round's client updates cannot be read back from {tempfile.gettempdir()} ({error.strerror}). Look "
                "at that disk, or point TMPDIR elsewhere, and resume."
            ) from error

    def shaped(self, values: np.ndarray) -> Weights:
        """Values in the order of `pieces` as arrays by name, each of its parameter's shape, not copied."""
        shaped, begin = {}, 0
        for name, shape in self._shapes.items():
            size = math.prod(shape)
            shaped[name] = values[begin : begin + size].reshape(shape)
            begin += size
        return shaped

    def empty(self) -> np.ndarray:
        """Room for one value of each place, (values,) float64."""
        return np.empty(self._size)
