"""What a plan may say of a model, checked without torch: bounded in the plan, held against the model's own options."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from support.hostile_texts import HOSTILE, PLAIN, raw_in

from policies.errors import PlanError
from policies.plans.features import FeatureSpec
from policies.plans.kinds import parse
from policies.plans.model_options import MODELS, PICTURE_MODELS, Choice, Flag, Whole, check_options, options_of
from policies.plans.model_spec import MAX_OPTIONS
from policies.plans.plan_json import MAX_CHARACTERS
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec

PLAN = EvaluationPlan(
    "cells", "smears", ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 16}), 1, ReleaseSpec(9.0, 1e-5)
)
WORDS = {"text_length": 8, "tokeniser": "hashed_words_1", "vocabulary": 64}


@pytest.mark.parametrize("text", [*HOSTILE.values(), *PLAIN, "", "x" * 101])
def test_an_option_is_a_word_a_number_or_a_bool_and_never_another_text(text: str) -> None:
    values = json.loads(PLAN.to_json())
    for options in ({"width": text}, {text: 1}):
        values["model"]["options"] = options
        with pytest.raises(PlanError) as refused:
            parse(json.dumps(values))
        assert not raw_in(refused.value.public, lines=False) and len(refused.value.public) < 400


@pytest.mark.parametrize("value", [2**53 + 1, -(2**60), 1e300, -1e17, float("nan"), float("inf"), None, [1], {}])
def test_a_number_in_an_option_is_bounded(value: object) -> None:
    with pytest.raises(PlanError, match=r"model\.options\.width"):
        replace(PLAN.model, options={"width": value})


def test_a_plan_names_few_options_and_is_short() -> None:
    many = {f"o{number}": 1 for number in range(MAX_OPTIONS)}
    assert len(replace(PLAN.model, options=many).options) == MAX_OPTIONS
    with pytest.raises(PlanError, match="at most 16 options"):
        replace(PLAN.model, options={**many, "one_more": 1})
    with pytest.raises(PlanError, match="at most 20000 characters"):
        parse(" " * MAX_CHARACTERS + PLAN.to_json())


@pytest.mark.parametrize("name", PICTURE_MODELS)
def test_a_models_defaults_are_in_range_and_what_is_beyond_it_is_refused(name: str) -> None:
    spec = ModelSpec(name, (64, 64, 3), 2)
    check_options(spec)
    assert options_of(spec) == {option: about.default for option, about in PICTURE_MODELS[name].items()}
    for option, about in PICTURE_MODELS[name].items():
        beyond = ["other"] if isinstance(about, Choice | Flag) else ["other", True, about.low - 1, about.high + 1]
        if isinstance(about, Whole) and about.step > 1:
            beyond.append(about.low + 1)
        for value in beyond:
            with pytest.raises(PlanError, match=option):
                check_options(replace(spec, options={option: value}))
    with pytest.raises(PlanError, match="no option 'none_such'"):
        check_options(replace(spec, options={"none_such": 1}))


def test_a_model_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(PlanError, match="Unknown model 'huge_cnn'; known are efficientnet_lite0"):
        check_options(ModelSpec("huge_cnn", (16, 16, 1), 2))


def test_features_and_reports_are_held_against_their_own_options_and_their_encoders() -> None:
    spec = FeatureSpec("resnet18", "0" * 64)
    check_options(ModelSpec("features", (16, 16, 3), 2, spec.options))
    with pytest.raises(PlanError, match="no option 'width'"):
        check_options(ModelSpec("features", (16, 16, 3), 2, {**spec.options, "width": 1}))
    check_options(ModelSpec("image_text", (16, 16, 3), 2, {**WORDS, "width": 8}))
    for options, message in (
        ({}, "text_length"),
        ({**WORDS, "depth": 1}, "no option 'depth'"),
        ({**WORDS, "window": 9}, "window"),
        ({**WORDS, "picture_encoder": "features"}, "picture_encoder"),
    ):
        with pytest.raises(PlanError, match=message):
            check_options(ModelSpec("image_text", (16, 16, 3), 2, options))


def test_every_model_of_the_catalogue_is_in_the_table_and_no_other() -> None:
    from datasites.training.models.catalog import MODELS as BUILT

    assert sorted(BUILT) == list(MODELS)


def test_checking_options_takes_no_torch() -> None:
    code = "import sys, policies.plans.model_options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
