"""What a difference between two hospitals means: how often hospitals that are alike are told apart, by simulation."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from policies.errors import ConfigError, DataError
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec
from researcher.counts.comparison import differences
from researcher.counts.intervals import Interval, share_interval
from researcher.counts.releases import Released
from researcher.counts.saved import SavedCounts

TIMES = 1500
SIZES = {"north": 300, "south": 800, "west": 150}
NOISE = 6.0
# Three standard deviations of a rate of 0.05 over so many times.
SLACK = 3 * math.sqrt(0.05 * 0.95 / TIMES)


def drawn(random: np.random.Generator, shares: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Noised hits and others of hospitals of these true shares, as a confusion matrix of two classes gives them."""
    counts = {}
    for name, share in shares.items():
        hits = random.binomial(SIZES[name], share)
        noise = NOISE * math.sqrt(2) * random.standard_normal(2)
        counts[name] = (hits + noise[0], SIZES[name] - hits + noise[1])
    return counts


def told(counts: dict[str, tuple[float, float]], level: float) -> dict[str, Interval]:
    spread, z = NOISE * math.sqrt(2), NormalDist().inv_cdf((1 + level) / 2)
    return {
        name: share_interval(hits, others, hit_spread=spread, other_spread=spread, z=z)
        for name, (hits, others) in counts.items()
    }


def rates(shares: dict[str, float]) -> tuple[float, float]:
    """How often any two hospitals are told apart, and how often all intervals hold the true differences."""
    random, apart, held = np.random.default_rng(15), 0, 0
    for _ in range(TIMES):
        counts = drawn(random, shares)
        found = differences(lambda level, counts=counts: told(counts, level))
        apart += any(one.told_apart for one in found)
        held += all(one.interval.low <= shares[one.first] - shares[one.second] <= one.interval.high for one in found)
    return apart / TIMES, held / TIMES


@pytest.mark.parametrize("share", [0.5, 0.85, 0.97])
def test_two_hospitals_that_are_alike_are_told_apart_in_five_of_a_hundred_requests_at_most(share: float) -> None:
    apart, held = rates({"north": share, "south": share})
    assert apart <= 0.05 + SLACK and held == pytest.approx(1 - apart)
    assert apart >= 0.01, "an interval that holds everything would say nothing"


def test_of_three_hospitals_that_are_alike_no_two_are_told_apart_more_often_than_that() -> None:
    apart, _ = rates(dict.fromkeys(SIZES, 0.8))
    assert apart <= 0.05 + SLACK


def test_hospitals_that_differ_are_told_apart_and_the_difference_is_in_its_interval() -> None:
    apart, held = rates({"north": 0.9, "south": 0.7, "west": 0.85})
    assert apart > 0.9
    assert held >= 0.95 - SLACK


def test_a_difference_by_hand() -> None:
    sides = {"a": Interval(0.5, 0.46, 0.53), "b": Interval(0.9, 0.86, 0.94)}
    (one,) = differences(lambda level: sides)
    assert (one.first, one.second, one.told_apart) == ("b", "a", True)
    # 0.4 - sqrt(0.04² + 0.03²) and 0.4 + sqrt(0.04² + 0.04²)
    assert (one.interval.low, one.interval.high) == pytest.approx((0.35, 0.4 + math.sqrt(0.0032)))


def test_one_hospital_is_compared_with_nobody_and_no_level_is_beyond_one() -> None:
    assert differences(lambda level: {"a": Interval(0.5, 0.4, 0.6)}) == ()
    with pytest.raises(DataError, match="level"):
        differences(lambda level: {}, level=1.0)


# --- what was released, kept in a file ----------------------------------------------------------------------------

EVALUATED = SavedCounts(
    EvaluationPlan("cells", "smears", ModelSpec("linear", (8, 8, 1), 2), 1, ReleaseSpec(2.0, 1e-5)),
    Released(
        {
            "north": {"confusion": np.array([[90, 10], [10, 90]], np.float32)},
            "south": {"confusion": np.array([[60, 40], [40, 60]], np.float32)},
        },
        2.0,
        {"north": 0.5, "south": 0.5},
        {"west": "denied: not this year"},
    ),
    ("red", "white"),
    "0" * 64,
    3,
)
STATISTICS = SavedCounts(
    StatisticsPlan("cells", "smears", (8, 8, 1), 2, ReleaseSpec(2.0, 1e-5)),
    Released(
        {
            name: {
                "class_counts": np.array(counts, np.float32),
                "channel_sums": np.array([50], np.float32),
                "channel_square_sums": np.array([30], np.float32),
            }
            for name, counts in {"north": (60, 40), "south": (62, 38)}.items()
        },
        3.0,
        {"north": 0.5, "south": 0.5},
        {},
    ),
    ("red", "white"),
)


@pytest.mark.parametrize("counts", [EVALUATED, STATISTICS], ids=["evaluation", "statistics"])
def test_counts_are_read_back_as_they_were(tmp_path, counts: SavedCounts) -> None:
    counts.save(tmp_path)
    again = SavedCounts.load(tmp_path)
    assert again.to_dict() == counts.to_dict()
    assert (again.plan, again.class_names, again.of_study) == (counts.plan, counts.class_names, counts.of_study)


def test_accuracy_is_compared_of_a_model_and_class_shares_of_statistics() -> None:
    assert EVALUATED.intervals()["north"]["accuracy"].value == pytest.approx(0.9)
    ((one,),) = EVALUATED.differences().values()
    assert (one.first, one.interval.value, one.told_apart) == ("north", pytest.approx(0.3), True)
    found = STATISTICS.differences()
    assert set(found) == {"share of red", "share of white"}
    assert not any(one.told_apart for pairs in found.values() for one in pairs)


def test_what_is_no_file_of_counts_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        SavedCounts.load(tmp_path)
    (tmp_path / "statistics.json").write_text('{"released": {}}')
    with pytest.raises(ConfigError, match="holds no counts"):
        SavedCounts.load(tmp_path)
