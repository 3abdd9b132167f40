"""Two hospitals with reports beside their pictures, from ingestion to an evaluation at home, over real sockets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.hospitals import REPORT_MARK, Hospital, small_plan, write_pictures_with_reports

from policies.errors import PlanError
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.tokeniser import TextForm, text_form, tokens

if TYPE_CHECKING:
    from researcher.evaluation.hold_out import HoldOut

FORM = TextForm(length=12, vocabulary=128)


@pytest.fixture
def hold_out_with_reports(pictures: Path, tmp_path: Path) -> HoldOut:
    """Pictures of both hospitals, as if they were public."""
    from researcher.evaluation.hold_out import load_hold_out

    write_pictures_with_reports(tmp_path / "hold_out.npz", pictures)
    return load_hold_out(tmp_path / "hold_out.npz")


def test_a_study_of_pictures_and_reports_runs_and_its_model_is_counted_at_the_hospitals(
    pair: dict[str, Hospital], hold_out_with_reports: HoldOut, tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from researcher.counts.releases import CountRequest
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    with Federation.connect([hospital.credentials() for hospital in pair.values()]) as federation:
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
            card = pair[name].admin_json("show", request.request_id)
            assert {key: card["plan"]["model"]["options"][key] for key in FORM.options} == FORM.options
            pair[name].admin("approve", request.request_id)
        state, history = study.run(hold_out=hold_out_with_reports, initial_weights=initial_weights(plan.model, 0))
        assert [len(record.datasites) for record in history.records] == [2, 2]
        assert not np.array_equal(
            state.weights["text.words.weight"], initial_weights(plan.model, 0)["text.words.weight"]
        )
        evaluation = EvaluationPlan("both", "pictures", plan.model, 1, ReleaseSpec(40.0, 1e-5))
        statistics = StatisticsPlan("both", "pictures", (16, 16, 1), 2, ReleaseSpec(40.0, 1e-5))
        for counting, weights in ((evaluation, state.weights), (statistics, None)):
            request = CountRequest.submit(federation, counting, tmp_path / counting.kind)
            for name, sent in request.requests.items():
                pair[name].admin("approve", sent.request_id)
            assert sorted(request.collect(weights).arrays) == sorted(pair)
    for hospital in pair.values():
        for file in hospital.state.rglob("*"):
            if file.is_file():
                assert REPORT_MARK.encode() not in file.read_bytes(), file


def test_a_plan_of_another_form_is_refused_before_it_is_kept(pair: dict[str, Hospital], tmp_path: Path) -> None:
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    with Federation.connect(pair["north"].credentials()) as federation:
        plan = make_plan(StudySettings(study="other", model="image_text", noise_multiplier=6.0), federation.datasets())
        for changes in ({"text_length": 3}, {"vocabulary": 64}):
            wrong = replace(plan, model=replace(plan.model, options={**plan.model.options, **changes}))
            with pytest.raises(PlanError, match="The dataset's reports are 12 words of 128"):
                Study.submit(federation, wrong, tmp_path / "study")
        blind = small_plan(federation, study="blind")
        assert text_form(blind.model) is None
        assert sorted(Study.submit(federation, blind, tmp_path / "blind").requests) == ["north"]
