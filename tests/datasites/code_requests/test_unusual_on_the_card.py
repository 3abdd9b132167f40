"""What is unusual about a plan stands on its card, in the terminal and as plain values."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from datasites.code_requests.card import RequestCard, Unusual
from datasites.console.shown.review_card import review_card
from policies.answers.plain_values import to_plain
from policies.plans.plan_json import settings
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan


def test_each_unusual_value_has_its_sentence_on_the_card() -> None:
    found = (Unusual("sample_rate", "sample_rate 1 is high."), Unusual("x", "Something else."))
    card = RequestCard("id", "pending", "ada@example.org", "now", "", "", 1e-5, unusual=found)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(review_card(to_plain(card)))
    assert all(one.text in shown.get() for one in found)
    assert json.loads(json.dumps(to_plain(card)))["unusual"] == [vars(one) for one in found]


@pytest.mark.parametrize("pictures", [1, 4])
def test_how_many_pictures_of_a_patient_a_step_looks_at_stands_on_the_card(pictures: int) -> None:
    privacy = PrivacySpec(2.0, 1.0, 1e-5, "patient")
    model = ModelSpec("small_cnn", (28, 28, 3), 4)
    plan = TrainingPlan("s", "d", model, 1, 1, 0.1, 0.5, privacy=privacy, pictures_per_patient=pictures)
    card = RequestCard("id", "pending", "ada@example.org", "now", "", "", 1e-5, plan=settings(plan))
    console = Console(width=120)
    with console.capture() as shown:
        console.print(review_card(to_plain(card)))
    line = next(line for line in shown.get().splitlines() if "pictures_per_patient" in line)
    assert line.split()[-1] == str(pictures)
