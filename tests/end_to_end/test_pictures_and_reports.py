"""Two hospitals with reports beside their pictures, from ingestion to an evaluation at home, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hospitals import Hospital, make_hospital, running, small_plan

from datasites.assets.drawn.reports import SITES, write_example
from policies.errors import FederationError, PlanError
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.tokeniser import TextForm, text_form, tokens

FORM = TextForm(length=12, vocabulary=128)
CANARY = "zyzzyva4711"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The drawn example; each of the hospitals' reports ends with a word that must not leave."""
    files = write_example(tmp_path_factory.mktemp("example"), each=300, hold_out=100)
    arrays = dict(np.load(files[0]))
    arrays["reports"] = np.array([f"{report} {CANARY}" for report in arrays["reports"]])
    np.savez(files[0], **arrays)
    return files


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, example: tuple[Path, Path]) -> Iterator[dict[str, Hospital]]:
    """Two hospitals that keep the reports beside their pictures."""
    folder = tmp_path_factory.mktemp("state")
    made = [make_hospital(folder, name, example[0]) for name in SITES]
    for hospital in made:
        hospital.configure(text_length=FORM.length, text_vocabulary=FORM.vocabulary)
    with running(*made) as started:
        yield started


def test_a_study_of_pictures_and_reports_runs_and_its_model_is_counted_at_the_hospitals(
    reading: dict[str, Hospital], example: tuple[Path, Path], tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from researcher.counts.releases import CountRequest
    from researcher.evaluation.hold_out import load_hold_out
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    with Federation.connect([hospital.credentials() for hospital in reading.values()]) as federation:
        assert {dataset.text for dataset in federation.datasets()} == {FORM}
        mock = federation.hospitals["north"].mock("pictures")
        assert mock.reports is not None and len(mock.reports) == len(mock.images)
        assert (tokens(mock.reports, FORM) > 0).any(axis=1).all()
        settings = StudySettings(
            study="both",
            model="image_text",
            options={"width": 4},
            num_rounds=2,
            local_epochs=0.6,
            sample_rate=0.3,
            noise_multiplier=6.0,
        )
        plan = make_plan(settings, federation.datasets())
        study = Study.submit(federation, plan, tmp_path / "study")
        for name, request in study.requests.items():
            card = reading[name].admin_json("show", request.request_id)
            assert {key: card["plan"]["model"]["options"][key] for key in FORM.options} == FORM.options
            reading[name].admin("approve", request.request_id)
        hold_out = load_hold_out(example[1])
        state, history = study.run(hold_out=hold_out, initial_weights=initial_weights(plan.model, 0))
        assert [len(record.datasites) for record in history.records] == [2, 2]
        assert not np.array_equal(
            state.weights["text.words.weight"], initial_weights(plan.model, 0)["text.words.weight"]
        )
        evaluation = EvaluationPlan("both", "pictures", plan.model, 1, ReleaseSpec(40.0, 1e-5))
        statistics = StatisticsPlan("both", "pictures", (16, 16, 1), 4, ReleaseSpec(40.0, 1e-5))
        for counting, weights in ((evaluation, state.weights), (statistics, None)):
            request = CountRequest.submit(federation, counting, tmp_path / counting.kind)
            for name, sent in request.requests.items():
                reading[name].admin("approve", sent.request_id)
            assert sorted(request.collect(weights).arrays) == sorted(SITES)
    for hospital in reading.values():
        for file in hospital.state.rglob("*"):
            if file.is_file():
                assert CANARY.encode() not in file.read_bytes(), file


def test_a_plan_of_another_form_is_refused_before_it_is_kept(reading: dict[str, Hospital], tmp_path: Path) -> None:
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    with Federation.connect(reading["north"].credentials()) as federation:
        plan = make_plan(StudySettings(study="other", model="image_text", noise_multiplier=6.0), federation.datasets())
        for changes in ({"text_length": 3}, {"vocabulary": 64}):
            wrong = replace(plan, model=replace(plan.model, options={**plan.model.options, **changes}))
            with pytest.raises(PlanError, match="The dataset's reports are 12 words of 128"):
                Study.submit(federation, wrong, tmp_path / "study")
        blind = small_plan(federation, study="blind")
        assert text_form(blind.model) is None
        assert sorted(Study.submit(federation, blind, tmp_path / "blind").requests) == ["north"]


def test_a_plan_for_reports_is_refused_by_a_hospital_that_has_none(north_only: Any, tmp_path: Path) -> None:
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    with pytest.raises(PlanError, match="the dataset has pictures alone"):
        make_plan(StudySettings(model="image_text", noise_multiplier=6.0), north_only.datasets())
    plan = small_plan(north_only, study="reports")
    forged = replace(plan, model=replace(plan.model, name="image_text", options=FORM.options))
    with pytest.raises((PlanError, FederationError), match="the dataset has pictures alone"):
        Study.submit(north_only, forged, tmp_path / "study")
