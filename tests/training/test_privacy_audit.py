"""The audit of the real training entry point: sound training passes, each known fault does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from datasites.training.audit import MAX_NOISE_Z, run_audit
from datasites.training.audit_faults import FAULTS
from datasites.training.dp_sgd import CLIP_MARGIN
from datasites.training.engines import ENGINES
from policies.errors import PlanError

UNITS = ("picture", "patient")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sound_training_passes(engine, unit, seed):
    result = run_audit(unit=unit, seed=seed + 10 * UNITS.index(unit), engine=ENGINES[engine])
    assert result.passed
    assert result.claimed_epsilon == 1.0


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("broken", FAULTS)
def test_each_fault_is_found(broken, unit):
    result = run_audit(broken=broken, unit=unit, seed=UNITS.index(unit))
    assert not result.passed


@pytest.mark.parametrize("broken", ["noise_off", "half_noise", "noise_over_batch", "reseed"])
def test_faults_of_the_noise_show_in_its_spread(broken):
    z = run_audit(broken=broken, seed=4).noise_z
    assert z > 2 * MAX_NOISE_Z if broken == "reseed" else z < -2 * MAX_NOISE_Z


@pytest.mark.parametrize("broken", ["no_clip", "batch_clip"])
def test_faults_of_the_clipping_show_in_both_bounds_and_not_in_the_noise(broken):
    result = run_audit(broken=broken, seed=4)
    assert abs(result.noise_z) < MAX_NOISE_Z
    assert min(result.one_run_lower_bound, result.gaussian_lower_bound) > 2 * result.claimed_epsilon


def test_without_noise_a_canarys_score_counts_the_steps_that_drew_it():
    result = run_audit(broken="noise_off", seed=5)
    assert np.abs(result.excluded_scores).max() < 1e-3
    counts = result.included_scores / (1 - CLIP_MARGIN)  # the margin under the bound
    assert np.abs(counts - np.round(counts)).max() < 1e-2
    assert counts.max() <= 25
    assert abs(counts.mean() - 25 * 0.25) < 5 * np.sqrt(25 * 0.25 * 0.75 / len(counts))


def test_a_patient_with_four_pictures_scores_no_more_than_one_with_a_single_picture():
    result = run_audit(broken="noise_off", unit="patient", seed=6)
    assert abs(result.included_scores.mean() - 25 * 0.25) < 5 * np.sqrt(25 * 0.25 * 0.75 / 500)
    assert result.included_scores.max() <= 25


def test_an_unseeded_audit_uses_the_trainers_own_generator():
    first, second = run_audit(), run_audit()
    assert len(first.included_scores) + len(first.excluded_scores) == 1000
    assert first.noise_z != second.noise_z


def test_the_result_is_plain_json():
    written = json.loads(json.dumps(run_audit(broken="noise_off", seed=1).to_dict()))
    assert written["passed"] is False
    assert set(written) == {
        "claimed_epsilon",
        "one_run_lower_bound",
        "gaussian_lower_bound",
        "noise_z",
        "passed",
    }


@pytest.mark.parametrize("settings", [{"broken": "everything"}, {"unit": "ward"}])
def test_unknown_faults_and_units_are_refused(settings):
    with pytest.raises(PlanError):
        run_audit(**settings)
