"""Noise: rounds with hardly any picture in them give noise alone, and its every number has to be fresh.

Rounds are taken as runs take them, each with a generator of its own. All that other code could have seeded is set to
the same state before each round, so that noise that came from there would repeat.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from datasites.training.models import trainable_shapes
from datasites.training.pictures.data import LabelledPictures
from datasites.training.privacy_audit.checks import Check, correlation_z, kurtosis_z, spread_z, worst
from datasites.training.privacy_audit.subject import Subject
from datasites.training.randomness.keyed_noise import BLOCKS
from policies.plans.tokeniser import TextForm
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

_FORM = TextForm(length=4, vocabulary=512)
_OPTIONS = {**_FORM.options, "width": 16, "text_features": 32, "window": 3}
_SEVERAL = ModelSpec("image_text", (16, 16, 1), 16, _OPTIONS)  # many parameters, some of equal size
_LARGE = ModelSpec("linear", (128, 128, 4), 4, {"bias": False})  # 2^18 numbers: noise is made in blocks
_ROUNDS, _STEPS, _MOMENTUM = 4, 2, 0.5
_SAMPLE_RATE, _PUBLIC_SIZE = 0.01, 200
_NOISE_MULTIPLIER, _MAX_GRAD_NORM, _LEARNING_RATE = 4.0, 0.1, 1e-3
_FEWEST = 32  # numbers whose correlation is looked at
_SMALLEST_HALF = BLOCKS  # values that lie beside each other because they are made alike
_FEWEST_SQUARES = 1 << 13  # whose products have far longer tails


@dataclass(frozen=True)
class Noise:
    """What rounds of one model gave, as values that should be standard normal.

    Attributes:
        by_name: float64, (rounds, size), for each parameter.
    """

    by_name: dict[str, np.ndarray]

    @property
    def by_round(self) -> np.ndarray:
        """Float64, (rounds, numbers): all parameters of each round."""
        return np.concatenate(list(self.by_name.values()), axis=1)


def noise_checks(subject: Subject) -> list[Check]:
    """Yields checks of the noise in several rounds of a model of many parameters, and in one of a large model."""
    several = _noise(subject, _SEVERAL, rounds=_ROUNDS, steps=_STEPS)
    large = _noise(subject, _LARGE, rounds=1, steps=1)
    parameters = [*several.by_name.values(), *large.by_name.values()]
    together = np.concatenate([part.ravel() for part in parameters])
    return [
        worst("spread of all noise", [spread_z(float(together @ together), together.size)]),
        worst("spread of each parameter's noise", [spread_z(float(np.square(p).sum()), p.size) for p in parameters]),
        worst("mean of each parameter's noise", [float(p.sum()) / math.sqrt(p.size) for p in parameters]),
        worst("shape of the noise", [kurtosis_z(noise.by_round.ravel()) for noise in (several, large)]),
        worst("noise of pairs of parameters", _between_parameters(several)),
        worst("noise of halves", [z for part in parameters for z in _between_halves(part)]),
        worst("noise of pairs of rounds", [correlation_z(a, b) for a, b in combinations(several.by_round, 2)]),
    ]


def _between_parameters(noise: Noise) -> Iterator[float]:
    """All pairs of parameters of equal size, in order and with the second turned round."""
    by_size: defaultdict[int, list[np.ndarray]] = defaultdict(list)
    for part in noise.by_name.values():
        if part.size >= _FEWEST:
            by_size[part.shape[1]].append(part)
    for group in by_size.values():
        for first, second in combinations(group, 2):
            yield correlation_z(first.ravel(), second.ravel())
            yield correlation_z(first.ravel(), second[:, ::-1].ravel())


def _between_halves(part: np.ndarray) -> Iterator[float]:
    """The two halves of a parameter, their halves and so on: in order and mirrored, as they are and squared.

    Args:
        part: float64, (rounds, size).
    """
    length = part.shape[1] // 2
    if part.shape[0] * length < _FEWEST:
        return
    while True:
        pieces = part[:, : 2 * length * (part.shape[1] // (2 * length))].reshape(-1, 2, length)
        first, second = pieces[:, 0].ravel(), pieces[:, 1].ravel()
        mirrored = pieces[:, 1, ::-1].ravel()
        for other in (second, mirrored):
            yield correlation_z(first, other)
            if first.size >= _FEWEST_SQUARES:
                yield correlation_z(np.square(first) - 1, np.square(other) - 1)
        length //= 2
        if length < _SMALLEST_HALF:
            return


def _noise(subject: Subject, model: ModelSpec, *, rounds: int, steps: int) -> Noise:
    """Takes rounds with one picture that is hardly ever drawn, and gives what their updates are made of."""
    plan = TrainingPlan(
        study="audit",
        dataset="noise",
        model=model,
        rounds=rounds,
        steps_per_round=steps,
        sample_rate=_SAMPLE_RATE,
        learning_rate=_LEARNING_RATE,
        momentum=_MOMENTUM,
        privacy=PrivacySpec(_NOISE_MULTIPLIER, _MAX_GRAD_NORM, 1e-5),
        run=subject.run(physical_batch_size=4),
    )
    in_sum = [(1 - _MOMENTUM ** (steps - step)) / (1 - _MOMENTUM) for step in range(steps)]
    spread = _LEARNING_RATE * _NOISE_MULTIPLIER * _MAX_GRAD_NORM / (_SAMPLE_RATE * _PUBLIC_SIZE) * math.hypot(*in_sum)
    weights = {name: np.zeros(shape, dtype=np.float32) for name, shape in trainable_shapes(model).items()}
    pictures = _one_picture(model)
    updates = []
    for number in range(rounds):
        with _seeded_elsewhere():
            updates.append(subject.take(plan, number, weights, pictures))
    values = {n: np.stack([u[n].ravel() for u in updates]).astype(np.float64) for n in weights}
    return Noise({name: np.nan_to_num(value / spread, nan=0.0) for name, value in values.items()})


def _one_picture(model: ModelSpec) -> LabelledPictures:
    reports = model is _SEVERAL
    return LabelledPictures(
        images=np.zeros((1, *model.image_shape), dtype=np.uint8),
        labels=np.zeros(1, dtype=np.int64),
        units=np.zeros(1, dtype=np.int64),
        public_size=_PUBLIC_SIZE,
        texts=np.ones((1, _FORM.length), dtype=np.int32) if reports else None,
        text_form=_FORM if reports else None,
    )


@contextlib.contextmanager
def _seeded_elsewhere() -> Iterator[None]:
    """Sets the process's own generators, which no noise may come from, to a known state for a while."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            np.random.seed(0)
            random.seed(0)
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
