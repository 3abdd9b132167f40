"""Faults of who joins a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from datasites.training.pictures.sampler import poisson_steps
from datasites.training.randomness.randomness import SecureRandom
from mutants.mutant import Mutant, Patch, everywhere

Draw = Callable[[np.ndarray, float, int, SecureRandom], Iterator[np.ndarray]]


def drawn_by(draw: Draw) -> Callable[[Patch], None]:
    """Replaces the sampler."""

    def build_in(patch: Patch) -> None:
        def steps(units, *, sample_rate, steps, random, pictures_each=1, index=None):
            for drawn in draw(units, sample_rate, steps, random):
                yield drawn[:, None]

        everywhere(patch, poisson_steps, steps)

    return build_in


def sound(units, q, steps, random):
    for drawn in poisson_steps(units, sample_rate=q, steps=steps, random=random):
        yield drawn[:, 0]


def at_rate(factor):
    def draw(units, q, steps, random):
        return sound(units, min(1.0, factor * q), steps, random)

    return drawn_by(draw)


def on_units(choose):
    """Steps of which `choose(was drawn, q, random)` says which units take part, bool (U,), each with one picture."""

    def draw(units, q, steps, random):
        pictures_of = np.bincount(units)
        first = np.cumsum(pictures_of) - pictures_of
        by_unit = np.argsort(units, kind="stable")
        for _ in range(steps):
            chosen = np.flatnonzero(choose(random.bernoulli(q, len(pictures_of)), q, random))
            yield by_unit[first[chosen] + random.integers(pictures_of[chosen])]

    return drawn_by(draw)


def some_twice(units, q, steps, random):
    for drawn in sound(units, q, steps, random):
        yield np.concatenate([drawn, drawn[random.bernoulli(0.02, len(drawn))]])


def of_fixed_size(drawn, q, random):
    order = np.argsort(random.uniform(len(drawn)))
    return order < round(q * len(drawn))


def shuffled(units, q, steps, random):
    left = np.zeros(0, dtype=np.int64)
    size = round(q * (int(units.max()) + 1))
    for _ in range(steps):
        if len(left) < size:
            left = np.concatenate([left, np.argsort(random.uniform(int(units.max()) + 1))])
        chosen, left = left[:size], left[size:]
        yield np.flatnonzero(np.isin(units, chosen) & (np.diff(units, prepend=-1) > 0))


def shared_by_the_steps(units, q, steps, random):
    drawn = next(sound(units, q, 1, random))
    return iter([drawn] * steps)


def shared_by_pairs_of_steps(units, q, steps, random):
    before = None
    for number, drawn in enumerate(sound(units, q, steps, random)):
        before = before if number % 2 else drawn
        yield before


def shared_by_the_rounds(units, q, steps, random):
    return sound(units, q, steps, SecureRandom.for_tests(0))


def without_empty(units, q, steps, random):
    return (drawn for drawn in sound(units, q, steps, random) if len(drawn))


def empty_ones_again(units, q, steps, random):
    filled = without_empty(units, q, 10**9, random)
    return (next(filled) for _ in range(steps))


def all_pictures(units, q, steps, random):
    for drawn in sound(units, q, steps, random):
        yield np.flatnonzero(np.isin(units, units[drawn]))


def first_pictures(units, q, steps, random):
    for drawn in sound(units, q, steps, random):
        yield np.flatnonzero(np.isin(units, units[drawn]) & (np.diff(units, prepend=-1) > 0))


def by_picture(units, q, steps, random):
    return (np.flatnonzero(random.bernoulli(q, len(units))) for _ in range(steps))


def with_one(place, joins):
    def choose(drawn, q, random):
        drawn = drawn.copy()
        if len(drawn) > 1:
            drawn[place] = joins
        return drawn

    return choose


def second_half(of):
    def choose(drawn, q, random):
        half = len(drawn) // 2
        return np.concatenate([drawn[: len(drawn) - half], of(drawn[:half])])

    return choose


def neighbours(drawn, q, random):
    drawn = drawn.copy()
    drawn[1::2] = drawn[: len(drawn) // 2 * 2 : 2]
    return drawn


MUTANTS = [
    Mutant(name, "draws", build_in)
    for name, build_in in {
        "sample rate doubled": at_rate(2.0),
        "sample rate 5 % too large": at_rate(1.05),
        "sample rate 5 % too small": at_rate(0.95),
        "2 % of drawn units counted twice": drawn_by(some_twice),
        "batches of fixed size": on_units(of_fixed_size),
        "shuffled, then cut into batches": drawn_by(shuffled),
        "one draw for all steps of a round": drawn_by(shared_by_the_steps),
        "one draw for two steps": drawn_by(shared_by_pairs_of_steps),
        "the same draws in each round": drawn_by(shared_by_the_rounds),
        "empty batches skipped": drawn_by(without_empty),
        "empty batches drawn again": drawn_by(empty_ones_again),
        "all pictures of a drawn unit taken": drawn_by(all_pictures),
        "always a unit's first picture": drawn_by(first_pictures),
        "pictures drawn in place of units": drawn_by(by_picture),
        "last unit never drawn": on_units(with_one(-1, False)),
        "last unit always drawn": on_units(with_one(-1, True)),
        "first unit always drawn": on_units(with_one(0, True)),
        "second half of a draw copies the first": on_units(second_half(lambda half: half)),
        "second half of a draw mirrors the first": on_units(second_half(lambda half: half[::-1])),
        "second half of a draw is what the first is not": on_units(second_half(lambda half: ~half)),
        "neighbours drawn together": on_units(neighbours),
    }.items()
]
