"""The look of public pictures of the model's kind, and the distance from which a picture is unlike them.

The distance is Mahalanobis' of a picture's brightness, contrast, colours and grain from those of half of the public
pictures; the other half sets the threshold by split conformal prediction (Vovk, Gammerman, Shafer 2005). No private
picture is needed, and none is looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.errors import ConfigError

FALSE_ALARM_RATE = 0.02
LEAST_PICTURES = 100
MOST_PICTURES = 2000
_SHRINKAGE = 0.05  # towards uncorrelated statistics, so that few pictures suffice
_SAMPLED = 64
CANNOT = (
    "It compares brightness, contrast, colours and grain. A picture of something else that has the same look is not "
    "flagged, nor is a disease that the model was never shown."
)


@dataclass(frozen=True, eq=False)
class UsualLook:
    """What public pictures look like, and from which distance a picture is unlike them.

    Attributes:
        centre: Mean of each statistic, (S,).
        scale: Its standard deviation, (S,).
        precision: Inverse of the correlations, (S, S).
        threshold: Distances above it are flagged.
        pictures: How many public pictures this was computed from.
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    precision: NDArray[np.float64]
    threshold: float
    pictures: int

    @classmethod
    def of(cls, pictures: NDArray[Any]) -> UsualLook:
        """Computes it.

        Guarantees:
            Of pictures that are drawn as these were, at most `FALSE_ALARM_RATE` are flagged, on average.

        Args:
            pictures: (N, H, W, C), uint8 or uint16, in any order; of more than `MOST_PICTURES`, so many drawn ones.

        Raises:
            ConfigError: Fewer than `LEAST_PICTURES`.
        """
        if len(pictures) < LEAST_PICTURES:
            raise ConfigError(
                f"Expected at least {LEAST_PICTURES} public pictures to tell what is unlike them, got {len(pictures)}."
            )
        drawn = np.random.default_rng(0).permutation(len(pictures))[:MOST_PICTURES]  # folders come class by class
        found = np.stack([statistics(pictures[place]) for place in drawn])
        fitted, held = found[::2], found[1::2]
        centre, scale = fitted.mean(axis=0), fitted.std(axis=0) + 1e-3
        correlations = np.cov((fitted - centre) / scale, rowvar=False)
        size = len(centre)
        precision = np.linalg.inv((1 - _SHRINKAGE) * correlations + _SHRINKAGE * np.eye(size))
        look = cls(centre, scale, precision, np.inf, len(found))
        distances = np.sort([look._distance(one) for one in held])
        place = int(np.ceil((len(held) + 1) * (1 - FALSE_ALARM_RATE))) - 1
        return cls(centre, scale, precision, float(distances[place]), len(found))

    def distance(self, picture: NDArray[Any]) -> float:
        """Of one picture, (H, W, C), from the public ones."""
        return self._distance(statistics(picture))

    def _distance(self, found: NDArray[np.float64]) -> float:
        away = (found - self.centre) / self.scale
        return math.sqrt(max(0.0, float(away @ self.precision @ away)))


def statistics(picture: NDArray[Any]) -> NDArray[np.float64]:
    """Brightness, contrast, colours and grain of one picture, (H, W, C); each of the order of 1.

    All but the fine grain is of at most about `_SAMPLED` rows and columns.
    """
    white = np.float32(np.iinfo(picture.dtype).max)
    step = max(1, min(picture.shape[:2]) // _SAMPLED)
    channels = np.ascontiguousarray(np.moveaxis(picture[::step, ::step], 2, 0)).astype(np.float32) / white
    flat = channels.reshape(len(channels), -1)
    grey = channels.mean(axis=0)
    fine = np.diff(picture[::step, :, 0].astype(np.float32) / white, axis=1)
    coarse = [np.diff(grey, axis=axis) for axis in (0, 1)]
    found = [
        *flat.mean(axis=1),
        *flat.std(axis=1),
        *np.quantile(grey, (0.05, 0.25, 0.5, 0.75, 0.95)),
        np.log(_size(fine) + 1e-3),
        np.log(_size(*coarse) + 1e-3),
        _middle(grey).mean() - grey.mean(),
        (channels.max(axis=0) - channels.min(axis=0)).mean(),
    ]
    return np.asarray(found, dtype=np.float64)


def _size(*steps: NDArray[np.float32]) -> float:
    """Mean difference between neighbours."""
    return float(np.mean([np.abs(one).mean() for one in steps if one.size] or [0.0]))


def _middle(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = grey.shape
    return grey[height // 4 : height - height // 4, width // 4 : width - width // 4]
