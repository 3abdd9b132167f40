"""Federated averaging on models of three numbers, each result worked out by hand."""

import math
import weakref

import numpy as np
import pytest

from policies.contracts.outputs import take_update
from policies.contracts.weights import canonical_bytes
from policies.errors import InputRefused, NotEnoughDatasites, PlanError
from researcher.strategies import Averager, ClientUpdate, FedAvg, ServerState, build, check_update
from researcher.strategies import state as state_module


def three(*values: float) -> dict[str, np.ndarray]:
    return {"w": np.array(values, dtype=np.float32)}


def from_a(*values: float, weight: float = 1.0) -> ClientUpdate:
    return ClientUpdate("a", three(*values), weight)


def from_b(*values: float, weight: float = 1.0) -> ClientUpdate:
    return ClientUpdate("b", three(*values), weight)


def test_the_mean_is_weighted_by_public_size():
    strategy = FedAvg()
    state = strategy.init(three(10, 20, 30))
    # (1·[1, 2, 3] + 3·[5, 6, 7]) / 4 = [4, 5, 6]
    after = strategy.apply(state, [from_a(1, 2, 3, weight=1), from_b(5, 6, 7, weight=3)])
    assert after.weights["w"].tolist() == [14, 25, 36]
    assert after.weights["w"].dtype == np.float32
    assert (state.round, after.round) == (0, 1)


def test_a_stale_update_is_made_smaller_and_keeps_its_weight():
    strategy = FedAvg()
    late = ClientUpdate("b", three(8, 8, 8), 1.0, staleness=3)
    # ([2, 2, 2] + [8, 8, 8] / sqrt(1 + 3)) / 2 = [3, 3, 3]
    assert strategy.apply(strategy.init(three(0, 0, 0)), [from_a(2, 2, 2), late]).weights["w"].tolist() == [3, 3, 3]
    assert strategy.apply(strategy.init(three(0, 0, 0)), [late]).weights["w"].tolist() == [4, 4, 4]


def test_an_update_from_a_round_to_come_is_refused():
    with pytest.raises(InputRefused, match="ahead of its round"):
        Averager(three(0, 0, 0)).add(ClientUpdate("b", three(1, 1, 1), 1.0, staleness=-1))


def test_a_round_leaves_the_state_before_it_as_it_was():
    given = three(10, 20, 30)
    strategy = FedAvg()
    state = strategy.init(given)
    strategy.apply(state, [from_a(1, 1, 1)])
    given["w"][0] = 99
    assert state.weights["w"].tolist() == [10, 20, 30]


def test_half_the_server_learning_rate_goes_half_the_way():
    strategy = build("fed_avg", server_learning_rate=0.5)
    after = strategy.apply(strategy.init(three(0, 0, 0)), [from_a(2, 4, 8)])
    assert after.weights["w"].tolist() == [1, 2, 4]


def test_server_momentum_keeps_half_of_the_last_velocity():
    strategy = FedAvg(server_momentum=0.5)
    state = strategy.init(three(0, 0, 0))
    state = strategy.apply(state, [from_a(2, 4, 0)])  # velocity [2, 4, 0]
    assert state.weights["w"].tolist() == [2, 4, 0]
    state = strategy.apply(state, [from_a(2, 0, 0)])  # velocity [1, 2, 0] + [2, 0, 0] = [3, 2, 0]
    assert state.weights["w"].tolist() == [5, 6, 0]
    assert state.slots["momentum"]["w"].tolist() == [3, 2, 0]


def test_the_average_follows_the_weights_and_does_not_lead_them():
    strategy = FedAvg(server_averaging=0.5)
    state = strategy.init(three(0, 0, 0))
    assert state.model["w"].tolist() == [0, 0, 0]
    state = strategy.apply(state, [from_a(10, 0, 0)])  # the first round keeps 1/10: 0.1 · 0 + 0.9 · 10
    assert (state.weights["w"].tolist(), state.model["w"].tolist()) == ([10, 0, 0], [9, 0, 0])
    state = strategy.apply(state, [from_a(1, 0, 0)])  # the second 2/11: 2/11 · 9 + 9/11 · 11
    assert (state.weights["w"].tolist(), state.model["w"].tolist()) == ([11, 0, 0], [pytest.approx(117 / 11), 0, 0])


