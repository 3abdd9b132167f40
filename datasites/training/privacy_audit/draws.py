"""Draws: without noise, which picture each step drew shows exactly in the update, and so does how much it added.

Every picture has one bright pixel of its own, and so a direction of its own under a linear model. Momentum of 1/4 gives
each step another weight in the sum, so that a score is a number to base 4 whose digits say how often each step drew the
picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.pictures.data import LabelledPictures
from datasites.training.privacy_audit.canaries import bright_pixels, pixel_scores
from datasites.training.privacy_audit.checks import FALSE_ALARM, Check, at_most, count_z, spread_z, worst
from datasites.training.privacy_audit.subject import Subject
from policies.plans.rounds.sampling import POISSON
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

_SIDE = 32
_ROUNDS, _STEPS = 8, 7
_SAMPLE_RATE = 0.5
_RARE = 0.01
_MOMENTUM = 0.25  # 1 / base of the digits
_PUBLIC_SIZE = 600  # not the true number of units
_UNITS = 510  # with one, two and three pictures in turn
_TOLERANCE = 0.1  # of the last digit: single precision is off by a tenth of that
_MAX_GRAD_NORM = 0.05
_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Draws:
    """Units that the steps drew.

    Attributes:
        times: int64, (steps, pictures): how often each step drew each picture.
        unreadable: How many scores are no sum of whole clipped gradients.
        units: int64, (pictures,), whose each picture is.
    """

    times: np.ndarray
    unreadable: int
    units: np.ndarray

    @property
    def of_units(self) -> np.ndarray:
        """Float64, (steps, units): how often each step drew each unit."""
        out = np.zeros((len(self.times), int(self.units.max()) + 1))
        np.add.at(out.T, self.units, self.times.T.astype(np.float64))
        return out


def many_units() -> np.ndarray:
    """Whose each picture is, int64, (pictures,): of units with one, two and three pictures in turn."""
    return np.repeat(np.arange(_UNITS), 1 + np.arange(_UNITS) % 3)


def draw_checks(subject: Subject) -> list[Check]:
    """Yields checks of the draws of rounds with many units, and of one with a single unit that is rarely drawn."""
    units = many_units()
    found = draws_of(subject, units, sample_rate=_SAMPLE_RATE, rounds=_ROUNDS)
    alone = draws_of(subject, np.zeros(1, dtype=np.int64), sample_rate=_RARE, rounds=1)
    unreadable = found.unreadable + alone.unreadable
    return [
        at_most("draws that are not one clipped gradient", [unreadable], 0.0),
        at_most("draws of a unit in one step", [float(found.of_units.max())], 1.0),
        at_most("draws of a rare unit", [float(alone.times.sum())], _most(_STEPS, _RARE)),
        *_sampling(np.minimum(found.of_units, 1)),
        worst("choice among a unit's pictures", choices(found)),
    ]


def _sampling(drawn: np.ndarray) -> list[Check]:
    """Whether draws, float64 (steps, units) of 0 and 1, are independent of each other, each with the plan's chance."""
    q = _SAMPLE_RATE
    steps, units = drawn.shape
    centred = (drawn - q) / math.sqrt(q * (1 - q))
    of_steps, of_units = centred.sum(axis=1) / math.sqrt(units), centred.sum(axis=0) / math.sqrt(steps)
    between = (centred @ centred.T)[np.triu_indices(steps, 1)] / math.sqrt(units)
    half = units // 2
    pairs = {
        "halves": centred[:, :half] * centred[:, half:],
        "mirrored halves": centred[:, :half] * centred[:, ::-1][:, :half],
        "neighbours": centred[:, ::2] * centred[:, 1::2],
    }
    return [
        worst("draws in all", [count_z(float(drawn.sum()), drawn.size, q)]),
        worst("draws of each step", of_steps),
        worst("spread of the steps' draws", [spread_z(float(of_steps @ of_steps), steps)]),
        worst("draws of each unit", of_units),
        worst("spread of the units' draws", [spread_z(float(of_units @ of_units), units)]),
        worst("draws of pairs of steps", between),
        worst("draws of pairs of units", [p.sum() / math.sqrt(p.size) for p in pairs.values()]),
    ]


