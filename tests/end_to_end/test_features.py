"""A study that trains a head on features: computed at two hospitals, named in the plan, over real sockets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.hospitals import Hospital

from policies.errors import WanwuError
from policies.plans.features import FeatureSpec
from policies.plans.releases import EvaluationPlan, ReleaseSpec


def compute(hospital: Hospital, backbone: tuple[Path, FeatureSpec], **changes: str) -> str:
    values = {"backbone": "resnet18", "weights_sha256": backbone[1].weights_sha256, "input_size": "32", **changes}
    arguments = [word for name, value in values.items() for word in (f"--{name}", value)]
    done = hospital.admin("features", "--weights", str(backbone[0]), *arguments, check=False)
    return done.stdout + done.stderr


def test_a_head_on_features_is_trained_and_evaluated_where_the_pictures_are(
    pair: dict[str, Hospital], backbone: tuple[Path, FeatureSpec], hold_out: object, tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from researcher.counts.releases import CountRequest
    from researcher.evaluation.feature_hold_out import with_features
    from researcher.evaluation.hold_out import HoldOut
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.study import Study

    assert isinstance(hold_out, HoldOut)
    file, spec = backbone
    with Federation.connect([hospital.credentials() for hospital in pair.values()]) as federation:
        settings = StudySettings(
            study="head",
            model="features",
            options=spec.options,
            num_rounds=2,
            local_epochs=2,
            sample_rate=0.4,
            noise_multiplier=4.0,
        )
        plan = make_plan(settings, federation.datasets())
        with pytest.raises(WanwuError, match=f"no features {spec.key}"):
            Study.submit(federation, plan, tmp_path / "early")
        for hospital in pair.values():
            assert "WW801" in compute(hospital, backbone, weights_sha256="0" * 64)
            assert f"--model_option weights_sha256={spec.weights_sha256}" in compute(hospital, backbone)
            assert [event["features"] for event in hospital.events("features computed")] == [spec.key]
            findings = json.loads(hospital.admin("doctor", "--json", check=False).stdout)
            assert [one["level"] for one in findings if one["check"] == "features"] == ["ok"]
        study = Study.submit(federation, plan, tmp_path / "study")
        for name, request in study.requests.items():
            pair[name].admin("approve", request.request_id)
        seen = with_features(hold_out, plan.model, str(file))
        state, history = study.run(hold_out=seen, initial_weights=initial_weights(plan.model, 0))
        assert [len(record.datasites) for record in history.records] == [2, 2]
        assert set(state.weights) == {"head.weight", "head.bias"}
        assert history.records[-1].test_accuracy > 0.8
        evaluation = EvaluationPlan("head", "pictures", plan.model, 1, ReleaseSpec(40.0, 1e-5))
        request = CountRequest.submit(federation, evaluation, tmp_path / "evaluation")
        for name, sent in request.requests.items():
            pair[name].admin("approve", sent.request_id)
        assert sorted(request.collect(state.weights).arrays) == ["north", "south"]


def test_features_that_are_gone_stop_a_run_and_cost_nothing(
    pair: dict[str, Hospital], backbone: tuple[Path, FeatureSpec], hold_out: object, tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from researcher.evaluation.feature_hold_out import with_features
    from researcher.evaluation.hold_out import HoldOut
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.study import Study

    assert isinstance(hold_out, HoldOut)
    file, spec = backbone
    north = pair["north"]
    if not north.events("features computed"):
        compute(north, backbone)
    with Federation.connect(north.credentials()) as federation:
        settings = StudySettings(
            study="gone", model="features", options=spec.options, num_rounds=1, noise_multiplier=12.0
        )
        plan = make_plan(settings, federation.datasets())
        study = Study.submit(federation, plan, tmp_path / "study")
        north.admin("approve", study.requests["north"].request_id)
        spent, array = north.ledger_entries(), next((north.state / "store").rglob("features.npy"))
        kept = array.read_bytes()
        array.write_bytes(kept[:-4] + b"\0\0\0\1")
        seen = with_features(hold_out, plan.model, str(file))
        with pytest.raises(WanwuError, match="got 0 of the"):
            study.run(
                hold_out=seen,
                initial_weights=initial_weights(plan.model, 0),
                min_clients=1,
                retry_policy=RetryPolicy(attempts=1),
            )
        assert north.ledger_entries() == spent
        array.write_bytes(kept)


def test_a_hospital_that_keeps_scattering_features_trains_beside_one_that_does_not(
    pair: dict[str, Hospital], hold_out: object, tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights
    from policies.plans.releases import GramPlan
    from researcher.counts.releases import CountRequest
    from researcher.evaluation.hold_out import HoldOut
    from researcher.hospitals.federation import Federation
    from researcher.planning.planning import StudySettings, make_plan
    from researcher.studies.retry_policy import RetryPolicy
    from researcher.studies.study import Study

    assert isinstance(hold_out, HoldOut)
    north = pair["north"]
    refused = north.admin("features", "--backbone", "scattering", "--normalisation", "half", check=False)
    assert "Leave out --weights" in refused.stdout + refused.stderr
    told = north.admin("features", "--backbone", "scattering").stdout
    assert "--model scattering_linear" in told
    computed = north.events("features computed")[-1]
    assert computed["features"].startswith("scattering-")
    findings = json.loads(north.admin("doctor", "--json", check=False).stdout)
    told = [one["text"] for one in findings if one["check"] == "features" and one["level"] == "ok"]
    assert any(computed["features"] in one for one in told)
    with Federation.connect([hospital.credentials() for hospital in pair.values()]) as federation:
        settings = StudySettings(study="kept", model="scattering_linear", num_rounds=2, noise_multiplier=12.0)
        plan = make_plan(settings, federation.datasets())
        study = Study.submit(federation, plan, tmp_path / "study")
        gram = GramPlan("kept", plan.dataset, plan.model, ReleaseSpec(40.0, 1e-5))
        request = CountRequest.submit(federation, gram, tmp_path / "gram")
        for one in (study, request):
            for name, sent in one.requests.items():
                pair[name].admin("approve", sent.request_id)
        arrays = request.collect({}).arrays
        assert {name: array.shape for name, array in arrays["north"].items()} == gram.outputs
        assert sorted(arrays) == ["north", "south"]

        spent, array = north.ledger_entries(), next((north.state / "store").rglob("scattering-*/features.npy"))
        kept = array.read_bytes()
        array.write_bytes(kept[:-4] + b"\0\0\0\1")
        weights = initial_weights(plan.model, 0)
        with pytest.raises(WanwuError, match="got 1 of the"):
            study.run(hold_out=hold_out, initial_weights=weights, min_clients=2, retry_policy=RetryPolicy(attempts=1))
        assert north.ledger_entries() == spent  # it reads them, and what was changed costs nothing
        array.write_bytes(kept)
        state, history = study.run(hold_out=hold_out, initial_weights=weights, min_clients=2)
        assert [len(record.datasites) for record in history.records] == [2, 2]
        assert set(state.weights) == {"head.weight", "head.bias"}