def test_a_late_round_keeps_the_share_that_was_asked_for():
    strategy, ones = FedAvg(server_averaging=0.5), three(1, 1, 1)
    late = ServerState(ones, 1000, {"average": three(3, 3, 3)})
    assert strategy.apply(late, [from_a(0, 2, 4)]).model["w"].tolist() == [2, 3, 4]


def test_without_averaging_the_model_is_the_last_weights():
    state = FedAvg().apply(FedAvg().init(three(0, 0, 0)), [from_a(1, 2, 3)])
    assert state.model is state.weights


def test_plain_averaging_remembers_nothing():
    strategy = FedAvg()
    assert strategy.apply(strategy.init(three(0, 0, 0)), [from_a(1, 1, 1)]).slots == {}


def test_the_sum_is_kept_in_double_precision():
    # In float32, 2^24 + 1 is 2^24 again, and the mean would lose both ones.
    averager = Averager(three(0))
    for name, value in (("a", 2**24), ("b", 1), ("c", 1)):
        averager.add(ClientUpdate(name, three(value), 1.0))
    assert averager.result()["w"].tolist() == [(2**24 + 2) / 3]
    assert averager.result()["w"].dtype == np.float64


def test_updates_are_read_one_at_a_time():
    made, most = [], 0

    def stream():
        nonlocal most
        for k in range(5):
            update = ClientUpdate(f"datasite-{k}", three(k, k, k), 1.0)
            made.append(weakref.ref(update.update["w"]))
            most = max(most, sum(one() is not None for one in made))
            yield update
            del update

    after = FedAvg().apply(ServerState(three(0, 0, 0)), stream())
    assert after.weights["w"].tolist() == [2, 2, 2]
    assert most == 2  # the one just made, and the one before it, which the loop has not let go yet


def test_large_updates_that_are_added_together_give_the_same_sums_as_one_after_the_other():
    random, size = np.random.default_rng(3), 1 << 20
    updates = [random.standard_normal(size, np.float32) for _ in range(5)]
    averager, total, weight = Averager({"w": np.zeros(size, np.float32)}), np.zeros(size), 0.0
    for number, array in enumerate(updates):
        factor = 0.1 + number
        averager.add(ClientUpdate(f"datasite-{number}", {"w": array}, factor))
        total, weight = total + array.astype(np.float64) * factor, weight + factor
    with pytest.raises(InputRefused):
        averager.add(ClientUpdate("another", {"w": np.full(size, np.inf, np.float32)}, 1.0))
    assert np.array_equal(averager.result()["w"], total / weight)
    assert np.array_equal(averager.result()["w"], total / weight)


def test_a_single_number_is_averaged_too():
    scalar = {"s": np.float32(0).reshape(())}
    update = ClientUpdate("a", {"s": np.array(2, dtype=np.float32)}, 5.0)
    after = FedAvg().apply(FedAvg().init(scalar), [update])
    assert (after.weights["s"].shape, float(after.weights["s"])) == ((), 2.0)
    moving = FedAvg(server_momentum=0.5, server_averaging=0.5)
    second = moving.apply(moving.apply(moving.init(scalar), [update]), [update])
    assert float(second.weights["s"]) == 2 + 3  # velocity 2, then 0.5 · 2 + 2
    assert float(second.model["s"]) == pytest.approx(2 / 11 * 1.8 + 9 / 11 * 5)


def test_an_array_longer_than_a_piece_is_averaged_whole():
    size = 3 * (1 << 16) + 5
    update = ClientUpdate("a", {"w": np.arange(size, dtype=np.float32)}, 2.0)
    moving = FedAvg(server_momentum=0.5)
    state = moving.apply(moving.init({"w": np.zeros(size, np.float32)}), [update])
    assert np.array_equal(state.weights["w"], np.arange(size))
    assert np.array_equal(moving.apply(state, [update]).weights["w"], 2.5 * np.arange(size))
    update.update["w"][-1] = np.nan
    with pytest.raises(InputRefused, match="not finite"):
        moving.apply(state, [update])


