"""Two models beside each other: DeLong by brute force over pairs, McNemar by scipy, Holm by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from researcher.judgement.paired import LARGE, delong, holm, mcnemar, placements


def _kernel(having: float, lacking: float) -> float:
    return 1.0 if having > lacking else 0.5 if having == lacking else 0.0


def _by_brute_force(present: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs and their covariance from the kernel of every pair (DeLong et al., equations 4 to 6)."""
    areas, rows, columns = [], [], []
    for model in scores:
        pairs = np.array([[_kernel(x, y) for y in model[~present]] for x in model[present]])
        areas.append(pairs.mean())
        rows.append(pairs.mean(axis=1) - pairs.mean())
        columns.append(pairs.mean(axis=0) - pairs.mean())
    (m, n), (v, w) = (len(rows[0]), len(columns[0])), (np.array(rows), np.array(columns))
    return np.array(areas), v @ v.T / (m - 1) / m + w @ w.T / (n - 1) / n


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("values", [3, 1000], ids=["tied", "untied"])
def test_delong_is_the_covariance_of_the_u_statistics(values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = rng.random(60) < 0.3
    scores = rng.integers(0, values, (2, 60)) / values + 0.3 * present * rng.random((2, 60)).round(1)
    areas, covariance = _by_brute_force(present, scores)
    found = delong(present, *scores)
    assert found is not None and found.error is not None and found.z is not None
    assert (found.first, found.second) == pytest.approx(tuple(areas), abs=1e-12)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found.error == pytest.approx(math.sqrt(variance), abs=1e-12)
    assert found.p == pytest.approx(chi2.sf(found.z**2, 1), rel=1e-9)
    having, lacking = placements(present, scores)
    assert having.mean(axis=1) == pytest.approx(areas) and lacking.mean(axis=1) == pytest.approx(areas)


def test_delong_says_what_it_cannot_tell() -> None:
    present, scores = np.array([True, True, False, False]), np.array([0.9, 0.8, 0.2, 0.1])
    assert delong(np.ones(4, bool), scores, scores) is None
    same = delong(present, scores, scores)
    assert same is not None and (same.error, same.z, same.p) == (0.0, None, 1.0)
    apart = delong(present, scores, np.full(4, 0.5))  # 1.0 and 0.5 in every pair: no spread to judge by
    assert apart is not None and (apart.first, apart.second, apart.p) == (1.0, 0.5, None)
    alone = delong(np.array([True, False, False, False]), scores, scores[::-1])
    assert alone is not None and (alone.error, alone.p) == (None, None)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (3, 9), (7, 7), (30, 12), (20, 20), (60, 0)])
def test_mcnemar_is_a_test_of_a_fair_coin(only_first: int, only_second: int) -> None:
    first = np.array([True] * only_first + [False] * only_second + [True, False])
    second = np.array([False] * only_first + [True] * only_second + [True, False])
    found = mcnemar(first, second)
    either = only_first + only_second
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_exact == pytest.approx(binomtest(only_first, either).pvalue if either else 1.0, rel=1e-9)
    if either < LARGE:
        assert found.statistic is None and found.p_corrected is None
    else:
        statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / either
        assert found.statistic == pytest.approx(statistic)
        assert found.p_corrected == pytest.approx(chi2.sf(statistic, 1), rel=1e-9)


def test_several_comparisons_hold_together() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([None]) == [None]
