"""What comes in with a code request is bounded when it comes: no text beside the plan, options that the model takes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.hostile_texts import HOSTILE

from policies.errors import PlanError, RequestError
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from syft.service.code.user_code import SubmitUserCode

    from datasites.code_requests.limits.hospital_limits import HospitalLimits
    from datasites.config import DatasiteConfig
    from datasites.pysyft import guard

PLAN = TrainingPlan(
    study="cells",
    dataset="pictures",
    model=ModelSpec("small_cnn", (16, 16, 1), 2, {"width": 4}),
    rounds=1,
    steps_per_round=1,
    sample_rate=0.1,
    learning_rate=0.5,
    privacy=PrivacySpec(1.5, 1.0, 1e-5),
)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_code_request_with_a_text_beside_its_plan_is_refused(text: str) -> None:
    code = SubmitUserCode.model_construct()
    assert guard._submitted_code(SimpleNamespace(args=[], kwargs={"code": code, "reason": ""})) is code
    for args, kwargs in (([], {"code": code, "reason": text}), ([code, text], {})):
        with pytest.raises(RequestError, match="nothing beside its plan"):
            guard._submitted_code(SimpleNamespace(args=args, kwargs=kwargs))


@pytest.mark.parametrize(
    "changes",
    [{"name": "huge_cnn"}, {"options": {"depth": 3}}, {"options": {"width": 5}}, {"options": {"activation": "red"}}],
)
def test_a_plan_is_held_against_its_models_options_at_submission(changes: dict[str, Any], tmp_path: Path) -> None:
    limits, dataset = _limits_and_dataset("single", tmp_path)
    limits.check(PLAN, dataset)
    with pytest.raises(PlanError, match=r"huge_cnn|depth|width|activation"):
        limits.check(replace(PLAN, model=replace(PLAN.model, **changes)), dataset)


@pytest.mark.parametrize(("here", "asked"), [("single", "multi"), ("multi", "single")])
def test_a_plan_for_another_kind_of_labels_is_refused_and_told_what_they_are(
    here: str, asked: str, tmp_path: Path
) -> None:
    limits, dataset = _limits_and_dataset(here, tmp_path)
    noise = ReleaseSpec(10.0, 1e-5)
    for kind, refused in ((here, False), (asked, True)):
        model = replace(PLAN.model, label_kind=kind)
        for plan in (
            replace(PLAN, model=model),
            EvaluationPlan("cells", "pictures", model, 1, noise),
            StatisticsPlan("cells", "pictures", (16, 16, 1), 2, noise, label_kind=kind),
        ):
            if refused:
                with pytest.raises(
                    RequestError, match=f"label_kind is '{here}', the plan's '{asked}'.*dataset's schema"
                ):
                    limits.check(plan, dataset)
            else:
                limits.check(plan, dataset)


def _limits_and_dataset(label_kind: str, store: Path) -> tuple[HospitalLimits, Any]:
    manifest = SimpleNamespace(
        unit="picture",
        public_size=100,
        image_shape=(16, 16, 1),
        class_names=("a", "b"),
        label_kind=label_kind,
        text=None,
    )
    state: Any = SimpleNamespace(store=store, limit_proposals=Path("limit-proposals.json"))
    audit: Any = None
    return HospitalLimits(state, DatasiteConfig(name="north"), audit), SimpleNamespace(manifest=manifest, store=store)
