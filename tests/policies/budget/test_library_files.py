"""Library files run one by one say, to the last bit, what the whole library says, and import far less."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from support.hospitals import ENVIRONMENT
from support.waiting import CEILING_SECONDS

from policies.budget import library_files
from policies.budget.privacy_loss import losses

PROGRAM = """
import json, sys
from policies.budget.accountant import epsilon_spent
from policies.budget.membership import membership_bounds
from policies.budget.steps import GaussianSteps
history = [GaussianSteps(4.0, 0.1, 20)]
epsilon_spent(history, 1e-5), membership_bounds(history)
print(json.dumps(sorted(sys.modules)))
"""
SLOW = {"torch", "opacus", "scipy.stats", "scipy.signal", "absl", "attr", "dp_accounting"}


def test_a_receipts_arithmetic_imports_no_statistics_no_signals_and_no_whole_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout))
    assert {"dp_accounting_files.pld.privacy_loss_mechanism", "opacus_files.prv"} <= imported
    assert not SLOW & imported


@pytest.mark.parametrize("scale", [1e-3, 0.7, 1.0, 4.0, 1e5])
def test_the_normal_distribution_is_that_of_scipy_to_the_last_bit(scale: float) -> None:
    from scipy import stats

    ours, theirs = library_files._Normal(scale=scale), stats.norm(scale=scale)
    points = scale * np.concatenate((np.linspace(-40, 40, 2001), [-np.inf, np.inf, np.nan, 0.0, -1e300, 1e300]))
    shares = np.concatenate((10.0 ** np.linspace(-300, -0.01, 500), [0.0, 0.5, 1.0]))
    np.testing.assert_array_equal(ours.cdf(points), theirs.cdf(points))
    np.testing.assert_array_equal(ours.logcdf(points), theirs.logcdf(points))
    np.testing.assert_array_equal(ours.ppf(shares), theirs.ppf(shares))
    assert ours.cdf(points[3]) == theirs.cdf(points[3])


@pytest.mark.parametrize("direction", ["ADD", "REMOVE"])
@pytest.mark.parametrize(("noise", "rate"), [(0.3, 0.9), (0.5, 1.0), (1.0, 0.01), (20.0, 0.001)])
def test_a_steps_loss_is_the_librarys_to_the_last_bit(noise: float, rate: float, direction: str) -> None:
    from dp_accounting.pld import privacy_loss_mechanism as library

    made = [
        of.GaussianPrivacyLoss(noise, sampling_prob=rate, adjacency_type=of.AdjacencyType[direction])
        for of in (losses(), library)
    ]
    ours, theirs = (one.connect_dots_bounds() for one in made)
    assert (ours.epsilon_lower, ours.epsilon_upper) == (theirs.epsilon_lower, theirs.epsilon_upper)
    grid = np.linspace(theirs.epsilon_lower, theirs.epsilon_upper, 101)
    np.testing.assert_array_equal(*(one.get_delta_for_epsilon(grid) for one in made))


def test_whoever_else_imports_these_parts_of_scipy_gets_scipys_own() -> None:
    losses()
    from scipy import signal, stats

    assert stats.ttest_ind and signal.fftconvolve
    assert sys.modules["scipy.stats"] is stats


def test_a_library_that_is_not_there_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="'no_such_library'"):
        library_files.module("no_files.one", library="no_such_library", packages=["no_files="])
