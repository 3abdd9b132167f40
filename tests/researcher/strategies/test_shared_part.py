"""FedPer and FedBN on models of three shared numbers and two that stay, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from policies.errors import InputRefused, NotEnoughDatasites
from policies.plans.training import ServerSpec
from researcher.strategies import ClientUpdate, FedBn, FedPer, ServerState, ServerStep, Weights, build

SHARED, STAYS = "body.weight", "head.weight"
STRATEGIES = pytest.mark.parametrize("strategy", [FedPer, FedBn])


def begun() -> ServerState:
    return FedPer().init({SHARED: np.array([1, 2, 3]), STAYS: np.array([7, 8])})


def update(name: str, *values: float, size: float = 1.0, staleness: int = 0) -> ClientUpdate:
    return ClientUpdate(name, {SHARED: np.array(values, np.float32)}, size, staleness)


def plain(weights: Weights) -> dict[str, list[float]]:
    return {name: [float(value) for value in array] for name, array in weights.items()}


@STRATEGIES
def test_two_rounds_by_hand(strategy: type[ServerStep]) -> None:
    state = strategy().apply(begun(), iter([update("a", 4, 0, -4), update("b", 0, 4, 0, size=3)]))
    assert plain(state.weights) == {SHARED: [2, 5, 2], STAYS: [7, 8]}  # + (a + 3 b) / 4
    state = strategy().apply(state, [update("a", 1, 1, 1)])
    assert plain(state.weights) == {SHARED: [3, 6, 3], STAYS: [7, 8]} and state.round == 2
    assert state.model is state.weights


@STRATEGIES
def test_momentum_and_averaging_are_of_what_is_shared(strategy: type[ServerStep]) -> None:
    step = strategy(server_momentum=0.5, server_averaging=0.9)
    state = step.apply(begun(), [update("a", 2, 0, 0)])
    assert plain(state.weights) == {SHARED: [3, 2, 3], STAYS: [7, 8]}
    assert plain(state.slots["momentum"]) == {SHARED: [2, 0, 0]}
    assert plain(state.model)[SHARED] == pytest.approx([0.1 * 1 + 0.9 * 3, 2, 3])
    assert plain(state.model)[STAYS] == [7, 8]
    state = step.apply(state, [update("a", 2, 0, 0)])
    assert plain(state.weights) == {SHARED: [6, 2, 3], STAYS: [7, 8]}  # + 2 + 0.5 · 2
    assert plain(state.model)[STAYS] == [7, 8]


def test_it_is_federated_averaging_of_the_shared_part() -> None:
    updates = [update("a", 1, 2, 3), update("b", -1, 0.5, 0, size=2, staleness=1)]
    whole = begun()
    alone = build("fed_avg").apply(build("fed_avg").init({SHARED: whole.weights[SHARED]}), updates)
    assert plain(FedPer().apply(whole, updates).weights)[SHARED] == plain(alone.weights)[SHARED]


REFUSED: dict[str, dict[str, tuple[float, ...]]] = {
    "what stays": {SHARED: (1, 1, 1), STAYS: (1, 1)},
    "another parameter": {"body.bias": (1.0,)},
    "nothing": {},
}


AFTER = {**REFUSED, "what stays alone": {STAYS: (1, 1)}}


@pytest.mark.parametrize(("held", "first"), [*((held, True) for held in REFUSED), *((held, False) for held in AFTER)])
def test_an_update_of_anything_but_the_shared_part_is_refused_and_the_state_stays(held: str, first: bool) -> None:
    state = begun()
    odd = ClientUpdate("b", {name: np.array(values, np.float32) for name, values in AFTER[held].items()}, 1.0)
    with pytest.raises(InputRefused):
        FedPer().apply(state, [odd] if first else [update("a", 1, 1, 1), odd])
    assert plain(state.weights) == {SHARED: [1, 2, 3], STAYS: [7, 8]}


def test_a_round_needs_an_update() -> None:
    with pytest.raises(NotEnoughDatasites, match="at least one"):
        FedPer().apply(begun(), [])


def test_both_are_built_by_the_names_that_plans_give_them() -> None:
    for name, kind in (("fed_per", FedPer), ("fed_bn", FedBn)):
        server = ServerSpec(name)
        made = build(name, server_momentum=0.5, server_averaging=0.0, **server.read)
        assert isinstance(made, kind) and made.server_momentum == 0.5
