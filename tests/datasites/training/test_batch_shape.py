"""The one shape of a step's batches: what it follows from, and that places say nothing of who else was drawn."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from support.own_losses import focal, loss_graph, own_objective
from support.own_models import own_graph, own_spec

from datasites.training.dp_sgd.batch_shape import EMPTY, BatchShape, most_drawn
from datasites.training.randomness.randomness import SecureRandom
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan

OWN_MODEL = {"model": own_spec(own_graph())}
OWN_LOSS = {"model": ModelSpec("linear", (4, 4, 1), 3), "objective": own_objective(loss_graph(focal))}


def plan(rate, **run):
    return TrainingPlan("s", "d", ModelSpec("linear", (4, 4, 1), 2), 1, 1, rate, 0.1, run=RunSpec("cpu", **run))


def units(count):
    return np.arange(count)[:, None]


def test_a_step_has_room_for_the_expected_draw_and_the_plans_margin():
    assert most_drawn(plan(0.1), 4500) == 551  # 450, and five times 20.12
    assert most_drawn(plan(0.1, batch_margin=3), 4500) == 511
    assert most_drawn(plan(1.0), 4500) == 4500
    assert most_drawn(plan(1e-9), 50) == 1


def test_a_draw_above_the_margin_is_as_rare_as_the_documentation_says():
    rates, sizes = (0.001, 0.01, 0.1, 0.5, 0.9), (50, 500, 5000, 50_000, 500_000)
    chances = {
        (rate, size): stats.binom.sf(most_drawn(plan(rate), size), size, rate) for rate in rates for size in sizes
    }
    assert max(chances.values()) < 2e-4
    assert max(chance for (rate, size), chance in chances.items() if rate * size >= 100) < 5e-6


@pytest.mark.parametrize("rate", [1e-6, 0.001, 0.05, 0.5, 0.9, 0.999999, 1.0])
@pytest.mark.parametrize("size", [1, 50, 1000, 500_000])
@pytest.mark.parametrize("changes", [OWN_LOSS, OWN_MODEL], ids=["loss", "model"])
def test_with_an_own_graph_a_step_is_full_once_in_two_to_the_sixty(rate, size, changes):
    own = replace(plan(rate, batch_margin=3), **changes)
    most = most_drawn(own, size)
    assert most_drawn(plan(rate, batch_margin=3), size) <= most <= size
    assert most == size or stats.binom.sf(most - 1, size, rate) <= 2.0**-60
    assert most_drawn(replace(own, run=RunSpec("cpu", batch_margin=20)), size) >= most


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("drawn", [1, 5, 64, 65, 130, 1000])
def test_a_shape_has_room_enough_and_wastes_less_than_a_place_of_each_batch(drawn, processes):
    shape = BatchShape.for_draws(drawn, most_places=64, processes=processes)
    assert shape.places <= 64 and shape.batches % processes == 0
    assert drawn <= shape.places * shape.batches < drawn + shape.batches


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 11, 12, 13, 30])
def test_each_unit_has_one_place_in_one_process(count, processes):
    shape = BatchShape(places=3, batches=4, processes=processes)
    seated = shape.seat(np.column_stack([units(count), units(count) + 100]), SecureRandom.for_tests(1))
    batches = [shape.batches_of(seated, rank) for rank in range(processes)]
    assert {part.shape[1:] for part in batches} == {(3, 2)}
    assert len({len(part) for part in batches}) == 1, "all processes compute equally many"
    assert sum(map(len, batches)) == (4 if count <= 12 else max(4, -(-count // (3 * processes)) * processes))
    taken = np.concatenate([part.reshape(-1, 2) for part in batches])
    taken = taken[taken[:, 0] != EMPTY]
    assert sorted(map(tuple, taken)) == [(unit, unit + 100) for unit in range(count)]


def test_places_are_those_of_the_shuffle_by_hand():
    random, twin = SecureRandom.for_tests(3), SecureRandom.for_tests(3)
    seated = BatchShape(places=4, batches=3).seat(units(9), random)
    left, expected = list(range(12)), []
    for further in twin.integers(12 - np.arange(9)):
        expected.append(left[further])
        left[further] = left[0]
        left = left[1:]
    assert seated[:, 0].tolist() == expected and seated.dtype == np.int64


def test_a_units_place_does_not_depend_on_who_else_was_drawn():
    shape, random = BatchShape(places=2, batches=2), SecureRandom.for_tests(2)
    pairs = {count: np.zeros((4, 4)) for count in (2, 3, 4)}
    for count, found in pairs.items():
        for _ in range(6000):
            seated = shape.seat(units(count), random)
            found[seated[0, 0], seated[1, 0]] += 1
    for found in pairs.values():
        counts = [found[pair] for pair in permutations(range(4), 2)]
        assert stats.chisquare(counts).pvalue > 1e-3
