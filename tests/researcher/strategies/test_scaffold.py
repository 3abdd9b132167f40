"""SCAFFOLD on models of three numbers, worked out by hand from algorithm 1 of the paper with option II."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policies.errors import ConfigError, InputRefused
from researcher.strategies import ClientUpdate, FedAvg, KeptWeights, Scaffold, ServerState, without

START = (10.0, 20.0, 30.0)
RATES = 0.5  # K · lr, of 5 steps at 0.1 for example


def begun(folder: Path, strategy: Scaffold | None = None) -> ServerState:
    state = (strategy or Scaffold()).init({"w": np.array(START, np.float32)})
    return replace(state, kept=KeptWeights(folder))


def update(name: str, *values: float, size: float = 1.0, staleness: int = 0, rates: float = RATES) -> ClientUpdate:
    return ClientUpdate(name, {"w": np.array(values, np.float32)}, size, staleness, summed_rates=rates)


def control(state: ServerState, name: str) -> list[float]:
    assert state.kept is not None
    kept = state.kept.read(name)
    assert kept is not None
    return [float(value) for value in kept["w"]]


def own(state: ServerState, name: str) -> list[float]:
    return [float(value) for value in Scaffold().sent(state, name)[1]["w"]]


def test_two_rounds_by_hand(tmp_path: Path) -> None:
    strategy = Scaffold()
    first = strategy.apply(begun(tmp_path), [update("a", 1, 0, -1), update("b", 3, 2, 1)])
    assert first.weights["w"].tolist() == [12, 21, 30]
    assert (control(first, "a"), control(first, "b")) == ([-2, 0, 2], [-6, -4, -2])  # -update / 0.5
    assert first.slots["control"]["w"].tolist() == [-4, -2, 0]
    assert (own(first, "a"), own(first, "b")) == ([-2, -2, -2], [2, 2, 2])

    second = strategy.apply(first, [update("a", 0, 1, 2, rates=0.25), update("b", 1, 1, 0, rates=0.25)])
    assert second.weights["w"].tolist() == [12.5, 22, 31]
    # c_a - c + (x - y) / 0.25 = [-2, 0, 2] - [-4, -2, 0] + [0, -4, -8], and for b [-6, -4, -2] - c + [-4, -4, 0]
    assert (control(second, "a"), control(second, "b")) == ([2, -2, -6], [-6, -6, -2])
    assert second.slots["control"]["w"].tolist() == [-2, -4, -4]


def test_a_mean_gradient_is_found_again_whatever_the_correction_was(tmp_path: Path) -> None:
    # A hospital whose gradient is g in all of its steps moves by -(g + c - c_i) · rates: then c_i is g.
    strategy = Scaffold()
    state = strategy.apply(begun(tmp_path), [update("a", 1, 0, -1), update("b", 3, 2, 1)])
    gradient = {"a": np.array([1, 2, 3]), "b": np.array([-4, 0, 8])}
    sent = [update(name, *(-(g + own(state, name)) * RATES)) for name, g in gradient.items()]
    state = strategy.apply(state, sent)
    assert {name: control(state, name) for name in gradient} == {name: g.tolist() for name, g in gradient.items()}


def test_public_sizes_weigh_control_variates_as_they_weigh_updates_so_that_corrections_cancel(tmp_path: Path) -> None:
    rows = [update("a", 1, 0, -1, size=300), update("b", 3, 2, 1, size=100)]
    state = Scaffold().apply(begun(tmp_path), rows)
    assert (
        state.weights["w"].tolist() == FedAvg().apply(FedAvg().init({"w": np.array(START)}), rows).weights["w"].tolist()
    )
    assert state.slots["control"]["w"].tolist() == [-3, -1, 1]
    assert 300 * np.array(own(state, "a")) + 100 * np.array(own(state, "b")) == pytest.approx([0, 0, 0])


def test_a_hospital_that_did_not_deliver_keeps_its_own_and_one_that_joins_is_not_corrected(tmp_path: Path) -> None:
    strategy = Scaffold()
    state = strategy.apply(begun(tmp_path), [update("a", 1, 0, -1), update("b", 3, 2, 1)])
    assert own(state, "c") == [0, 0, 0]
    state = strategy.apply(state, [update("a", 0, 0, 0), update("c", 1, 1, 1)])
    assert control(state, "b") == [-6, -4, -2]
    assert control(state, "a") == [2, 2, 2] and control(state, "c") == [-2, -2, -2]
    assert state.slots["control"]["w"].tolist() == pytest.approx([-2, -4 / 3, -2 / 3])


def test_who_has_left_for_good_pulls_nobody_any_more(tmp_path: Path) -> None:
    strategy = Scaffold()
    state = strategy.apply(begun(tmp_path), [update("a", 1, 0, -1), update("b", 3, 2, 1), update("c", 5, 4, 3, size=2)])
    after = strategy.without(state, {"c", "never there"})
    assert after.slots["control"]["w"].tolist() == [-4, -2, 0]
    assert after.kept is not None and list(after.kept.hospitals) == ["a", "b"]
    assert state.kept is not None and "c" in state.kept.hospitals, "the state before stays as it was"
    assert own(after, "a") == [-own(after, "b")[0], -2, -2] and own(after, "c") == [0, 0, 0], "it would begin anew"
    assert without(strategy, state, {"never there"}) is state and without(FedAvg(), state, {"c"}) is state


@pytest.mark.parametrize("forgets", [True, False])
def test_those_that_stay_reach_their_own_optimum_if_who_left_is_forgotten(tmp_path: Path, forgets: bool) -> None:
    """Quadratics without noise: a hospital's gradient is its weights less its own optimum."""
    strategy, optima = Scaffold(), {"a": 0.0, "b": 4.0, "c": 30.0}
    state = begun(tmp_path)
    for index in range(60):
        sent = {}
        for name in optima if index == 0 else ("a", "b"):
            model = np.array(state.weights["w"], np.float64)
            for _ in range(5):
                model -= 0.1 * (model - optima[name] + own(state, name))
            sent[name] = model - state.weights["w"]
        state = strategy.apply(state, [update(name, *moved) for name, moved in sent.items()])
        state = strategy.without(state, {"c"}) if forgets else state
    assert bool(np.abs(state.weights["w"] - 2.0).max() < 0.01) is forgets


