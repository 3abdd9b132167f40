"""Calibration: whether probabilities mean what they say, and the temperature that mends them. Public pictures only.

Expected calibration error in bins of one width (Naeini, Cooper and Hauskrecht, AAAI 2015) and of as many pictures each
(Nguyen and O'Connor, EMNLP 2015); temperature scaling (Guo, Pleiss, Sun and Weinberger, ICML 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BINS = 15
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 0.05, 20.0
_STEPS = 80
_GOLDEN = (math.sqrt(5) - 1) / 2
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class ReliabilityBin:
    """Probabilities that are nearly the same, and how often what they say is so.

    Attributes:
        low: Lower end of the probabilities.
        high: Upper end.
        count: How many there are.
        probability: Their mean; None where there are none.
        share: How often it was so; likewise.
    """

    low: float
    high: float
    count: int
    probability: float | None
    share: float | None


class Reliability:
    """Probabilities beside what came true, in bins that stay the same however pictures are weighed.

    Args:
        probabilities: float64, (N,), of what the model says.
        true: bool, (N,), whether it is so.
    """

    def __init__(self, probabilities: np.ndarray, true: np.ndarray) -> None:
        self._off = probabilities - true
        self._probabilities, self._true = probabilities, true
        self._even = np.clip((probabilities * BINS).astype(np.int64), 0, BINS - 1)
        below = np.searchsorted(np.sort(probabilities), probabilities, side="left")
        self._filled = below * BINS // max(len(probabilities), 1)

    def ece(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Mean distance of probability and share over bins of one width, each as often as it has pictures.

        Args:
            weights: float64, (B, N), how often each counts in each of B draws; once, in one, if None.

        Returns:
            float64, (B,); nan of a draw without any.
        """
        return self._distance(self._even, weights)

    def adaptive_ece(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The same over bins of as many pictures each, (B,); equal probabilities stay in one bin."""
        return self._distance(self._filled, weights)

    def bins(self) -> tuple[ReliabilityBin, ...]:
        """The bins of one width."""
        found = []
        for number in range(BINS):
            inside = self._even == number
            some = bool(inside.any())
            found.append(
                ReliabilityBin(
                    low=number / BINS,
                    high=(number + 1) / BINS,
                    count=int(inside.sum()),
                    probability=float(self._probabilities[inside].mean()) if some else None,
                    share=float(self._true[inside].mean()) if some else None,
                )
            )
        return tuple(found)

    def _distance(self, which: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        weights = np.ones((1, len(which))) if weights is None else weights
        in_bins = np.zeros((len(which), BINS))
        in_bins[np.arange(len(which)), which] = self._off
        return ratio(np.abs(weights @ in_bins).sum(axis=1), weights.sum(axis=1))


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the mean of values, (N,), in each of B draws, (B,), with weights (B, N); nan where none counts."""
    return ratio(weights @ values, weights.sum(axis=1))


def ratio(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Returns parts by wholes, float64, (B,) or (B, K) as both; nan where a whole is 0."""
    return np.divide(parts, wholes, out=np.full(parts.shape, math.nan), where=wholes > 0)


def brier(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns each picture's squared distance from the truth (Brier, 1950): the sum over classes, half of it for two.

    Args:
        labels: int64, (N,), true classes.
        probabilities: float64, (N, K).

    Returns:
        float64, (N,).
    """
    truth = np.eye(probabilities.shape[1])[labels]
    squares = ((probabilities - truth) ** 2).sum(axis=1)
    return np.asarray(squares / 2 if probabilities.shape[1] == 2 else squares)


def scaled(probabilities: np.ndarray, temperature: float, *, findings: bool) -> np.ndarray:
    """Returns the probabilities that the model's logits give when they are divided by `temperature`.

    Args:
        probabilities: float64, (N, K).
        temperature: Above 0; 1 changes nothing.
        findings: Whether each column is a probability of its own, instead of one of several that add up to 1.
    """
    logs = np.log(np.clip(probabilities, _LEAST_PROBABILITY, 1.0)) / temperature
    if findings:
        against = np.log(np.clip(1 - probabilities, _LEAST_PROBABILITY, 1.0)) / temperature
        return np.asarray(1 / (1 + np.exp(np.clip(against - logs, -700, 700))))
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def fitted_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the temperature whose scaled probabilities tell the truth best: of least negative log likelihood.

    Args:
        labels: int64, (N,), true classes; or int8, (N, K), 1, 0 or -1 for each finding, of which -1 is passed over.
        probabilities: float64, (N, K).
    """
    findings = labels.ndim == 2
    known = labels >= 0 if findings else np.ones(len(labels), dtype=bool)

    def loss(log_temperature: float) -> float:
        found = scaled(probabilities, math.exp(log_temperature), findings=findings)
        right = np.where(labels == 1, found, 1 - found)[known] if findings else found[np.arange(len(labels)), labels]
        return -float(np.log(np.clip(right, _LEAST_PROBABILITY, 1.0)).mean())

    low, high = math.log(_LEAST_TEMPERATURE), math.log(_MOST_TEMPERATURE)
    for _ in range(_STEPS):  # of golden section: the loss has one valley
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)
