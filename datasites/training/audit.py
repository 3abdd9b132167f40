"""The audit: measures from outside how much a round gives away about single records, on drawn pictures alone.

A thousand canaries take part in the real `train_round`, each with probability 1/2. A canary is a picture of
one bright pixel, so that its gradient under a linear model points in a direction that no other canary
shares. How far the update moves in that direction is its score. Three checks: the noise is as large as the
plan says, and neither of two lower bounds on epsilon exceeds the claim. None of the three finds every
fault; together they find each of `FAULTS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from datasites.training.audit_bounds import gaussian_lower_bound, noise_z, one_run_lower_bound
from datasites.training.audit_faults import with_fault
from datasites.training.book_keeping import BookKeeping
from datasites.training.data import PIXEL_ZERO, LabelledPictures
from datasites.training.dp_sgd import EngineFactory
from datasites.training.local_round import train_round
from datasites.training.randomness import SecureRandom
from datasites.training.team import ALONE, Team
from policies import validate
from policies.plan import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

ONE_RUN_CONFIDENCE = 0.95  # its bound lies far below the truth, so that chance alone hardly lifts it over a claim
GAUSSIAN_CONFIDENCE = 0.9999  # this one comes close, and would be over a true claim in 1 of 20 audits at 0.95
MAX_NOISE_Z = 4.0

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
class AuditResult:
    """What an audit found.

    Attributes:
        claimed_epsilon: What the plan claims, at delta 1e-5.
        one_run_lower_bound: The largest epsilon that guessing who took part refutes.
        gaussian_lower_bound: The same from the distance between the two groups of scores.
        noise_z: Spread of the excluded canaries' scores against the expected one, in standard errors.
        passed: Whether all three checks hold.
        included_scores: float64, scores of the canaries that took part, in units of max_grad_norm.
        excluded_scores: float64, scores of those that did not.
        expected_spread: Standard deviation that the excluded scores should have.
    """

    claimed_epsilon: float
    one_run_lower_bound: float
    gaussian_lower_bound: float
    noise_z: float
    passed: bool
    included_scores: np.ndarray = field(repr=False, compare=False)
    excluded_scores: np.ndarray = field(repr=False, compare=False)
    expected_spread: float = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, float | bool]:
        """The five numbers, for JSON."""
        return {
            "claimed_epsilon": self.claimed_epsilon,
            "one_run_lower_bound": self.one_run_lower_bound,
            "gaussian_lower_bound": self.gaussian_lower_bound,
            "noise_z": self.noise_z,
            "passed": self.passed,
        }


def run_audit(
    *,
    broken: str | None = None,
    unit: str = "picture",
    seed: int | None = None,
    claimed_epsilon: float = 1.0,
    engine: EngineFactory = BookKeeping,
    team: Team = ALONE,
) -> AuditResult:
    """Audits one round of `train_round`.

    Args:
        broken: One of `FAULTS`, built in on purpose; None audits what hospitals run.
        unit: `picture`, or `patient`, where each canary has one to four pictures.
        seed: Makes the audit repeatable; None lets the trainer make its own generator, as hospitals do.
        claimed_epsilon: The noise is calibrated to this at delta 1e-5.
        engine: The engine to audit.
        team: The processes that take the steps; all must call this with the same seed, and the first one's result
            counts.

    Raises:
        PlanError: An unknown fault or unit.
    """
    plan = _plan(claimed_epsilon, validate.choice("unit", unit, ("picture", "patient")))
    coins = SecureRandom() if seed is None else SecureRandom.for_tests(2 * seed)
    took_part = coins.bernoulli(0.5, _CANARIES)
    random = None if seed is None else SecureRandom.for_tests(2 * seed + 1)
    if broken is not None:
        random, engine = with_fault(broken, random or SecureRandom(), engine, batch=_SAMPLE_RATE * _PUBLIC_SIZE)
    weights = {"head.weight": np.zeros((2, _SIDE**2), dtype=np.float32)}
    update = train_round(plan, 0, weights, _canaries(took_part, unit), random=random, engine=engine, team=team)
    scores = _scores(plan, update)
    return _judge(claimed_epsilon, scores[took_part], scores[~took_part], plan)


def _judge(claimed_epsilon: float, included: np.ndarray, excluded: np.ndarray, plan: TrainingPlan) -> AuditResult:
    """The three checks."""
    spread = math.sqrt(_STEPS) * (plan.privacy.noise_multiplier if plan.privacy else 0.0)
    z = noise_z(excluded, spread)
    one_run = one_run_lower_bound(included, excluded, guesses=_GUESSES, delta=_DELTA, confidence=ONE_RUN_CONFIDENCE)
    gaussian = gaussian_lower_bound(included, excluded, delta=_DELTA, confidence=GAUSSIAN_CONFIDENCE)
    return AuditResult(
        claimed_epsilon=claimed_epsilon,
        one_run_lower_bound=one_run,
        gaussian_lower_bound=gaussian,
        noise_z=z,
        passed=abs(z) < MAX_NOISE_Z and max(one_run, gaussian) <= claimed_epsilon,
        included_scores=included,
        excluded_scores=excluded,
        expected_spread=spread,
    )


def _plan(claimed_epsilon: float, unit: str) -> TrainingPlan:
    """A study of one round that claims `claimed_epsilon`."""
    from policies.accountant import calibrate_noise  # here: the accountants take a second to load
    from policies.budget import PrivacyBudget

    noise_multiplier = calibrate_noise(PrivacyBudget(claimed_epsilon, _DELTA), sample_rate=_SAMPLE_RATE, steps=_STEPS)
    return TrainingPlan(
        study="audit",
        dataset="canaries",
        model=ModelSpec("linear", (_SIDE, _SIDE, 1), 2, {"bias": False}),
        rounds=1,
        steps_per_round=_STEPS,
        sample_rate=_SAMPLE_RATE,
        learning_rate=_LEARNING_RATE,
        privacy=PrivacySpec(noise_multiplier, _MAX_GRAD_NORM, _DELTA, unit),
        run=RunSpec(device="cpu", physical_batch_size=48),
    )


def _canaries(took_part: np.ndarray, unit: str) -> LabelledPictures:
    """The pictures of the canaries that take part; canary j has pixel j bright, and class 0."""
    owners = np.flatnonzero(took_part)
    copies = 1 + owners % 4 if unit == "patient" else np.ones_like(owners)
    pixels = np.repeat(owners, copies)
    images = np.full((len(pixels), _SIDE**2), int(PIXEL_ZERO), dtype=np.uint8)
    images[np.arange(len(pixels)), pixels] = 255
    return LabelledPictures(
        images=images.reshape(-1, _SIDE, _SIDE, 1),
        labels=np.zeros(len(pixels), dtype=np.int64),
        units=np.repeat(np.arange(len(owners)), copies),
        public_size=_PUBLIC_SIZE,
    )


def _scores(plan: TrainingPlan, update: dict[str, np.ndarray]) -> np.ndarray:
    """Float64, (canaries,): the summed gradients along each canary's direction, in units of max_grad_norm.

    The gradient of a canary of class 0 lies along (-1, +1) / sqrt(2) on the two weights of its pixel; a sound
    trainer adds 1 to its score in each step that drew it, and noise.
    """
    summed = update["head.weight"].astype(np.float64) * -(_SAMPLE_RATE * _PUBLIC_SIZE / plan.learning_rate)
    return ((summed[1] - summed[0]) / math.sqrt(2) / _MAX_GRAD_NORM)[:_CANARIES]