def test_a_late_update_moves_the_model_and_no_control_variate(tmp_path: Path) -> None:
    strategy = Scaffold()
    state = strategy.apply(begun(tmp_path), [update("a", 1, 0, -1), update("b", 3, 2, 1)])
    after = strategy.apply(state, [update("a", 4, 4, 4, staleness=3)])
    assert after.weights["w"].tolist() == [14, 23, 32]  # 4 / sqrt(1 + 3)
    assert after.kept == state.kept and after.slots["control"]["w"].tolist() == [-4, -2, 0]


def test_momentum_and_averages_of_the_server_are_there_as_in_fed_avg(tmp_path: Path) -> None:
    settings = {"server_momentum": 0.5, "server_averaging": 0.9, "server_learning_rate": 0.25}
    rows = [update("a", 1, 0, -1), update("b", 3, 2, 1)]
    strategy, plain = Scaffold(**settings), FedAvg(**settings)
    state, expected = begun(tmp_path, strategy), plain.init({"w": np.array(START)})
    for _ in range(3):
        state, expected = strategy.apply(state, rows), plain.apply(expected, rows)
    assert state.model["w"].tolist() == expected.model["w"].tolist()
    assert state.weights["w"].tolist() == expected.weights["w"].tolist()


def test_the_state_before_stays_as_it_was_with_its_files(tmp_path: Path) -> None:
    strategy = Scaffold()
    state = strategy.apply(begun(tmp_path), [update("a", 1, 0, -1), update("b", 3, 2, 1)])
    strategy.apply(state, [update("a", 9, 9, 9)])
    assert (control(state, "a"), state.slots["control"]["w"].tolist()) == ([-2, 0, 2], [-4, -2, 0])
    assert state.kept is not None and len(list(tmp_path.iterdir())) == 3
    state.kept.remove_others()
    assert len(list(tmp_path.iterdir())) == 2 and control(state, "b") == [-6, -4, -2]


def test_what_cannot_be_followed_is_refused_and_nothing_is_kept_of_it(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="needs the sum of its learning rates, got 0"):
        Scaffold().apply(begun(tmp_path), [update("a", 1, 0, -1, rates=0.0)])
    with pytest.raises(InputRefused, match="not finite"):
        Scaffold().apply(begun(tmp_path), [update("a", np.nan, 0, -1)])
    with pytest.raises(InputRefused, match="overflow"):
        Scaffold().apply(begun(tmp_path), [update("a", 1e30, 0, 0, rates=1e-20)])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="the state names none"):
        Scaffold().apply(replace(begun(tmp_path), kept=None), [update("a", 1, 0, -1)])


def test_a_changed_file_of_a_hospital_is_refused(tmp_path: Path) -> None:
    state = Scaffold().apply(begun(tmp_path), [update("a", 1, 0, -1)])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ConfigError, match="is not the file that was saved"):
        Scaffold().sent(state, "a")


def test_memory_does_not_grow_with_the_hospitals(tmp_path: Path) -> None:
    size = 200_000

    def arriving(hospitals: int) -> Iterator[ClientUpdate]:
        for number in range(hospitals):
            values = np.full(size, number, np.float32)
            yield ClientUpdate(f"hospital-{number}", {"w": values}, 1.0, summed_rates=RATES)

    def peak(hospitals: int) -> float:
        state = replace(Scaffold().init({"w": np.zeros(size)}), kept=KeptWeights(tmp_path / str(hospitals)))
        tracemalloc.start()
        try:
            state = Scaffold().apply(state, arriving(hospitals))
            Scaffold().apply(state, arriving(hospitals))
            return tracemalloc.get_traced_memory()[1] / (4 * size)
        finally:
            tracemalloc.stop()

    peak(2)  # imports and caches
    assert peak(24) < peak(4) + 1  # models
