"""Pictures by privacy unit, sorted once: a step draws units by it. It stays inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class UnitIndex:
    """The pictures of each unit.

    Attributes:
        by_unit: int64, (N,), the pictures of unit 0 in order, then those of unit 1, and so on; may be a memory map.
        starts: int64, (U + 1,), where in `by_unit` those of each unit begin, and N at the end; may be a memory map.
    """

    by_unit: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, units: np.ndarray) -> Self:
        """Sorts pictures by their units.

        Args:
            units: int64, (N,), privacy unit of each picture, 0 .. U-1, each with at least one picture.
        """
        starts = np.concatenate([[0], np.cumsum(np.bincount(units))]).astype(np.int64)
        return cls(np.argsort(units, kind="stable"), starts)

    @classmethod
    def kept(cls, by_unit: np.ndarray | None, starts: np.ndarray | None) -> Self | None:
        """The index that a store keeps, int64, (N,) and (U + 1,); None where it keeps none."""
        return None if by_unit is None or starts is None else cls(by_unit, starts)

    @property
    def num_units(self) -> int:
        """How many units there are. Private."""
        return len(self.starts) - 1
