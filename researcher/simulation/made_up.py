"""Made-up hospitals and the pictures that they share. All of it is the researcher's own data; none is a hospital's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from policies.plans.public_size import rounded_up
from researcher.simulation.split import Share

if TYPE_CHECKING:
    from datasites.training.pictures.data import LabelledPictures


@dataclass(frozen=True)
class MadeUpHospital:
    """One of a simulation's hospitals.

    Attributes:
        name: Told in history and report.
        first: Row of its first picture.
        end: Row after its last one.
        public_size: Its number of units, rounded up as a datasite declares it.
    """

    name: str
    first: int
    end: int
    public_size: int


@dataclass(frozen=True, eq=False)
class SharedPictures:
    """The pictures of all made-up hospitals, in their order: each has rows beside each other, which nobody copies.

    Attributes:
        images: uint8 or uint16, (N, H, W, C).
        labels: int64, (N,), or int8, (N, K).
        units: int64, (N,), numbered from 0 at each hospital.
        features: float32, (N, width); None where the model reads pictures.
    """

    images: np.ndarray
    labels: np.ndarray
    units: np.ndarray
    features: np.ndarray | None = None

    def of(self, hospital: MadeUpHospital) -> LabelledPictures:
        """One hospital's pictures as a run takes them, (n, H, W, C), not copied."""
        from datasites.training.pictures.data import (
            LabelledPictures,  # late: torch takes memory, and only workers train
        )

        rows = slice(hospital.first, hospital.end)
        features = None if self.features is None else self.features[rows]
        return LabelledPictures(
            self.images[rows], self.labels[rows], self.units[rows], hospital.public_size, features=features
        )


def in_order(
    shares: Sequence[Share], images: np.ndarray, labels: np.ndarray, units: np.ndarray, features: np.ndarray | None
) -> tuple[SharedPictures, tuple[MadeUpHospital, ...]]:
    """Puts each hospital's pictures beside each other.

    Args:
        shares: Which units each hospital has; together all of them.
        images: uint8 or uint16, (N, H, W, C).
        labels: int64, (N,), or int8, (N, K).
        units: int64, (N,), unit of each picture, numbered from 0 over all.
        features: float32, (N, width), or None.
    """
    owner, number = np.empty(units.max() + 1, np.int64), np.empty(units.max() + 1, np.int64)
    for place, share in enumerate(shares):
        owner[share.units], number[share.units] = place, np.arange(len(share.units))
    order = np.argsort(owner[units], kind="stable")
    ends = np.cumsum(np.bincount(owner[units], minlength=len(shares)))
    pictures = SharedPictures(
        images[order], labels[order], number[units[order]], None if features is None else features[order]
    )
    firsts = (0, *ends[:-1].tolist())
    return pictures, tuple(
        MadeUpHospital(share.name, int(first), int(end), rounded_up(len(share.units)))
        for share, first, end in zip(shares, firsts, ends, strict=True)
    )
