"""The strategies beside FedAvg, on models of three numbers: each result worked out by hand, or told by Flower.

Flower's numbers come from flwr 1.42.0, `flwr.serverapp.strategy`, whose `aggregate_train` was given the weights that
the updates below lead to; FedAdam is not among them, since Flower corrects its means for their beginning and the paper
does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from policies.errors import InputRefused, NotEnoughDatasites, PlanError
from researcher.strategies import ClientUpdate, FedAvg, ServerStep, Strategy, build, kept_updates

START = (10.0, 20.0, 30.0)
ROUNDS = (
    {"a": ((1, -2, 0.5), 1.0), "b": ((3, 2, -0.5), 3.0), "c": ((-1, 4, 0), 4.0)},
    {"a": ((0.5, 1, 2), 1.0), "b": ((-2, 1, 0.25), 3.0), "c": ((4, -3, 1), 4.0)},
)


def updates(rows: dict[str, tuple[tuple[float, ...], float]]) -> list[ClientUpdate]:
    return [ClientUpdate(name, {"w": np.array(values, np.float32)}, weight) for name, (values, weight) in rows.items()]


def after(strategy: Strategy, rounds: tuple[dict[str, tuple[tuple[float, ...], float]], ...] = ROUNDS) -> list[float]:
    state = strategy.init({"w": np.array(START, np.float32)})
    for rows in rounds:
        state = strategy.apply(state, updates(rows))
    return [float(value) for value in state.weights["w"]]


def test_adagrad_divides_by_the_root_of_the_sum_of_squares() -> None:
    # mean updates [0.75, 2.5, -0.125] and [1.3125, -1, 0.84375]
    strategy = build("fed_adagrad", server_learning_rate=0.1, server_adaptivity=0.5)
    first = [10 + 0.1 * 0.75 / 1.25, 20 + 0.1 * 2.5 / 3, 30 - 0.1 * 0.125 / 0.625]
    assert after(strategy, ROUNDS[:1]) == pytest.approx(first, rel=1e-6)
    squares = [0.75**2 + 1.3125**2, 2.5**2 + 1, 0.125**2 + 0.84375**2]
    second = [x + 0.1 * d / (math.sqrt(v) + 0.5) for x, d, v in zip(first, [1.3125, -1, 0.84375], squares, strict=True)]
    assert after(strategy) == pytest.approx(second, rel=1e-6)


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        (FedAvg(), [12.0625, 21.5, 30.71875]),
        (build("fed_avg_m", server_momentum=0.5), [12.4375, 22.75, 30.65625]),
        (
            build("fed_adagrad", server_learning_rate=0.1, server_adaptivity=0.5),
            [10.125244140625, 20.052011489868164, 30.042362213134766],
        ),
        (
            build(
                "fed_yogi",
                server_learning_rate=0.1,
                server_momentum=0.9,
                server_second_momentum=0.75,
                server_adaptivity=0.5,
            ),
            [10.024397850036621, 20.021881103515625, 30.00567054748535],
        ),
        (build("coordinate_median"), [11.5, 23.0, 31.0]),
        (build("trimmed_mean", trimmed_share=0.34), [11.5, 23.0, 31.0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_two_rounds_end_where_flower_s_do(strategy: Strategy, told: list[float]) -> None:
    assert after(strategy) == pytest.approx(told, rel=3e-7)  # Flower computes in float32


def test_adam_keeps_two_means_and_corrects_neither() -> None:
    strategy = build(
        "fed_adam", server_learning_rate=0.1, server_momentum=0.9, server_second_momentum=0.75, server_adaptivity=0.5
    )
    # m = 0.1 · 0.75, v = 0.25 · 0.75²: √v = 0.375
    assert after(strategy, ROUNDS[:1])[0] == pytest.approx(10 + 0.1 * 0.075 / 0.875, rel=1e-6)
    m, v = 0.9 * 0.075 + 0.1 * 1.3125, 0.75 * 0.140625 + 0.25 * 1.3125**2
    expected = 10 + 0.1 * 0.075 / 0.875 + 0.1 * m / (math.sqrt(v) + 0.5)
    assert after(strategy)[0] == pytest.approx(expected, rel=1e-6)


def test_yogi_goes_up_and_down_by_the_same_share() -> None:
    strategy = build("fed_yogi", server_learning_rate=1.0, server_second_momentum=0.75, server_adaptivity=1.0)
    # first v = 0 + 0.25 · d²; a second, smaller d² takes 0.25 · d² away again
    rounds = ({"a": ((4, 4, 0), 1.0)}, {"a": ((1, 8, 0), 1.0)})
    state = strategy.init({"w": np.zeros(3, np.float32)})
    state = strategy.apply(state, updates(rounds[0]))
    assert state.slots["mean_square"]["w"].tolist() == [4, 4, 0]
    assert state.weights["w"].tolist() == [pytest.approx(4 / 3), pytest.approx(4 / 3), 0]
    state = strategy.apply(state, updates(rounds[1]))
    assert state.slots["mean_square"]["w"].tolist() == [4 - 0.25, 4 + 16, 0]


def test_nova_weighs_a_step_of_each_hospital_and_not_its_number_of_steps() -> None:
    few = ClientUpdate("a", {"w": np.array([2, 4, 0], np.float32)}, 1.0, steps=2)
    many = ClientUpdate("b", {"w": np.array([30, 0, 10], np.float32)}, 3.0, steps=10)
    strategy = build("fed_nova")
    # a step: 1/4 · [1, 2, 0] + 3/4 · [3, 0, 1] = [2.5, 0.5, 0.75]; steps: 1/4 · 2 + 3/4 · 10 = 8
    state = strategy.apply(strategy.init({"w": np.zeros(3, np.float32)}), [few, many])
    assert state.weights["w"].tolist() == [20, 4, 6]


@pytest.mark.parametrize("steps", [1, 7])
def test_nova_with_equal_steps_is_fed_avg(steps: int) -> None:
    rows = [ClientUpdate(u.datasite, u.update, u.weight, steps=steps) for u in updates(ROUNDS[0])]
    start = {"w": np.array(START, np.float32)}
    nova, avg = build("fed_nova"), FedAvg()
    assert nova.apply(nova.init(start), rows).weights["w"] == pytest.approx(
        avg.apply(avg.init(start), rows).weights["w"]
    )


def test_the_trimmed_mean_leaves_out_a_value_at_either_end_of_each_weight() -> None:
    rows = {name: ((value, -value, 0), 1.0) for name, value in zip("abcde", (1, 2, 3, 100, -50), strict=True)}
    assert after(build("trimmed_mean", trimmed_share=0.2), (rows,)) == [12, 18, 30]  # mean of 1, 2, 3
    assert after(build("trimmed_mean", trimmed_share=0.19), (rows,))[0] == pytest.approx(10 + 56 / 5)
    assert after(build("trimmed_mean", trimmed_share=0.4), (rows,)) == [12, 18, 30]  # the median, 2


def test_a_tenth_of_ten_hospitals_is_one_whatever_a_float_makes_of_it() -> None:
    rows = {f"h{k}": ((k, 0, 0), 1.0) for k in range(30)}
    # 0.1 · 30 is a little above 3, 0.29 · 100 a little below 29
    assert after(build("trimmed_mean", trimmed_share=0.1), (rows,))[0] == pytest.approx(10 + np.mean(range(3, 27)))
    many = {f"h{k}": ((2.0**-k, 0, 0), 1.0) for k in range(100)}
    kept = np.sort([2.0**-k for k in range(100)])[29:71].mean()
    assert after(build("trimmed_mean", trimmed_share=0.29), (many,))[0] == pytest.approx(10 + kept, abs=1e-6)


def test_the_median_is_of_each_weight_and_of_an_even_number_the_middle_of_two() -> None:
    assert after(build("coordinate_median"), ROUNDS[:1]) == [11, 22, 30]
    four = {**ROUNDS[0], "d": ((9, 9, 9), 1.0)}
    assert after(build("coordinate_median"), (four,)) == [12, 23, 30.25]


def five(far: tuple[float, float, float]) -> dict[str, tuple[tuple[float, ...], float]]:
    rows = {name: ((k / 8, 1 + k / 8, 0.0), 1.0 + k) for k, name in enumerate("abcd")}
    return {**rows, "e": (far, 100.0)}


def test_krum_takes_the_update_whose_nearest_are_nearest() -> None:
    # of a, b, c, d in a row and e far away, b and c have two neighbours one step off: b comes first
    assert after(build("krum"), (five((900, -900, 900)),)) == [10.125, 21.125, 30]
    assert after(build("krum", averaged_hospitals=2), (five((900, -900, 900)),)) == [10.1875, 21.1875, 30]


def test_krum_finds_the_nearest_of_updates_that_differ_by_little_of_what_they_share() -> None:
    far = {name: ((1e4 + k * 1e-3, 1e4, 0), 1.0) for k, name in enumerate("abcd")} | {"e": ((1e4 + 5e-2, 1e4, 0), 1.0)}
    strategy = build("krum")
    state = strategy.apply(strategy.init({"w": np.zeros(3, np.float32)}), updates(far))
    assert state.weights["w"][0] == np.float32(1e4 + 1e-3)


def test_krum_refuses_a_round_of_too_few_and_says_how_many_it_needs() -> None:
    strategy = build("krum", faulty_hospitals=1)
    assert isinstance(strategy, ServerStep) and strategy.least_updates == 5
    with pytest.raises(NotEnoughDatasites, match="needs 5 client updates a round, 3 came"):
        after(strategy, ROUNDS[:1])


@pytest.mark.parametrize("name", ["trimmed_mean", "coordinate_median", "krum"])
def test_a_robust_strategy_reads_all_values_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"averaged_hospitals": 2} if name == "krum" else {}
    random = np.random.default_rng(5)
    start = {"b": np.zeros((3, 5), np.float32), "a": np.zeros((), np.float32), "none": np.zeros((0, 2), np.float32)}
    rows = [
        ClientUpdate(f"h{k}", {n: random.standard_normal(v.shape).astype(np.float32) for n, v in start.items()}, 1.0)
        for k in range(7)
    ]
    strategy = build(name, **options)
    whole = strategy.apply(strategy.init(start), rows).weights
    monkeypatch.setattr(kept_updates, "_VALUES_AT_ONCE", 14)
    pieces = strategy.apply(strategy.init(start), rows).weights
    assert {n: v.shape for n, v in whole.items()} == {"b": (3, 5), "a": (), "none": (0, 2)}
    assert all(np.array_equal(whole[n], pieces[n]) for n in start)
    if name == "coordinate_median":
        assert np.array_equal(whole["b"], np.median([row.update["b"] for row in rows], axis=0))


@pytest.mark.parametrize("name", ["trimmed_mean", "coordinate_median", "krum", "fed_nova", "fed_adam"])
def test_an_update_that_does_not_fit_or_comes_twice_is_refused(name: str) -> None:
    strategy = build(name)
    start = strategy.init({"w": np.zeros(3, np.float32)})
    rows = updates(five((1, 1, 1)))
    with pytest.raises(InputRefused, match="two client updates"):
        strategy.apply(start, [*rows, rows[0]])
    with pytest.raises(InputRefused, match="not finite"):
        strategy.apply(start, [*rows, ClientUpdate("f", {"w": np.array([1, math.nan, 1], np.float32)}, 1.0)])
    with pytest.raises(NotEnoughDatasites):
        strategy.apply(start, [])


def test_a_late_update_is_made_smaller_by_robust_strategies_too() -> None:
    late = [ClientUpdate(u.datasite, u.update, u.weight, staleness=3) for u in updates(ROUNDS[0])]
    strategy = build("coordinate_median")
    state = strategy.apply(strategy.init({"w": np.array(START, np.float32)}), late)
    assert state.weights["w"].tolist() == [10.5, 21, 30]


def test_robust_strategies_hold_one_update_at_a_time() -> None:
    alive: list[int] = []

    def stream() -> Iterator[ClientUpdate]:
        import weakref

        made: list[weakref.ref[np.ndarray]] = []
        for k in range(6):
            update = ClientUpdate(f"h{k}", {"w": np.full(3, k, np.float32)}, 1.0)
            made.append(weakref.ref(update.update["w"]))
            alive.append(sum(one() is not None for one in made))
            yield update
            del update

    after_all = build("coordinate_median")
    after_all.apply(after_all.init({"w": np.zeros(3, np.float32)}), stream())
    assert max(alive) == 2  # the one just made, and the one before it, which the loop has not let go yet


@pytest.mark.parametrize("name", ["fed_nova", "fed_yogi", "coordinate_median", "krum"])
def test_every_strategy_has_the_average_over_rounds_and_goes_on_from_a_saved_state(name: str) -> None:
    strategy = build(name, server_averaging=0.5, server_momentum=0.5)
    state = strategy.init({"w": np.array(START, np.float32)})
    for _ in range(2):
        state = strategy.apply(state, updates(five((1, 2, 3))))
    assert state.round == 2
    assert state.model is state.slots["average"]
    assert all(array.dtype == np.float32 for slot in state.slots.values() for array in slot.values())


def test_settings_out_of_range_are_named() -> None:
    for name, option, value in (
        ("trimmed_mean", "trimmed_share", 0.5),
        ("fed_adam", "server_second_momentum", 1.0),
        ("fed_yogi", "server_adaptivity", 0.0),
        ("krum", "averaged_hospitals", 0),
        ("krum", "faulty_hospitals", -1),
        ("fed_adagrad", "server_momentum", 0.5),
    ):
        with pytest.raises(PlanError, match=option):
            build(name, **{option: value})
