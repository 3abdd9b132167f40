"""Three real datasites of pictures with findings, each patient protected: from ingestion to report and counts."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.hospitals import Hospital, make_hospital, running

from datasites.assets.drawn.findings import FINDINGS, SITES, write_example
from policies.errors import RequestError
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(r"ignore:'\w+' deprecated - use:DeprecationWarning")]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_example(tmp_path_factory.mktemp("findings"), each=200, hold_out=200)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, example: tuple[Path, Path]) -> Iterator[dict[str, Hospital]]:
    """Three hospitals whose datasets are declared as findings."""
    folder = tmp_path_factory.mktemp("state")
    made = [make_hospital(folder, site, example[0], unit="patient") for site in SITES]
    for hospital in made:
        hospital.configure(label_kind="multi")
    with running(*made) as started:
        yield started


def test_a_study_of_findings_runs_and_what_is_asked_of_another_kind_is_refused(
    reading: dict[str, Hospital], example: tuple[Path, Path], tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from researcher.counts.releases import CountRequest
    from researcher.evaluation.hold_out import load_hold_out
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    with warnings.catch_warnings():  # matplotlib 3.9 calls pyparsing by its old names
        warnings.simplefilter("ignore")
        from researcher.terminal.training_session import result_of, write_all

    with Federation.connect([hospital.credentials() for hospital in reading.values()]) as federation:
        assert {(one.label_kind, one.class_names, one.unit) for one in federation.datasets()} == {
            ("multi", FINDINGS, "patient")
        }
        mock = federation.hospitals["north"].mock("pictures")
        assert mock.labels.shape == (len(mock.images), len(FINDINGS)) and set(mock.labels.ravel().tolist()) == {
            -1,
            0,
            1,
        }
        settings = StudySettings(
            study="findings",
            model="linear",
            num_rounds=2,
            local_epochs=3.0,
            sample_rate=0.25,
            noise_multiplier=3.0,
            learning_rate=0.5,
        )
        plan = make_plan(settings, federation.datasets())
        classes = replace(plan, model=replace(plan.model, label_kind="single"))
        with pytest.raises(RequestError, match="label_kind is 'multi', the plan's 'single'"):
            Study.submit(federation, classes, tmp_path / "classes")
        study = Study.submit(federation, plan, tmp_path / "study")
        for name, request in study.requests.items():
            assert reading[name].admin_json("show", request.request_id)["plan"]["model"]["label_kind"] == "multi"
            reading[name].admin("approve", request.request_id)
        hold_out = load_hold_out(example[1], class_names=FINDINGS)
        state, history = study.run(hold_out=hold_out, initial_weights=initial_weights(plan.model, 0))
        assert [len(record.datasites) for record in history.records] == [3, 3]
        write_all(tmp_path / "out", study, state, history, result_of(study, state, history, hold_out))
        values = json.loads((tmp_path / "out" / "result.json").read_text())
        assert list(values["findings"]) == list(FINDINGS)
        assert values["macro_auroc"][-1] > 0.75
        noise = ReleaseSpec(30.0, 1e-5, "patient")
        for counting, weights in (
            (EvaluationPlan("findings", "pictures", plan.model, 1, noise, 20), dict(state.model)),
            (StatisticsPlan("findings", "pictures", (16, 16, 1), 4, noise, label_kind="multi"), None),
        ):
            asked = CountRequest.submit(federation, counting, tmp_path / counting.kind)
            for name, sent in asked.requests.items():
                reading[name].admin("approve", sent.request_id)
            released = asked.collect(weights)
            assert sorted(released.arrays) == sorted(SITES)
            for arrays in released.arrays.values():
                assert {name: array.shape for name, array in arrays.items()} == counting.outputs
                assert all(np.isfinite(array).all() for array in arrays.values())
