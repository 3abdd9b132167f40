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
SLOW = {"torch", "opacus", "absl", "attr", "dp_accounting"} | {
    f"scipy.{part}" for part in ("stats", "signal", "integrate", "optimize", "linalg", "sparse")
}


def test_a_receipts_arithmetic_imports_of_scipy_what_it_calls_and_no_whole_library() -> None:
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
    losses(), library_files.quadrature(), library_files.special()
    from scipy import integrate, linalg, signal, special, stats

    assert stats.ttest_ind and signal.fftconvolve and linalg.eigh and integrate.solve_ivp
    assert sys.modules["scipy.stats"] is stats
    assert library_files.special() is special is sys.modules["scipy.special"]


@pytest.mark.parametrize("edges", [(-30.0, -3.0), (-3.0, 0.0), (0.0, 1e-9), (0.1, 45.0), (5.0, 400.0)])
@pytest.mark.parametrize(("noise", "rate"), [(0.3, 0.9), (1.0, 0.01), (20.0, 0.001)])
def test_an_integral_is_that_of_scipy_to_the_last_bit(noise: float, rate: float, edges: tuple[float, float]) -> None:
    from opacus.accountants.analysis.prv.prvs import PoissonSubsampledGaussianPRV
    from scipy import integrate

    distribution = PoissonSubsampledGaussianPRV(rate, noise)
    with np.errstate(all="ignore"):
        expected = integrate.quad(distribution.cdf, *edges, limit=500)
        assert library_files.quadrature().quad(distribution.cdf, *edges, limit=500) == expected


def test_an_integral_that_scipy_warns_of_is_warned_of_where_it_was_asked_for() -> None:
    quadrature = library_files.quadrature()
    with pytest.warns(quadrature.IntegrationWarning, match="divergent|subdivisions|extrapolation") as told:
        quadrature.quad(lambda x: 1 / x, 0.0, 1.0)
    assert [one.filename for one in told] == [__file__]


ORTHOGONAL = """
import sys
from policies.budget.library_files import special
special()
assert "scipy.linalg" not in sys.modules
from scipy.special import roots_legendre
print([float(node).hex() for node in roots_legendre(7)[0]])
assert "scipy.linalg" in sys.modules
"""


def test_what_scipys_functions_take_from_linear_algebra_is_there_when_they_are_called() -> None:
    from scipy.special import roots_legendre

    done = subprocess.run(
        [sys.executable, "-c", ORTHOGONAL], capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS
    )
    assert done.stdout.strip() == str([float(node).hex() for node in roots_legendre(7)[0]]), done.stderr


def test_a_library_that_is_not_there_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="'no_such_library'"):
        library_files.module("no_files.one", library="no_such_library", packages=["no_files="])