def choices(found: Draws) -> list[float]:
    """How often each picture of units with two or three was taken, against its share."""
    counts = found.times.sum(axis=0)
    pictures_of = np.bincount(found.units)[found.units]
    place = np.arange(len(found.units)) - np.searchsorted(found.units, found.units)
    out = []
    for size in (2, 3):
        tries = int(counts[pictures_of == size].sum())
        taken = [counts[(pictures_of == size) & (place == k)].sum() for k in range(size)]
        out += [count_z(float(t), max(tries, 1), 1 / size) for t in taken]
    return out


def draws_of(
    subject: Subject,
    units: np.ndarray,
    *,
    sample_rate: float,
    rounds: int,
    steps: int = _STEPS,
    sampling: str = POISSON,
) -> Draws:
    """Takes rounds without noise and reads what each step drew.

    Args:
        subject: The trainer.
        units: int64, (pictures,), whose each picture is, numbered from 0.
        sample_rate: Of the plan.
        rounds: How many.
        steps: Of each round.
        sampling: Of the plan.
    """
    plan = TrainingPlan(
        study="audit",
        dataset="draws",
        model=ModelSpec("linear", (_SIDE, _SIDE, 1), 2, {"bias": False}),
        rounds=rounds,
        steps_per_round=steps,
        sample_rate=sample_rate,
        sampling=sampling,
        learning_rate=_LEARNING_RATE,
        momentum=_MOMENTUM,
        privacy=PrivacySpec(1.0, _MAX_GRAD_NORM, 1e-5, "patient"),
        run=subject.run(physical_batch_size=128),
    )
    pictures = LabelledPictures(
        images=bright_pixels(np.arange(len(units)), _SIDE),
        labels=np.zeros(len(units), dtype=np.int64),
        units=units,
        public_size=_PUBLIC_SIZE,
    )
    weights = {"head.weight": np.zeros((2, _SIDE**2), dtype=np.float32)}
    step = _LEARNING_RATE * _MAX_GRAD_NORM * (1 - CLIP_MARGIN) / (sample_rate * _PUBLIC_SIZE)
    times, unreadable = [], 0
    for number in range(rounds):
        update = subject.take(plan, number, weights, pictures, silent=True)
        scores = pixel_scores(update, step)
        digits, wrong = _read(scores[: len(units)], steps)
        times.append(digits)
        unreadable += wrong + int(np.abs(scores[len(units) :]).max() > _TOLERANCE * _MOMENTUM**steps)
    return Draws(np.concatenate(times), unreadable, units)


def _read(scores: np.ndarray, steps: int = _STEPS) -> tuple[np.ndarray, int]:
    """Reads scores as numbers of draws: int64 (steps, pictures), and how many cannot be read.

    A gradient of step t, counted back from the last, is in the sum 1 + 1/4 + ... + 4^-t times, which is
    (1 - 4^-(t+1)) * 4/3. So 3/4 of a score is the number of draws less a fraction whose digits are the steps' draws.
    """
    base = round(1 / _MOMENTUM)
    values = np.nan_to_num(scores, nan=-1.0, posinf=-1.0, neginf=-1.0) * (1 - _MOMENTUM)
    unit = _MOMENTUM**steps
    totals = np.ceil(values - unit / 2)
    fractions = (totals - values) / unit
    numbers = np.rint(fractions).astype(np.int64)
    digits = np.stack([numbers // base**step % base for step in range(steps)])
    wrong = (np.abs(fractions - numbers) > _TOLERANCE) | (digits.sum(axis=0) != totals)
    return digits, int(wrong.sum())


def _most(tries: int, chance: float) -> float:
    """The most successes that chance gives often enough not to be an alarm."""
    beyond = 1.0
    for count in range(tries + 1):
        beyond -= math.comb(tries, count) * chance**count * (1 - chance) ** (tries - count)
        if beyond < FALSE_ALARM / 100:
            return float(count)
    return float(tries)
