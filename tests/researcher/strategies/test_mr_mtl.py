"""MR-MTL on models of three numbers, worked out by hand from algorithm 1 of the paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policies.errors import InputRefused, NotEnoughDatasites, PlanError
from researcher.strategies import ClientUpdate, KeptWeights, MrMtl, ServerState, without

START = (10.0, 20.0, 30.0)


def begun(folder: Path) -> ServerState:
    return replace(MrMtl().init({"w": np.array(START, np.float32)}), kept=KeptWeights(folder))


def update(name: str, *values: float, size: float = 1.0, staleness: int = 0) -> ClientUpdate:
    return ClientUpdate(name, {"w": np.array(values, np.float32)}, size, staleness)


def own(state: ServerState, name: str) -> list[float]:
    start, anchor = MrMtl().sent(state, name)
    assert anchor["w"].tolist() == state.weights["w"].tolist()
    return [float(value) for value in start["w"]]


def test_two_rounds_by_hand(tmp_path: Path) -> None:
    state = begun(tmp_path)
    assert own(state, "a") == own(state, "b") == list(START)
    state = MrMtl().apply(state, [update("a", 1, 0, -1), update("b", 3, 2, 1, size=3)])
    assert (own(state, "a"), own(state, "b")) == ([11, 20, 29], [13, 22, 31])
    assert state.weights["w"].tolist() == [12.5, 21.5, 30.5]  # (a + 3 b) / 4
    state = MrMtl().apply(state, [update("a", -1, 4, 1), update("b", 1, 0, 1, size=3)])
    assert (own(state, "a"), own(state, "b")) == ([10, 24, 30], [14, 22, 32])
    assert state.weights["w"].tolist() == [13, 22.5, 31.5] and state.round == 2
    assert state.model is state.weights


def test_a_hospital_that_did_not_deliver_keeps_its_model_and_one_that_joins_starts_from_the_mean(
    tmp_path: Path,
) -> None:
    state = MrMtl().apply(begun(tmp_path), [update("a", 2, 0, 0), update("b", 4, 0, 0)])
    assert own(state, "c") == [13, 20, 30]
    state = MrMtl().apply(state, [update("c", 2, 0, 0)])
    assert (own(state, "a"), own(state, "b"), own(state, "c")) == ([12, 20, 30], [14, 20, 30], [15, 20, 30])
    assert state.weights["w"].tolist() == pytest.approx([41 / 3, 20, 30])


def test_a_late_update_is_added_whole_to_the_model_that_waited_for_it(tmp_path: Path) -> None:
    state = MrMtl().apply(begun(tmp_path), [update("a", 2, 0, 0), update("b", 4, 0, 0)])
    state = MrMtl().apply(state, [update("b", 1, 1, 1)])
    state = MrMtl().apply(state, [update("a", 2, 2, 2, staleness=1)])
    assert (own(state, "a"), own(state, "b")) == ([14, 22, 32], [15, 21, 31])


def test_who_has_left_for_good_is_in_no_mean_that_pulls_the_others(tmp_path: Path) -> None:
    state = MrMtl().apply(begun(tmp_path), [update("a", 2, 0, 0), update("b", 4, 0, 0), update("c", 60, 0, 0, size=2)])
    after = without(MrMtl(), state, {"c", "never there"})
    assert after.weights["w"].tolist() == [13, 20, 30] and after.round == state.round
    assert (own(after, "a"), own(after, "b"), own(after, "c")) == ([12, 20, 30], [14, 20, 30], [13, 20, 30])
    assert own(state, "c") == [70, 20, 30], "the state before stays as it was"
    state = MrMtl().apply(after, [update("a", 1, 0, 0), update("b", 1, 0, 0)])
    assert state.weights["w"].tolist() == [14, 20, 30]
    assert without(MrMtl(), state, {"c"}) is state, "it is gone already"
    assert without(MrMtl(), state, {"a", "b"}) is state, "a mean of nobody is none"


def test_what_cannot_be_added_is_refused_and_the_state_before_stays(tmp_path: Path) -> None:
    state = MrMtl().apply(begun(tmp_path), [update("a", 2, 0, 0)])
    with pytest.raises(InputRefused, match="sent two client updates"):
        MrMtl().apply(state, [update("a", 1, 1, 1), update("a", 1, 1, 1)])
    with pytest.raises(InputRefused, match="not finite"):
        MrMtl().apply(state, [update("a", np.inf, 1, 1)])
    with pytest.raises(NotEnoughDatasites, match="at least one"):
        MrMtl().apply(state, [])
    assert own(state, "a") == [12, 20, 30]


@pytest.mark.parametrize("name", ["server_momentum", "server_averaging", "server_learning_rate"])
def test_settings_that_would_change_a_hospitals_model_beside_its_updates_are_refused(name: str) -> None:
    with pytest.raises(PlanError, match=f"{name} is 0.5"):
        MrMtl(**{name: 0.5})
    with pytest.raises(PlanError, match="mean_pull"):
        MrMtl(mean_pull=-1.0)
