"""Figures in a researcher's words are held against the plan's; what may mean another figure is left alone."""

from __future__ import annotations

import time

import pytest

from datasites.review import contradicting as texts
from datasites.review.contradicting import contradicting
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.plans.words.statement import MOST_CHARACTERS

PLAN = TrainingPlan(
    "cells", "pictures", ModelSpec("linear", (8, 8, 1), 2), 20, 1, 0.1, 0.5, privacy=PrivacySpec(2.0, 1.0, 1e-5)
)
EPSILON = 3.0


def told(text: str, epsilon: float | None = EPSILON) -> list[str]:
    return [one.template for one in contradicting({"purpose": text}, PLAN, epsilon)]


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("Training at epsilon 0.5.", texts.SAYS_LESS_EPSILON),
        ("epsilon=0.5", texts.SAYS_LESS_EPSILON),
        ("Epsilon is at most: 0.5", texts.SAYS_LESS_EPSILON),
        ("epsilon <= 0.5", texts.SAYS_LESS_EPSILON),
        ("epsilon ≤0.5", texts.SAYS_LESS_EPSILON),
        ("a privacy budget of only about 1", texts.SAYS_LESS_EPSILON),
        ("ε 为 0.5", texts.SAYS_LESS_EPSILON),
        ("epsilon 3, later epsilon below 1", texts.SAYS_LESS_EPSILON),
        ("We train for 5 rounds.", texts.SAYS_FEWER_ROUNDS),
        ("共 5 轮", texts.SAYS_FEWER_ROUNDS),
        ("It has patient-level privacy.", texts.SAYS_PATIENTS),
        ("Nothing is trained.", texts.SAYS_NO_TRAINING),
    ],
)
def test_a_figure_or_kind_that_is_not_the_plans_is_told(text: str, template: str) -> None:
    assert told(text) == [template]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Training at epsilon 3.",
        "epsilon up to 8",
        "epsilon < 3, over 20 rounds",
        "An earlier study had epsilon 0.5.",
        "The limit is epsilon 0.5.",
        "epsilon 0.5%",
        "epsilon of the study",
        "a budget of 0.5",
    ],
)
def test_what_agrees_with_the_plan_or_is_of_something_else_is_left_alone(text: str) -> None:
    assert told(text) == []


def test_an_epsilon_is_held_against_none_where_the_plan_has_none() -> None:
    assert told("epsilon 0.5", epsilon=None) == []


@pytest.mark.parametrize("words", ["<=", "=", "is at most ", "< ", "of is ", "≤:", "no training "])
def test_as_many_words_as_a_text_may_hold_are_looked_at_at_once(words: str) -> None:
    """A reviewer waits for the card, and so does the whole datasite."""
    longest = MOST_CHARACTERS["purpose"]
    text = f"epsilon {words * longest}"[: longest - 1] + "x"
    begun = time.thread_time()
    assert told(text) == []
    assert time.thread_time() - begun < 1
