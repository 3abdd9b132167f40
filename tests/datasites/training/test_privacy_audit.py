"""The audit of the real training entry point: sound training passes, each known fault does not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from mutants import allocation
from mutants.catalogue import MUTANTS
from mutants.trial import PARTS, found_by

from datasites.training.privacy_audit import gradients, oracle, run_audit
from datasites.training.privacy_audit.audit import AuditResult
from datasites.training.privacy_audit.canaries import Scores, canary_round
from datasites.training.privacy_audit.checks import Check
from datasites.training.privacy_audit.faults import FAULTS
from datasites.training.privacy_audit.subject import Subject
from datasites.training.randomness import gaussian
from policies.errors import PlanError
from policies.plans.training import ENGINES

# The part of the audit that sees a fault best; others see some of them too.
SEEN_IN = {"double_rate": "draws", "no_clip": "gradients", "batch_clip": "gradients", "double_bound": "gradients"}
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
# One of each kind; `make test-mutants` takes all.
SOME = (
    "sample rate 5 % too large",
    "second half of a draw mirrors the first",
    "norms in half precision",
    "embedding left out of the norm",
    "rounding's allowance missing in linear layers",
    "each round with the same generator state",
    "equal-sized parameters share noise",
    "noise from torch's generator",
    "sines taken for cosines",
    "noise 5 % short",
    "scaled by the true number of units",
    "allocation: 2 % of units join two steps of an epoch",
    "allocation: the next epoch's is the last one's, a step later",
    "allocation: the step follows from where a unit lies",
)


def failed(subject: Subject, part: str) -> set[str]:
    return {check.name for check in PARTS[part](subject) if not check.holds}


@pytest.mark.parametrize(
    ("engine", "unit", "seed"),
    [("opacus", "patient", 2), ("book_keeping", "picture", None)],
)
def test_sound_training_passes(engine, unit, seed):
    result = run_audit(unit=unit, seed=seed, engine=engine)
    assert result.passed, [check for check in result.checks if not check.holds]
    assert result.claimed_epsilon == 1.0
    assert len(result.included_scores) + len(result.excluded_scores) == 1000
    assert len(result.checks) <= 40, "each has a fortieth of the false alarms"


@pytest.mark.parametrize("broken", FAULTS)
def test_each_fault_is_found(broken):
    assert any(not check.holds for check in PARTS[SEEN_IN.get(broken, "noise")](Subject(fault=broken, seed=1)))


@pytest.mark.parametrize("broken", ["short_noise", "reseed"])
def test_a_fault_of_the_noise_is_found_where_noise_is_made_on_a_device(broken, monkeypatch):
    monkeypatch.setattr(gaussian, "_add", gaussian._add_on_device)
    assert failed(Subject(fault=broken, seed=1), "noise")


def test_sound_noise_that_is_made_on_a_device_passes(monkeypatch):
    monkeypatch.setattr(gaussian, "_add", gaussian._add_on_device)
    assert not failed(Subject(seed=1), "noise")


@pytest.mark.parametrize("name", SOME)
def test_a_mutant_of_each_kind_is_found(name):
    for engine in BY_NAME[name].engines[:1]:
        assert found_by(BY_NAME[name], engine, "cpu")


@pytest.mark.parametrize("mutant", allocation.MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_of_allocation_is_found_where_allocation_is_looked_at(mutant, monkeypatch):
    mutant.build_in(monkeypatch)
    assert failed(Subject(device="cpu"), "allocation")


def test_what_breaks_allocation_leaves_poisson_sampling_as_it_was(monkeypatch):
    BY_NAME["allocation: Poisson sampling in its place"].build_in(monkeypatch)
    assert not failed(Subject(device="cpu"), "draws")


def test_there_are_mutants_of_every_part_with_names_of_their_own():
    assert len(BY_NAME) == len(MUTANTS) >= 40
    assert {mutant.part for mutant in MUTANTS} == {"draws", "allocation", "gradients", "noise"}
    assert {engine for mutant in MUTANTS for engine in mutant.engines} == set(ENGINES)


@pytest.mark.parametrize("broken", ["noise_off", "half_noise", "noise_over_batch", "reseed"])
def test_large_faults_of_the_noise_show_on_the_canaries(broken):
    assert "noise on canaries" in failed(Subject(fault=broken, seed=4), "canaries")


@pytest.mark.parametrize("broken", ["no_clip", "batch_clip"])
def test_faults_of_the_clipping_show_in_both_bounds_and_not_in_the_noise(broken):
    found = failed(Subject(fault=broken, seed=4), "canaries")
    assert found == {"epsilon by guessing", "epsilon by distance", "canaries that took part"}


def test_a_doubled_bound_shows_in_the_mean_of_the_canaries_that_took_part():
    scores = [
        canary_round(Subject(fault=f, seed=4), unit="picture", claimed_epsilon=1.0) for f in (None, "double_bound")
    ]
    assert scores[1].mean_z > scores[0].mean_z + 3


def test_the_update_is_scored_in_steps_that_drew_a_canary():
    scores = canary_round(Subject(fault="noise_off", seed=5), unit="picture", claimed_epsilon=1.0)
    assert np.abs(scores.excluded).max() < 1e-3
    counts = scores.included
    assert np.abs(counts - np.round(counts)).max() < 0.25
    assert abs(counts.mean() - 25 * 0.25) < 5 * np.sqrt(25 * 0.25 * 0.75 / len(counts))


def test_an_unseeded_audit_uses_the_trainers_own_generator():
    first, second = (list(PARTS["canaries"](Subject())) for _ in range(2))
    assert [check.value for check in first] != [check.value for check in second]


def test_no_parameter_can_be_left_out_of_a_norm_unseen():
    weights = gradients._weights()
    rows = oracle.gradients(gradients._SPEC, weights, gradients._records([number for number, _ in gradients._ALONE]))
    norms, start = np.linalg.norm(rows, axis=1), 0
    for name, values in weights.items():
        part = np.linalg.norm(rows[:, start : start + values.size], axis=1)
        start += values.size
        longer = (norms / np.sqrt(norms**2 - part**2) - 1).max()
        assert longer > gradients._TOLERANCE or part.max() < 1e-6, name  # a bias before GroupNorm has no gradient


def test_a_seed_repeats_an_audit():
    for part in ("canaries", "draws", "allocation"):
        assert list(PARTS[part](Subject(seed=7))) == list(PARTS[part](Subject(seed=7)))


def test_one_check_that_does_not_hold_fails_the_audit_and_the_result_is_plain_json():
    scores = Scores(np.array([1.0, 2.0]), np.array([-1.0, 1.0]), 1.0)
    holds = Check("one", -2.0, 3.0)
    result = AuditResult(1.0, (holds, holds), scores)
    assert result.passed
    for wrong in (-3.1, 3.1, float("nan")):
        assert not replace(result, checks=(holds, Check("other", wrong, 3.0))).passed
    written = json.loads(json.dumps(result.to_dict()))
    assert written["passed"] is True
    assert written["checks"]["one"] == {"found": -2.0, "allowed": 3.0, "holds": True}


@pytest.mark.parametrize("settings", [{"broken": "everything"}, {"unit": "ward"}, {"engine": "own"}, {"device": "tpu"}])
def test_unknown_settings_are_refused(settings):
    with pytest.raises(PlanError):
        run_audit(**settings)