@pytest.mark.parametrize(
    ("update", "told"),
    [
        (from_a(1, 1, 1, weight=0), "public size"),
        (from_a(1, 1, 1, weight=-1), "public size"),
        (from_a(1, 1, 1, weight=math.nan), "public size"),
        (from_a(1, 1, 1, weight=math.inf), "public size"),
        (from_a(1, math.nan, 1), "not finite"),
        (from_a(1, math.inf, 1), "not finite"),
        (from_a(1, 1), r"\(3,\)"),
        (ClientUpdate("a", {}, 1.0), "lacks 'w'"),
        (ClientUpdate("a", three(1, 1, 1) | {"extra": np.zeros(1, np.float32)}, 1.0), "holds 'extra'"),
        (ClientUpdate("a", {"w": np.ones(3)}, 1.0), "float64"),
    ],
)
def test_an_update_that_does_not_fit_is_refused_and_leaves_the_mean_as_it_was(update, told):
    averager = Averager(three(0, 0, 0))
    averager.add(from_b(1, 2, 3))
    with pytest.raises(InputRefused, match=told):
        averager.add(update)
    assert averager.result()["w"].tolist() == [1, 2, 3]
    assert averager.datasites == ("b",)


def test_an_update_with_one_bad_tensor_adds_none_of_its_good_ones():
    two = {"first": np.zeros(1, np.float32), "second": np.zeros(1, np.float32)}
    averager = Averager(two)
    averager.add(ClientUpdate("b", {name: array + 1 for name, array in two.items()}, 1.0))
    bad = {"first": np.full(1, 9, np.float32), "second": np.full(1, np.nan, np.float32)}
    with pytest.raises(InputRefused):
        averager.add(ClientUpdate("a", bad, 1.0))
    assert {name: array.tolist() for name, array in averager.result().items()} == {
        "first": [1],
        "second": [1],
    }


def test_a_datasite_counts_once():
    averager = Averager(three(0, 0, 0))
    averager.add(from_a(1, 1, 1))
    with pytest.raises(InputRefused, match="two client updates"):
        averager.add(from_a(5, 5, 5))


def test_no_update_is_no_round():
    with pytest.raises(NotEnoughDatasites):
        FedAvg().apply(FedAvg().init(three(0, 0, 0)), [])


def test_weights_beyond_float32_are_refused():
    state = FedAvg().init(three(3e38, 0, 0))
    with pytest.raises(InputRefused, match="overflow"):
        FedAvg().apply(state, [from_a(3e38, 0, 0)])


def test_unknown_strategies_and_settings_are_named():
    with pytest.raises(PlanError, match="fed_avg"):
        build("fed_magic")
    with pytest.raises(PlanError, match="'momentum'"):
        build("fed_avg", momentum=0.9)
    with pytest.raises(PlanError, match="server_momentum"):
        build("fed_avg", server_momentum=1.0)


def taken(weight):
    """An update as it comes in: checked, and closed to writing."""
    arrays = {"w": np.array(weight, dtype=np.float32)}
    return take_update(canonical_bytes(arrays), {"w": arrays["w"].shape}, max_bytes=1 << 10)


def test_values_that_were_found_finite_when_they_came_in_are_not_looked_at_again(monkeypatch):
    looked = []
    monkeypatch.setattr(state_module, "is_finite", lambda array: looked.append(array) or True)
    check_update(ClientUpdate("a", taken([1.0, 2.0]), 1.0), {"w": np.zeros(2)})
    assert looked == []
    check_update(ClientUpdate("a", dict(taken([1.0, 2.0])), 1.0), {"w": np.zeros(2)})
    assert len(looked) == 1


def test_what_came_in_cannot_be_written_to_and_is_looked_at_again_once_it_could(monkeypatch):
    like = {"w": np.zeros(2)}
    update = taken([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        update["w"][0] = np.nan
    update["w"].flags.writeable = True
    update["w"][0] = np.nan
    with pytest.raises(InputRefused, match="not finite"):
        check_update(ClientUpdate("a", update, 1.0), like)
    exchanged = taken([1.0, 2.0])
    exchanged["w"] = np.array([np.inf, 1.0], dtype=np.float32)
    with pytest.raises(InputRefused, match="not finite"):
        check_update(ClientUpdate("a", exchanged, 1.0), like)
