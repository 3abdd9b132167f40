"""Canaries: a thousand drawn pictures that take part with probability 1/2, and how well the noise hides which did.

A canary is a picture of one bright pixel, so that its gradient under a linear model points in a direction that no other
canary shares. How far the update moves in that direction is its score. The noise has to be as large as the plan says,
the canaries that took part have to stand as far off as the plan says, and neither of two lower bounds on epsilon may
exceed the claim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.pictures.data import PIXEL_ZERO, LabelledPictures
from datasites.training.privacy_audit.bounds import gaussian_lower_bound, noise_z, one_run_lower_bound
from datasites.training.privacy_audit.checks import Check, worst
from datasites.training.privacy_audit.subject import Subject
from policies.budget.accountant import calibrate_noise
from policies.budget.limits import PrivacyBudget
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

ONE_RUN_CONFIDENCE = 0.95  # its bound lies far below the truth, so that chance alone hardly lifts it over a claim
GAUSSIAN_CONFIDENCE = 0.9999  # this one comes close, and would be over a true claim in 1 of 20 audits at 0.95

_CANARIES = 1000
_SIDE = 32  # pixels; a canary owns one of the 1024
_PUBLIC_SIZE = 500
_STEPS = 25
_SAMPLE_RATE = 0.25
_DELTA = 1e-5
_GUESSES = 250
_MAX_GRAD_NORM = 0.05  # a canary's own gradient is 28 times as long, so clipping matters
_LEARNING_RATE = 1e-3  # small: the weights stay near 0, where that length holds


@dataclass(frozen=True)
class Scores:
    """Scores of the canaries in their round.

    Attributes:
        included: float64, scores of the canaries that took part, in units of max_grad_norm.
        excluded: float64, scores of those that did not.
        spread: Standard deviation that the excluded scores should have.
    """

    included: np.ndarray
    excluded: np.ndarray
    spread: float

    @property
    def noise_z(self) -> float:
        """Spread of the excluded scores against the one that should be, in standard errors."""
        return noise_z(self.excluded, self.spread)

    @property
    def mean_z(self) -> float:
        """Mean of the included scores against the number of steps that should have drawn each, in standard errors."""
        expected = _STEPS * _SAMPLE_RATE * (1 - CLIP_MARGIN)
        variance = self.spread**2 + _STEPS * _SAMPLE_RATE * (1 - _SAMPLE_RATE)
        return (float(self.included.mean()) - expected) / math.sqrt(variance / len(self.included))

    @property
    def one_run_lower_bound(self) -> float:
        """The largest epsilon that guessing who took part refutes."""
        settings = {"delta": _DELTA, "confidence": ONE_RUN_CONFIDENCE}
        return one_run_lower_bound(self.included, self.excluded, guesses=_GUESSES, **settings)

    @property
    def gaussian_lower_bound(self) -> float:
        """The largest epsilon that the distance of the two groups refutes."""
        return gaussian_lower_bound(self.included, self.excluded, delta=_DELTA, confidence=GAUSSIAN_CONFIDENCE)


def canary_round(subject: Subject, *, unit: str, claimed_epsilon: float) -> Scores:
    """One round with canaries.

    Args:
        subject: Takes the round.
        unit: `picture`, or `patient`, where each canary has one to four pictures.
        claimed_epsilon: The noise is calibrated to this at delta 1e-5.
    """
    noise_multiplier = _noise_multiplier(claimed_epsilon)
    plan = TrainingPlan(
        study="audit",
        dataset="canaries",
        model=ModelSpec("linear", (_SIDE, _SIDE, 1), 2, {"bias": False}),
        rounds=1,
        steps_per_round=_STEPS,
        sample_rate=_SAMPLE_RATE,
        learning_rate=_LEARNING_RATE,
        privacy=PrivacySpec(noise_multiplier, _MAX_GRAD_NORM, _DELTA, unit),
        run=subject.run(physical_batch_size=48),
    )
    took_part = subject.generator().bernoulli(0.5, _CANARIES)
    weights = {"head.weight": np.zeros((2, _SIDE**2), dtype=np.float32)}
    update = subject.take(plan, 0, weights, _canaries(took_part, unit))
    step = plan.learning_rate * _MAX_GRAD_NORM / (_SAMPLE_RATE * _PUBLIC_SIZE)
    scores = pixel_scores(update, step)[:_CANARIES]
    return Scores(scores[took_part], scores[~took_part], math.sqrt(_STEPS) * noise_multiplier)


def canary_checks(scores: Scores, *, claimed_epsilon: float) -> list[Check]:
    """Yields the checks of the canaries' scores."""
    return [
        Check("epsilon by guessing", scores.one_run_lower_bound, claimed_epsilon),
        Check("epsilon by distance", scores.gaussian_lower_bound, claimed_epsilon),
        worst("noise on canaries", [scores.noise_z]),
        worst("canaries that took part", [scores.mean_z]),
    ]


def pixel_scores(update: dict[str, np.ndarray], step: float) -> np.ndarray:
    """Float64, (pixels,): how far an update went along each pixel's direction.

    The gradient of a picture of class 0 with one bright pixel lies along (-1, +1) / sqrt(2) on the two weights of that
    pixel; a sound trainer adds 1 to its score in each step that drew it, less the clipping's margin, and noise.

    Args:
        update: Of a linear model without bias for two classes.
        step: How far a gradient of length max_grad_norm moves the weights, which is the unit of the scores.
    """
    moved = update["head.weight"].astype(np.float64)
    scores: np.ndarray = (moved[0] - moved[1]) / math.sqrt(2) / step
    return scores


def bright_pixels(pixels: np.ndarray, side: int) -> np.ndarray:
    """Pictures of one bright pixel each: uint8, (N, side, side, 1).

    Args:
        pixels: int64, (N,), which one.
        side: Height and width.
    """
    images = np.full((len(pixels), side**2), int(PIXEL_ZERO), dtype=np.uint8)
    images[np.arange(len(pixels)), pixels] = 255
    return images.reshape(-1, side, side, 1)


@cache
def _noise_multiplier(claimed_epsilon: float) -> float:
    budget = PrivacyBudget(claimed_epsilon, _DELTA)
    return calibrate_noise(budget, sample_rate=_SAMPLE_RATE, steps=_STEPS)


def _canaries(took_part: np.ndarray, unit: str) -> LabelledPictures:
    """The pictures of the canaries that take part; canary j has pixel j bright, and class 0."""
    owners = np.flatnonzero(took_part)
    copies = 1 + owners % 4 if unit == "patient" else np.ones_like(owners)
    pixels = np.repeat(owners, copies)
    return LabelledPictures(
        images=bright_pixels(pixels, _SIDE),
        labels=np.zeros(len(pixels), dtype=np.int64),
        units=np.repeat(np.arange(len(owners)), copies),
        public_size=_PUBLIC_SIZE,
    )
