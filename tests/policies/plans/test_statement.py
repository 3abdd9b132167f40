"""The statement of a request: bounded plain lines in the researcher's words, under the plan's digest, or absent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.hostile_texts import HOSTILE

from policies.errors import PlanError
from policies.plans.kinds import parse
from policies.plans.plan_json import MAX_CHARACTERS, settings
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.plans.words.statement import MOST_CHARACTERS, Statement, statement_of
from policies.settings import declared

MODEL = ModelSpec("small_cnn", (28, 28, 3), 4)
TRAINING = TrainingPlan("cells", "smears", MODEL, 2, 3, 0.2, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5))
EVALUATION = EvaluationPlan("cells", "smears", MODEL, 1, ReleaseSpec(20.0, 1e-5))
STATISTICS = StatisticsPlan("cells", "smears", (28, 28, 3), 4, ReleaseSpec(20.0, 1e-5))
OBEYED = ("controls", "line ends", "directions", "no width", "fillers", "tags", "surrogates", "private use", "marks")
SAID = Statement("王小明", "Example University", "wang@example.org", "Early signs of leukaemia.", "EK 17/2026", "none")
PLANS = pytest.mark.parametrize("plan", [TRAINING, EVALUATION, STATISTICS], ids=lambda plan: plan.kind)


@PLANS
def test_a_plan_without_a_statement_has_the_text_it_always_had(plan: Any) -> None:
    assert "statement" not in json.loads(plan.to_json())
    assert settings(plan)["statement"] is None


def test_a_plan_from_before_statements_keeps_its_digest() -> None:
    assert TRAINING.digest() == "476b4afa1f8fb28aa419913b7aac8abc6247c2d50a54cc52e73477d0adc6cb08"


@PLANS
def test_a_statement_is_part_of_the_plan_and_of_its_digest(plan: Any) -> None:
    told = replace(plan, statement=SAID)
    assert json.loads(told.to_json())["statement"] == vars(SAID)
    assert parse(told.to_json()) == told
    other = replace(plan, statement=replace(SAID, purpose="Something else."))
    assert len({plan.digest(), told.digest(), other.digest()}) == 3


@pytest.mark.parametrize("field", MOST_CHARACTERS)
def test_each_text_has_a_most_that_fits_and_one_character_more_that_does_not(field: str) -> None:
    most = MOST_CHARACTERS[field]
    assert getattr(Statement(**{field: "界" * most}), field) == "界" * most
    with pytest.raises(PlanError, match=rf"statement\.{field} must be at most {most} characters.*got '{most + 1} char"):
        Statement(**{field: "x" * (most + 1)})


@pytest.mark.parametrize(
    "text", [*(HOSTILE[name] for name in OBEYED), "two\nlines", "\ud800", 3, None, ["x"]], ids=ascii
)
def test_what_is_no_plain_line_is_refused(text: Any) -> None:
    with pytest.raises(PlanError, match=r"statement\.purpose"):
        Statement(purpose=text)


def test_a_statement_at_its_longest_fits_into_a_plan_in_chinese_too() -> None:
    longest = Statement(**{name: "界" * most for name, most in MOST_CHARACTERS.items()})
    told = replace(TRAINING, statement=longest)
    assert len(told.to_json()) < MAX_CHARACTERS and parse(told.to_json()) == told


@pytest.mark.parametrize("values", [{"name": "x"}, {**vars(SAID), "role": "x"}, [], "text", 7])
def test_a_statement_in_a_plan_has_exactly_its_fields(values: Any) -> None:
    with pytest.raises(PlanError):
        parse(json.dumps({**json.loads(TRAINING.to_json()), "statement": values}))


def test_what_people_type_becomes_one_line_and_nothing_said_is_none() -> None:
    assert statement_of({"purpose": " to see\n   more  "}) == Statement(purpose="to see more")
    assert statement_of({}) is statement_of({"name": " "}) is None
    with pytest.raises(PlanError, match="no 'role'"):
        statement_of({"role": "x"})


def test_what_was_not_said_is_named() -> None:
    assert Statement(name="Wang", purpose=" ").missing == tuple(name for name in declared(Statement) if name != "name")
    assert SAID.missing == ()
