"""Faults of random allocation: of which step of an epoch a unit joins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from datasites.training.pictures.sampler import allocated_steps, poisson_steps
from datasites.training.randomness.randomness import SecureRandom
from mutants.mutant import Mutant, Patch, everywhere

Steps = Callable[..., object]


def sampled_by(steps: Steps) -> Callable[[Patch], None]:
    """Replaces the sampler."""
    return lambda patch: everywhere(patch, allocated_steps, steps)


def placed_by(places: Callable[[int, int, SecureRandom, int], np.ndarray], *, joins=None) -> Callable[[Patch], None]:
    """Steps of which `places(units, steps of an epoch, random, epoch)` says which each unit joins, int64 (U,).

    Args:
        places: Called at the start of each epoch.
        joins: Given the places and a step, who joins it, bool (U,); those whose place it is by default.
    """

    def steps(units, *, steps_of_epoch, steps, random, pictures_each=1, index=None):
        pictures_of = np.bincount(units)
        first = np.cumsum(pictures_of) - pictures_of
        by_unit = np.argsort(units, kind="stable")
        for epoch in range(steps // steps_of_epoch):
            of = places(len(pictures_of), steps_of_epoch, random, epoch)
            for step in range(steps_of_epoch):
                chosen = np.flatnonzero((of == step) if joins is None else joins(of, step, steps_of_epoch))
                yield by_unit[first[chosen] + random.integers(pictures_of[chosen])][:, None]

    return sampled_by(steps)


def drawn(units, epoch_steps, random, epoch):
    return random.integers(np.full(units, epoch_steps, dtype=np.int64))


def some_twice(of, step, epoch_steps):
    again = np.arange(len(of)) % 50 == 0
    return (of == step) | (again & ((of + 1) % epoch_steps == step))


def all_but_the_last(of, step, epoch_steps):
    joins = of == step
    joins[-1] = False
    return joins


def last_step_empty(of, step, epoch_steps):
    return (of == step) & (step < epoch_steps - 1)


def by_content(units, epoch_steps, random, epoch):
    return np.arange(units) % epoch_steps


def of_one_size(units, epoch_steps, random, epoch):
    return np.argsort(random.uniform(units)) % epoch_steps


def more_in_the_first(units, epoch_steps, random, epoch):
    of = drawn(units, epoch_steps, random, epoch)
    of[random.bernoulli(0.1, units)] = 0
    return of


def last_in_the_first(units, epoch_steps, random, epoch):
    of = drawn(units, epoch_steps, random, epoch)
    of[-1] = 0
    return of


def neighbours(units, epoch_steps, random, epoch):
    of = drawn(units, epoch_steps, random, epoch)
    of[1::2] = of[: units // 2 * 2 : 2]
    return of


def second_half_after_the_first(units, epoch_steps, random, epoch):
    of = drawn(units, epoch_steps, random, epoch)
    of[units - units // 2 :] = (of[: units // 2] + 1) % epoch_steps
    return of


def kept_in_a_round(shift):
    """The first epoch's places, moved by so many steps, for all epochs of a round."""
    kept = {}

    def places(units, epoch_steps, random, epoch):
        if epoch == 0:
            kept["of"] = drawn(units, epoch_steps, random, epoch)
        return (kept["of"] + shift * epoch) % epoch_steps

    return places


def every_third_follows(units, epoch_steps, random, epoch, *, kept):
    """The sum of those of the two epochs before in every third, which is independent of each of both."""
    if len(kept) == 2 and len(kept[0]) == units:
        of = (kept[0] + kept[1]) % epoch_steps
        kept.clear()
        return of
    kept.append(drawn(units, epoch_steps, random, epoch))
    return kept[-1]


def same_in_each_round(units, *, random, **form):
    return allocated_steps(units, random=SecureRandom.for_tests(0), **form)


def poisson(units, *, steps_of_epoch, **form):
    return poisson_steps(units, sample_rate=1 / steps_of_epoch, **form)


def over_the_whole_round(units, *, steps_of_epoch, steps, **form):
    return allocated_steps(units, steps_of_epoch=steps, steps=steps, **form)


def largest_first(units, *, steps_of_epoch, **form):
    epochs = list(allocated_steps(units, steps_of_epoch=steps_of_epoch, **form))
    return iter(sorted(epochs, key=len, reverse=True))


def first_pictures(units, **form):
    first = np.flatnonzero(np.diff(units, prepend=-1) > 0)
    for pictures in allocated_steps(units, **form):
        yield first[units[pictures]]


MUTANTS = [
    Mutant(f"allocation: {name}", "allocation", build_in)
    for name, build_in in {
        "2 % of units join two steps of an epoch": placed_by(drawn, joins=some_twice),
        "last unit joins none": placed_by(drawn, joins=all_but_the_last),
        "last step of an epoch left out": placed_by(drawn, joins=last_step_empty),
        "the step follows from where a unit lies": placed_by(by_content),
        "steps of one size": placed_by(of_one_size),
        "first step preferred by a fifth": placed_by(more_in_the_first),
        "last unit always in the first step": placed_by(last_in_the_first),
        "neighbours together": placed_by(neighbours),
        "second half one step after the first": placed_by(second_half_after_the_first),
        "one allocation for all epochs of a round": placed_by(kept_in_a_round(0)),
        "the next epoch's is the last one's, a step later": placed_by(kept_in_a_round(1)),
        "every third epoch's follows from those of the two before": placed_by(partial(every_third_follows, kept=[])),
        "the same allocation in each round": sampled_by(same_in_each_round),
        "Poisson sampling in its place": sampled_by(poisson),
        "over the whole round in place of an epoch": sampled_by(over_the_whole_round),
        "largest steps first": sampled_by(largest_first),
        "always a unit's first picture": sampled_by(first_pictures),
    }.items()
]
