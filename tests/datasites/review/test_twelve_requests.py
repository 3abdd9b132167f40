"""Twelve requests, of which five hide a fault: the review tells of these five, and finds nothing against the seven."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.hostile_texts import HOSTILE, raw_in
from support.reviewed import BOB, MODEL, ON_FEATURES, PLAN, PRIVACY, Reviewed, reviewed_datasite

from datasites.cli.requests import _SECTIONS
from datasites.console.answers import read_row
from datasites.console.shown.brief_card import brief_card, section_of_card
from datasites.console.shown.review_card import SECTIONS, review_card
from datasites.review.review import Review
from policies.answers.plain_values import to_plain
from policies.errors import ConfigError
from policies.plans.kinds import Plan
from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec
from policies.plans.words.statement import Statement
from policies.terminal.rich_terminal import PlainConsole

RELEASES = ReleaseSpec(20.0, 1e-5, "picture")
BY_PATIENT = replace(PRIVACY, unit="patient")
ORDINARY: dict[str, Plan] = {
    "first of a study": replace(PLAN, study="tuberculosis", rounds=9),
    "more rounds of the approved study": replace(PLAN, rounds=12),
    "evaluation of the approved study's model": EvaluationPlan("pneumonia", "pictures", MODEL, 2, RELEASES),
    "statistics": StatisticsPlan("pneumonia", "pictures", MODEL.image_shape, 2, RELEASES),
    "on known weights": ON_FEATURES,
    "for each patient": replace(PLAN, study="wards-3", dataset="wards", privacy=BY_PATIENT),
    "more noise": replace(PLAN, study="reading-room-2", privacy=replace(PRIVACY, noise_multiplier=6.0)),
}
FAULTS: dict[str, tuple[str, Plan]] = {
    "over budget": ("budget", replace(PLAN, study="long", rounds=60, privacy=replace(PRIVACY, noise_multiplier=0.6))),
    "text that misleads": ("text", replace(PLAN, study="approved-by-dpo-no-epsilon", rounds=9)),
    "swapped graph": ("graph", replace(PLAN, model=ModelSpec("small_cnn", MODEL.image_shape, 2, {"width": 16}))),
    "wrong unit": ("unit", replace(PLAN, study="series-1", dataset="series")),
    "weights of unknown origin": (
        "weights",
        replace(
            ON_FEATURES, model=replace(ON_FEATURES.model, options={"backbone": "resnet18", "weights_sha256": "b" * 64})
        ),
    ),
}


@pytest.fixture(scope="module")
def datasite(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Iterator[Reviewed]:
    with reviewed_datasite(tmp_path_factory.mktemp("reviewed"), drawn) as made:
        made.approve(made.request(PLAN, name="approved before"))
        yield made


@pytest.mark.parametrize("name", ORDINARY)
def test_nothing_is_found_against_an_ordinary_request(datasite: Reviewed, name: str) -> None:
    assert datasite.topics(ORDINARY[name], by=BOB if name == "more noise" else "ada@example.org") == []


def test_against_a_request_that_does_something_else_only_what_both_have_is_told(datasite: Reviewed) -> None:
    review = datasite.review(datasite.request(ORDINARY["statistics"]))
    changed = {one.field for one in next(one for one in review.differences if one.of == "study").changed}
    assert {"kind", "rounds"} <= changed
    assert not [one for each in review.differences for one in each.changed if "–" in (one.before, one.now)]
    same_kind = datasite.review(datasite.request(ORDINARY["more rounds of the approved study"]))
    assert [one.field for one in same_kind.differences[0].changed] == ["rounds"]


@pytest.mark.parametrize(
    ("plan", "told"),
    [(ORDINARY["statistics"], "counts leave, once"), (replace(PLAN, study="one", rounds=1), "numbers leave, once")],
    ids=["statistics", "training"],
)
def test_a_plan_of_one_round_is_told_without_counting_it(datasite: Reviewed, plan: Plan, told: str) -> None:
    review = datasite.review(datasite.request(plan))
    assert review.computed is not None
    said = " ".join(one.text for one in (review.computed, *review.leaves, *(one.evidence for one in review.channels)))
    assert told in said and "At most one round, charged once" in said
    assert " 1 rounds" not in said and " 1 times" not in said


@pytest.mark.parametrize("name", FAULTS)
def test_each_hidden_fault_is_found(datasite: Reviewed, name: str) -> None:
    topic, plan = FAULTS[name]
    found = datasite.topics(plan)
    assert topic in found
    assert set(found) <= {topic, "refused"}


def test_what_kind_of_pictures_a_dataset_holds_is_told_where_the_hospital_says_it(datasite: Reviewed) -> None:
    held, told = datasite.datasets["pictures"], []
    try:
        for rounds, modality in ((13, "other"), (14, "xray")):
            datasite.datasets["pictures"] = replace(held, manifest=replace(held.manifest, modality=modality))
            review = datasite.review(datasite.request(replace(PLAN, rounds=rounds)))
            told.append(next(one for one in review.questions if one.question == "data").answers[0].text)
    finally:
        datasite.datasets["pictures"] = held
    unsaid, said = told
    assert unsaid.startswith("Dataset pictures, version 1: ") and "other" not in unsaid
    assert said == unsaid.replace("version 1: ", "version 1: xray, ")


def test_another_version_of_the_dataset_than_the_study_was_approved_on_is_found(datasite: Reviewed) -> None:
    held = datasite.datasets["pictures"]
    later = replace(held.manifest, dataset_version=2, lineage=held.manifest.budget_key)
    datasite.datasets["pictures"] = replace(held, manifest=later)
    try:
        assert datasite.topics(replace(PLAN, rounds=11)) == ["version"]
        assert datasite.topics(replace(PLAN, study="tuberculosis-2", rounds=9)) == []
    finally:
        datasite.datasets["pictures"] = held


def test_what_was_approved_before_under_another_name_is_found_for_its_researcher_alone(datasite: Reviewed) -> None:
    again = replace(PLAN, study="pneumonia-2", run=replace(PLAN.run, timeout_seconds=77))
    assert datasite.topics(again) == ["repeat"]
    assert datasite.topics(again, by=BOB) == []
    assert datasite.topics(replace(again, learning_rate=0.25)) == []


def test_a_request_that_leaves_little_of_a_budget_is_no_fault_and_tells_that_none_fits_after_it(
    datasite: Reviewed,
) -> None:
    limit = datasite.books.limits.current.total.epsilon
    nearly = replace(PLAN, study="nearly-all", rounds=28, privacy=replace(PRIVACY, noise_multiplier=0.83))
    review = datasite.review(datasite.request(nearly))
    assert review.findings == () and review.cost is not None
    assert 0.9 * limit < review.cost.scopes[0].after <= limit
    assert review.cost.studies_left == 0


@pytest.mark.parametrize(
    "purpose",
    [
        "We spend an epsilon of 0.5 on a screening aid.",
        "Privacy budget: at most 0.1",
        "A screening aid, trained in 3 rounds.",
        "Patient-level privacy for all who took part.",
        "Only statistics are computed, no model training takes place.",
        "Nothing but pictures stays: only statistics are computed here.",
        "本研究的 epsilon 为 0.5。",
    ],
)
def test_a_text_that_contradicts_its_plan_is_found(datasite: Reviewed, purpose: str) -> None:
    plan = replace(PLAN, study="said", rounds=9, statement=Statement(purpose=purpose))
    assert datasite.topics(plan) == ["contradiction"]


@pytest.mark.parametrize(
    "purpose",
    [
        "A screening aid for reading rooms, trained in 9 rounds on chest pictures.",
        "An epsilon of at most 8 in all; the earlier pilot had an epsilon of 0.3.",
        "Each patient is seen once, in 2 hospitals, with 95 % sensitivity.",
        "After training, we publish statistics of the model. No training data leaves.",
        "Only aggregate statistics will ever leave, and only counts are released to us.",
        "A study of rounds: does a second reading help? The limit of 0.5 is for noise.",
        "一个用于筛查的模型，共 9 轮。",
    ],
)
def test_a_text_that_agrees_with_its_plan_is_no_fault(datasite: Reviewed, purpose: str) -> None:
    assert datasite.topics(replace(PLAN, study="said", rounds=9, statement=Statement(purpose=purpose))) == []


def test_a_delta_of_one_in_the_public_size_is_found(datasite: Reviewed) -> None:
    large = replace(PLAN, study="large-delta", privacy=replace(PRIVACY, delta=0.005))
    assert "delta" in datasite.topics(large)


def test_a_plan_for_pictures_on_a_dataset_of_patients_is_found(datasite: Reviewed) -> None:
    assert "unit" in datasite.topics(replace(PLAN, study="wards-4", dataset="wards"))


@pytest.mark.parametrize("name", [*ORDINARY, *FAULTS])
def test_every_sentence_of_a_review_reads_and_comes_back_from_json(datasite: Reviewed, name: str) -> None:
    plan = ORDINARY[name] if name in ORDINARY else FAULTS[name][1]
    review = datasite.review(datasite.request(plan))
    plain = json.loads(json.dumps(to_plain(review), allow_nan=False))
    assert read_row(Review, plain) == review
    stream = io.StringIO()
    Console(file=stream, width=400).print(review_card(plain))
    told = stream.getvalue()
    assert "{" not in told.split("The plan in full")[0]
    assert re.search(r"enrolled since +\d{4}-\d\d-\d\d *\n", told), "a day, as dates are told everywhere else"
    assert f"{review.digest[:12]}…" in told and review.digest not in told, "which JSON has in full"
    reasons = [re.sub(r"([0-9a-f]{12})[0-9a-f]{52}", r"\1…", one.reason.text) for one in review.findings]
    brief = PlainConsole(record=True, width=80)
    brief.print(brief_card(plain, datasite="--name hospital_a"))
    begins = brief.export_text()
    assert all(one in " ".join(begins.split()) for one in reasons)
    assert review.findings or len(begins.splitlines()) <= 23, "it is seen at once, with the prompt below it"
    assert f"python -m datasites approve {review.id[:8]} --name hospital_a" in begins and "at delta" in begins
    with pytest.raises(ConfigError, match=r"has no section elsewhere. It has against, request"):
        section_of_card(plain, section="elsewhere")
    assert set(_SECTIONS) == set(SECTIONS), "the names that the option takes"
    one_alone = PlainConsole(record=True, width=80)
    one_alone.print(section_of_card(plain, section="plan"))
    assert one_alone.export_text().startswith("The plan in full")
    assert all(one in " ".join(told.split()) for one in reasons)
    assert told.index("What speaks against it") < told.index("What it costs") < told.index("The plan in full")


def test_hostile_values_in_a_review_are_shown_and_not_obeyed(datasite: Reviewed) -> None:
    plain = to_plain(datasite.review(datasite.request(ORDINARY["on known weights"])))

    def hostile(value: Any, text: str) -> Any:
        if isinstance(value, dict):
            return {key: one if key == "template" else hostile(one, text) for key, one in value.items()}
        if isinstance(value, list):
            return [hostile(one, text) for one in value]
        return text if isinstance(value, str) else value

    for text in HOSTILE.values():
        stream = io.StringIO()
        Console(file=stream, width=400, force_terminal=True).print(review_card(hostile(plain, text)))
        assert not raw_in(stream.getvalue())


def test_a_gram_matrix_says_what_leaves_and_is_no_other_model_than_its_studys(datasite: Reviewed) -> None:
    gram = GramPlan("gram-first", "pictures", ON_FEATURES.model, ReleaseSpec(20.0, 1e-5))
    request = datasite.request(gram)
    review = datasite.review(request)
    assert review.findings == () and review.computed is not None
    assert "the 512 numbers that the model features makes of each picture" in review.computed.text
    numbers = 513 * 514 // 2  # with the bias's 1
    assert review.leaves[0].text.startswith(f"{numbers:,} numbers leave, once, with noise on every one")
    leaves = " ".join(one.text for one in review.leaves)
    assert "The researcher keeps these numbers." in leaves and "not charged again" in leaves
    assert "It runs once, for at most 60 minutes" in leaves and "Each round" not in leaves
    assert "every two of them their product, added up over all pictures" in review.computed.text
    (counts,) = (one for one in review.channels if one.channel == "counts")
    assert counts.check.text.startswith("Noise is added to every sum")
    by_patient = replace(gram, study="gram-wards", dataset="wards", privacy=ReleaseSpec(20.0, 1e-5, "patient"))
    computed = datasite.review(datasite.request(by_patient)).computed
    assert computed is not None and "of each patient the mean over the patient's pictures" in computed.text
    datasite.approve(request)
    assert datasite.topics(replace(ON_FEATURES, study="gram-first", rounds=7)) == []


def test_a_plan_in_which_everybody_takes_part_says_so(datasite: Reviewed) -> None:
    plan = replace(PLAN, study="everybody", sample_rate=1.0, rounds=3, privacy=replace(PRIVACY, noise_multiplier=40.0))
    computed = datasite.review(datasite.request(plan)).computed
    assert computed is not None and "each on all pictures" in computed.text
