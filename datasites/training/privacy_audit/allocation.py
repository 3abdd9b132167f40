"""Draws by random allocation: each unit joins exactly one step of each epoch, and which one nobody can foresee.

They are read as those of Poisson sampling are. What is looked at is each unit's place, the step of the epoch that it
joined: evenly spread, and independent of other epochs, other units and what the unit is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np

from datasites.training.privacy_audit.checks import Check, at_most, count_z, spread_z, worst
from datasites.training.privacy_audit.draws import choices, draws_of, many_units
from datasites.training.privacy_audit.subject import Subject
from policies.plans.rounds.sampling import RANDOM_ALLOCATION

_EPOCH, _EPOCHS_EACH, _ROUNDS = 3, 2, 12
_NO_PLACE = -1  # of a unit that joined no step of an epoch, or several


def allocation_checks(subject: Subject) -> list[Check]:
    """Yields checks of the draws of rounds of two epochs, over whose steps many units are allocated."""
    steps = _EPOCH * _EPOCHS_EACH
    found = draws_of(
        subject, many_units(), sample_rate=1 / _EPOCH, rounds=_ROUNDS, steps=steps, sampling=RANDOM_ALLOCATION
    )
    joined = found.of_units.reshape(_ROUNDS * _EPOCHS_EACH, _EPOCH, -1)
    places = np.where((joined.sum(axis=1) == 1) & (joined.max(axis=1) == 1), joined.argmax(axis=1), _NO_PLACE)
    return [
        at_most("allocated draws that are not one clipped gradient", [found.unreadable], 0.0),
        at_most("units in no step of an epoch, or in several", [float((places == _NO_PLACE).sum())], 0.0),
        *_spread(places),
        worst("places of a unit in pairs of epochs", _between_epochs(places)),
        worst("places of a unit in three epochs after each other", _after_two(places)),
        worst("places of pairs of units", _between_units(places)),
        worst("choice among an allocated unit's pictures", choices(found)),
    ]


def _spread(places: np.ndarray) -> list[Check]:
    """Whether places, int64 (epochs, units), are spread evenly: over the steps, and for each unit."""
    epochs, units = places.shape
    at = np.stack([places == place for place in range(_EPOCH)])
    of_steps = (at.sum(axis=2) - units / _EPOCH) / np.sqrt(units / _EPOCH)
    of_units = (at.sum(axis=1) - epochs / _EPOCH) / np.sqrt(epochs / _EPOCH)
    free = _EPOCH - 1  # the numbers of an epoch's steps add up to that of the units
    scale = 1 / np.sqrt(1 - 1 / _EPOCH)
    return [
        worst("units allocated to each step", scale * of_steps.ravel()),
        worst("spread of the steps' allocated units", [spread_z(float((of_steps**2).sum()), epochs * free)]),
        worst("places of each unit", scale * of_units.ravel()),
        worst("spread of the units' places", [spread_z(float((of_units**2).sum()), units * free)]),
    ]


def _between_epochs(places: np.ndarray) -> Iterator[float]:
    """How often a unit's place in one epoch is so many steps after that in another, against chance."""
    for one, other in combinations(places, 2):
        yield from _apart(one, other)


def _after_two(places: np.ndarray) -> Iterator[float]:
    """How often a unit's place follows from those in the two epochs before together, each counted up or down.

    Places may be independent in every pair of epochs and yet be known from two, as those of a weak generator are.
    """
    for one, other, last in zip(places, places[1:], places[2:], strict=False):
        for up, over in product((1, -1), repeat=2):
            yield from _apart(up * one + over * other, last)


def _between_units(places: np.ndarray) -> Iterator[float]:
    """How often a unit's place is so many steps after another's in the same epoch, against chance."""
    half = places.shape[1] // 2
    yield from _apart(places[:, :half], places[:, half:])
    yield from _apart(places[:, :half], places[:, ::-1][:, :half])
    yield from _apart(places[:, ::2], places[:, 1::2])


def _apart(one: np.ndarray, other: np.ndarray) -> Iterator[float]:
    for steps in range(_EPOCH):
        yield count_z(float(((other - one) % _EPOCH == steps).sum()), one.size, 1 / _EPOCH)
