"""DP-FC by numbers that a reader checks by hand, and what it is refused without."""

from __future__ import annotations

import numpy as np
import pytest

from policies.errors import ConfigError, DataError, PlanError
from policies.plans.training import ServerSpec
from researcher.strategies import ClientUpdate, DpFc, FeatureGram
from researcher.studies.study import check_enough

ONE_INPUT = {"head.weight": np.zeros((2, 1), np.float32), "head.bias": np.zeros(2, np.float32)}
# Of one feature and the bias: [[6, 0], [0, 2]], released by two hospitals of 4 and 12 units.
NORTH = {"squares": np.array([4, 1], np.float32), "products": np.array([0.5], np.float32)}
SOUTH = {"squares": np.array([2, 1], np.float32), "products": np.array([-0.5], np.float32)}
GRAM = FeatureGram.of([NORTH, SOUTH], 16)


def update(name="north", weight=4.0):
    moved = {"head.weight": np.array([[1.0], [-1.0]], np.float32), "head.bias": np.array([2.0, -2.0], np.float32)}
    return ClientUpdate(name, moved, weight)


def test_the_matrices_of_hospitals_add_up():
    assert GRAM.matrix.tolist() == [[6, 0], [0, 2]]
    assert FeatureGram.of([NORTH], 4).matrix.tolist() == [[4, 0.5], [0.5, 1]]


def test_a_step_is_the_mean_update_over_the_matrix_and_its_ridge():
    # N / D = 16 / 2 = 8; with ridge 2 the feature's step is 8 / (6 + 2) = 1 of its update, the bias's 8 / (2 + 2) = 2.
    strategy = DpFc(server_ridge=2.0, gram=GRAM)
    state = strategy.apply(strategy.init(ONE_INPUT), [update(), update("south", 12.0)])
    assert state.weights["head.weight"] == pytest.approx(np.array([[1.0], [-1.0]]))
    assert state.weights["head.bias"] == pytest.approx([4.0, -4.0])


def test_learning_rate_and_momentum_follow_as_for_every_strategy():
    strategy = DpFc(server_learning_rate=0.5, server_momentum=0.5, server_ridge=2.0, gram=GRAM)
    state = strategy.init(ONE_INPUT)
    for _ in range(2):
        state = strategy.apply(state, [update()])
    assert state.weights["head.bias"] == pytest.approx([2.0 + 3.0, -5.0])  # 0.5 x 4, then 0.5 x (4 + 0.5 x 4)


def test_eigenvalues_below_zero_are_noise_and_count_as_zero():
    noisy = FeatureGram(np.diag([-5.0, 3.0]), 2.0)
    assert noisy.preconditioner(1.0) == pytest.approx(np.diag([1.0, 0.25]))


def test_without_a_matrix_no_study_begins():
    with pytest.raises(ConfigError, match="researcher gram"):
        check_enough(DpFc(), 2)
    with pytest.raises(ConfigError, match="has none"):
        DpFc().apply(DpFc().init(ONE_INPUT), [update()])
    check_enough(DpFc(gram=GRAM), 2)


@pytest.mark.parametrize(
    "weights", [{"w": np.zeros((2, 1), np.float32)}, {**ONE_INPUT, "head.weight": np.zeros((2, 3), np.float32)}]
)
def test_another_model_is_refused(weights):
    strategy = DpFc(gram=GRAM)
    with pytest.raises(ConfigError, match="a linear head with 1 inputs"):
        strategy.apply(strategy.init(weights), [])


@pytest.mark.parametrize(
    ("released", "says"),
    [
        ([], "at least one hospital"),
        ([{"squares": np.ones(2)}], "squares and products"),
        ([{"squares": np.ones(3), "products": np.ones(2)}], "3 products"),
        ([{"squares": np.ones(2), "products": np.array([np.nan])}], "not finite"),
        ([NORTH, {"squares": np.ones(3), "products": np.ones(3)}], "do not add up"),
    ],
)
def test_what_is_no_gram_matrix_is_refused(released, says):
    with pytest.raises(DataError, match=says):
        FeatureGram.of(released, 4)


def test_the_ridge_is_read_by_this_strategy_alone():
    assert ServerSpec("dp_fc", server_ridge=3.0).read == {"server_learning_rate": 1.0, "server_ridge": 3.0}
    with pytest.raises(PlanError, match="server_ridge is 3"):
        ServerSpec(server_ridge=3.0)
    with pytest.raises(PlanError, match="server_ridge"):
        ServerSpec("dp_fc", server_ridge=0.0)
