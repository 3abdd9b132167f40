"""Lower bounds on epsilon from canaries' scores, and a check of the noise in them. Plain statistics on numbers.

The one-run bound is that of Steinke, Nasr and Jagielski ("Privacy Auditing with One (1) Training Run",
NeurIPS 2023). The Gaussian bound follows Nasr et al. ("Tight Auditing of Differentially Private Machine
Learning", USENIX Security 2023): it takes the mechanism for a Gaussian one, whose trade-off a single number
mu describes (Dong, Roth and Su, "Gaussian Differential Privacy", JRSS B 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import torch

MAX_EPSILON = 200.0  # a bound at or above this is reported as this
_BISECTIONS = 60


def noise_z(scores: np.ndarray, spread: float) -> float:
    """How far the spread of scores lies from the one expected, in standard errors.

    Args:
        scores: float, (n,), scores of canaries that took no part: noise around 0 alone.
        spread: The standard deviation that they should have.

    Returns:
        Near a standard normal value when the noise is right; negative when there is too little.
    """
    measured = math.sqrt(float(np.mean(np.square(scores))))
    return (measured / spread - 1) * math.sqrt(2 * len(scores))


def one_run_lower_bound(
    included: np.ndarray, excluded: np.ndarray, *, guesses: int, delta: float, confidence: float
) -> float:
    """The largest epsilon that the success of guessing refutes.

    The highest half of `guesses` scores are guessed to be included, the lowest half to be excluded, the
    rest is passed over. `guesses` must not depend on the scores.

    Args:
        included: float, (m1,), scores of the canaries that took part.
        excluded: float, (m0,), scores of those that did not. Who took part was decided by fair coins.
        guesses: Number of guesses r, even.
        delta: At which epsilon is stated.
        confidence: Probability that the bound holds.
    """
    scores = np.concatenate([included, excluded])
    took_part = np.concatenate([np.ones(len(included), bool), np.zeros(len(excluded), bool)])
    order = np.argsort(scores, kind="stable")
    half = guesses // 2
    correct = int((~took_part[order[:half]]).sum() + took_part[order[len(order) - half :]].sum())

    def refuted(epsilon: float) -> bool:
        chance = _chance_of_correct(correct, 2 * half, len(scores), epsilon, delta)
        return chance < 1 - confidence

    return _largest(refuted)


def gaussian_lower_bound(included: np.ndarray, excluded: np.ndarray, *, delta: float, confidence: float) -> float:
    """Epsilon at `delta` of the Gaussian mechanism that would separate the scores at least as well.

    Args:
        included: float, (m1,), scores of the canaries that took part.
        excluded: float, (m0,), scores of those that did not.
        delta: At which epsilon is stated.
        confidence: Probability that the bound holds, were the scores Gaussian.
    """
    spread = float(np.std(excluded, ddof=1))
    if spread == 0:
        return MAX_EPSILON if float(np.ptp(np.concatenate([included, excluded]))) > 0 else 0.0
    distance = (float(np.mean(included)) - float(np.mean(excluded))) / spread
    error = math.sqrt(
        float(np.var(included, ddof=1)) / spread**2 / len(included)
        + 1 / len(excluded)
        + distance**2 / (2 * len(excluded))
    )
    mu = distance - NormalDist().inv_cdf(confidence) * error
    return gaussian_epsilon(mu, delta) if mu > 0 else 0.0


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The epsilon at `delta` of a mechanism that is exactly mu-Gaussian-DP, at most MAX_EPSILON."""

    def refuted(epsilon: float) -> bool:
        upper = _log_normal_cdf(mu / 2 - epsilon / mu)
        lower = epsilon + _log_normal_cdf(-mu / 2 - epsilon / mu)
        return math.exp(upper) - math.exp(min(lower, upper)) > delta

    return _largest(refuted)


def _chance_of_correct(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Upper bound on the probability of at least `correct` right guesses under (epsilon, delta)-DP."""
    log_right = -math.log1p(math.exp(-epsilon))
    log_wrong = -epsilon + log_right
    counts = np.arange(guesses + 1)
    choose = np.array([math.lgamma(guesses + 1) - math.lgamma(k + 1) - math.lgamma(guesses - k + 1) for k in counts])
    mass = np.exp(choose + counts * log_right + (guesses - counts) * log_wrong)
    tail = float(mass[correct:].sum())
    below = np.cumsum(mass[:correct][::-1])  # entry i - 1: exactly correct - i to correct - 1 right guesses
    worst = float((below / np.arange(1, correct + 1)).max()) if correct else 0.0
    return min(1.0, tail + 2 * canaries * delta * worst)


def _log_normal_cdf(x: float) -> float:
    return float(torch.special.log_ndtr(torch.tensor(x, dtype=torch.float64)))


def _largest(refuted: Callable[[float], bool]) -> float:
    """The largest epsilon up to MAX_EPSILON that is refuted, 0 if none; refutation is monotone."""
    if refuted(MAX_EPSILON):
        return MAX_EPSILON
    low, high = 0.0, MAX_EPSILON
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
