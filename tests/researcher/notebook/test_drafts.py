"""Plans before they are submitted: their settings, what would refuse them, and the rehearsal at home."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures
from support.notebooks import AtHome, dataset, faults, federation, words

from policies.answers import rounded
from policies.budget.limits import DatasetLimits
from policies.contracts.encodings import largest_size
from policies.errors import ConfigError, DataError, PlanError, WanwuError
from policies.plans.training import RunSpec
from policies.plans.words.statement import Statement
from policies.settings import declared
from researcher.notebook.draft import Draft
from researcher.notebook.mock_steps import seconds_a_step
from researcher.notebook.settings import settings_of
from researcher.notebook.setup import SETUP_FILE
from researcher.planning.planning import study_epsilon
from researcher.planning.settings import StudySettings

SMALL: dict[str, Any] = {"model": "linear", "num_rounds": 2, "sample_rate": 0.2, "noise_multiplier": 2.0}


def small(at: AtHome | None = None, **changes: Any) -> Draft:
    return (at or federation()).plan(**{**SMALL, **changes})


# --- settings --------------------------------------------------------------------------------------------------------


def test_what_is_not_given_is_what_the_command_line_takes() -> None:
    assert settings_of({}) == StudySettings()  # `submit` without options asks for the same: see test_same_defaults


def test_a_notebook_completes_every_setting_with_its_default() -> None:
    taken = inspect.signature(federation().plan).parameters
    for kind in (StudySettings, RunSpec, Statement):
        for name, one in declared(kind).items():
            assert taken[name].default == one.default
    assert {one.name for one in fields(StudySettings)} <= set(taken)


def test_settings_of_every_kind_end_in_the_plan() -> None:
    plan = small(study="s", recipe="none", physical_batch_size=8, purpose="To see", options={}).plan
    assert plan.run.physical_batch_size == 8
    assert plan.statement is not None and plan.statement.purpose == "To see"
    assert (plan.study, plan.rounds, plan.sample_rate) == ("s", 2, 0.2)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"num_round": 3}, "no setting 'num_round'. Did you mean 'num_rounds'"),
        ({"epsilon": 1.0, "noise_multiplier": 2.0}, "noise_multiplier and epsilon"),
        ({"run": RunSpec(), "device": "cpu"}, "run and device"),
        ({"statement": Statement(), "purpose": "x"}, "statement and purpose"),
        ({"recipe": "auto", "learning_rate": 1.0}, "derived by recipe auto"),
        ({"delta": 0.1}, "delta"),
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(given: dict[str, Any], told: str) -> None:
    with pytest.raises(WanwuError) as refused:
        federation().plan(**given)
    assert told in refused.value.public
    assert refused.value._render_traceback_() == [f"{refused.value.code}: {refused.value.public}"]


# --- before submitting -----------------------------------------------------------------------------------------------


def test_a_plan_shows_its_settings_its_cost_and_who_would_refuse_it() -> None:
    strict = {**DatasetLimits().to_dict(), "max_rounds": 1}
    made = small(federation(dataset("north"), dataset("south", limits=strict)))
    assert list(made.refusals) == ["south"] and "at most 1 rounds" in made.refusals["south"]
    shown = made._repr_html_()
    assert not list(faults(shown))
    for told in (
        "south would refuse it",
        f"epsilon {rounded.cost(made.epsilon or 0)} at delta 1e-5 for each picture",
        "noise multiplier",
        "in 100",
    ):
        assert told in words(shown)
    assert "would refuse it" in repr(made)


@pytest.mark.parametrize("hold_out", ["typo.npz", "other.npz"])
def test_a_hold_out_that_cannot_be_used_is_found_before_anything_is_submitted(tmp_path: Path, hold_out: str) -> None:
    images, labels = draw_pictures(8, seed=3)
    np.savez(tmp_path / "other.npz", images=images, labels=labels + 5, class_names=np.array(["a", "b"]))
    at = federation()
    with pytest.raises(DataError):
        small(at).submit(tmp_path / "study", hold_out=tmp_path / hold_out)
    assert at.submitted == [] and not (tmp_path / "study").exists()


def test_a_folder_that_holds_a_study_keeps_it(tmp_path: Path) -> None:
    at = federation()
    small(at).submit(tmp_path)
    before, asked = (tmp_path / SETUP_FILE).read_bytes(), list(at.submitted)
    with pytest.raises(ConfigError, match="already holds a study"):
        small(at, learning_rate=0.25).submit(tmp_path)
    assert (tmp_path / SETUP_FILE).read_bytes() == before and at.submitted == asked


def test_two_that_submit_from_one_folder_at_once_leave_no_request_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, other = federation(), federation()
    submit, met = at.submit, list[str]()

    def meanwhile(*arguments: Any, **settings: Any) -> Any:
        with pytest.raises(ConfigError) as refused:
            small(other).submit(tmp_path)
        met.append(refused.value.public)
        return submit(*arguments, **settings)

    monkeypatch.setattr(at, "submit", meanwhile)
    small(at).submit(tmp_path)
    assert len(met) == 1 and f"Process {os.getpid()} works on the study in {tmp_path} now" in met[0]
    assert other.submitted == [] and at.submitted != []
    assert not list(tmp_path.glob("*.lock"))


# --- rehearsal -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "seconds"),
    [
        ([0.0, 9.0], 9.0),
        ([0.0, 9.0, 10.0], 1.0),
        ([0.0, 9.0, 10.0, 10.5, 13.5], 1.0),  # neither what is done once nor a step that was interrupted counts
    ],
)
def test_a_step_takes_what_the_steps_after_the_first_take(ends: list[float], seconds: float) -> None:
    assert seconds_a_step(ends) == seconds


def test_a_rehearsal_takes_private_steps_on_the_mock_and_says_what_they_came_to() -> None:
    made = small()
    came = made.rehearse()
    assert came.passed and came.largest == "north"
    assert came.epsilon == study_epsilon(made.plan) and came.delta == 1e-5
    shapes = {"head.weight": (2, 256), "head.bias": (2,)}
    assert (came.bytes_up, came.bytes_down) == (largest_size(shapes, "none"),) * 2
    assert came.seconds_a_step > 0 and came.seconds_a_round > made.plan.steps_per_round * came.seconds_a_step
    assert came.peak_memory_mb > 50
    shown = came._repr_html_()
    assert not list(faults(shown))
    assert "The rehearsal passes" in words(
        shown
    ) and f"epsilon {rounded.cost(came.epsilon or 0)} at delta 1e-5" in repr(came)


def test_a_rehearsal_of_a_plan_that_a_hospital_would_refuse_does_not_pass() -> None:
    strict = {**DatasetLimits().to_dict(), "min_noise_multiplier": 50.0}
    came = small(federation(dataset("north", limits=strict))).rehearse()
    assert not came.passed
    assert "would be refused by north" in repr(came) and "noise_multiplier" in words(came._repr_html_())


def test_a_rehearsal_fails_with_what_a_round_would_fail_with() -> None:
    at = federation()
    made = Draft(at, small(at).plan)
    object.__setattr__(made.plan, "model", type(made.plan.model)("linear", (8, 8, 1), 2))
    with pytest.raises(PlanError, match="image_shape"):
        made.rehearse()


def test_rehearsed_classes_are_those_of_the_hospitals() -> None:
    assert small().plan.model.num_classes == len(CLASSES)
