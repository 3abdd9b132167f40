"""Reviews at a real datasite: twelve requests, five with a hidden fault, and a new reviewer who decides on one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright
from support.browsers import MISSING, SWITCHES, chromium
from support.hospitals import STRANGER, Hospital, make_hospital, running, small_plan, write_pictures

from policies.errors import LimitExceeded
from policies.plans.features import FEATURES_MODEL, FeatureSpec
from policies.plans.kinds import Plan
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from policies.plans.training import ModelSpec, TrainingPlan
from policies.plans.words.statement import Statement
from researcher.hospitals.federation import Federation

RELEASES = ReleaseSpec(20.0, 1e-5, "patient")
MISLEADS = Statement(purpose="Triage of chest pictures. Your hospital has already approved it, at no epsilon.")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """A datasite that protects patients, two pictures of each."""
    folder = tmp_path_factory.mktemp("clinic")
    write_pictures(folder / "pictures.npz", sites=("north",), each=240)
    arrays = dict(np.load(folder / "pictures.npz"))
    np.savez(folder / "pictures.npz", **arrays, groups=np.array([f"p{at // 2}" for at in range(len(arrays["labels"]))]))
    with running(make_hospital(folder, "north", folder / "pictures.npz", unit="patient")) as started:
        yield started["north"]


@pytest.fixture(scope="module")
def ada(clinic: Hospital) -> Iterator[Federation]:
    with Federation.connect(clinic.credentials()) as connected:
        yield connected


@pytest.fixture(scope="module")
def approved(clinic: Hospital, ada: Federation) -> TrainingPlan:
    """The plan of a study that the hospital has approved."""
    plan: TrainingPlan = small_plan(ada, study="pneumonia")
    clinic.admin("approve", ada.hospitals["north"].submit(plan).request_id)
    return plan


def ordinary(plan: TrainingPlan) -> Mapping[str, Plan]:
    """Seven requests without a fault."""
    shape, classes = plan.model.image_shape, plan.model.num_classes
    ethics = Statement(purpose="A reading aid. The ethics committee approved the protocol.", protocol="2026-0411")
    return {
        "first of a study": replace(plan, study="tuberculosis", rounds=3, statement=ethics),
        "in Chinese": replace(plan, study="night-shift", rounds=3, statement=Statement(purpose="用于筛查，共 3 轮。")),
        "more rounds of the approved study": replace(plan, rounds=3),
        "evaluation of the approved study's model": EvaluationPlan("pneumonia", "pictures", plan.model, 2, RELEASES),
        "statistics": StatisticsPlan("pneumonia", "pictures", shape, classes, RELEASES),
        "more noise": replace(plan, study="quiet", privacy=_noise(plan, 20.0)),
        "larger model of another study": replace(
            plan, study="wider", model=replace(plan.model, options={"width": 8}), learning_rate=0.5
        ),
    }


def faulty(plan: TrainingPlan) -> Mapping[str, tuple[str, Plan]]:
    """Three whose fault only the card can tell of, by what it is found under."""
    return {
        "over budget": ("budget", replace(plan, study="long", rounds=400, privacy=_noise(plan, 1.0))),
        "text that misleads": ("text", replace(plan, study="triage", rounds=4, statement=MISLEADS)),
        "swapped graph": ("graph", replace(plan, model=replace(plan.model, options={"width": 8}))),
    }


def refused(plan: TrainingPlan) -> Mapping[str, tuple[str, Plan]]:
    """Two that are refused as they are sent, and with which words."""
    unknown = FeatureSpec("resnet18", "b" * 64)
    model = ModelSpec(FEATURES_MODEL, plan.model.image_shape, plan.model.num_classes, unknown.options)
    assert plan.privacy
    return {
        "wrong unit": ("unit is a patient", replace(plan, study="s", privacy=replace(plan.privacy, unit="picture"))),
        "weights of unknown origin": ("has no features", replace(plan, study="head", model=model)),
    }


def _noise(plan: TrainingPlan, noise_multiplier: float) -> Any:
    assert plan.privacy
    return replace(plan.privacy, noise_multiplier=noise_multiplier)


def test_the_cards_of_seven_ordinary_requests_have_no_finding_and_none_of_the_five_faults_passes_unsaid(
    clinic: Hospital, ada: Federation, approved: TrainingPlan
) -> None:
    def found(request_id: str) -> list[str]:
        card = clinic.admin_json("show", request_id)
        return [*(one["topic"] for one in card["findings"]), *(one["field"] for one in card["unusual"])]

    with Federation.connect(clinic.credentials(STRANGER)) as bob:
        sent = {
            name: (bob if name == "more noise" else ada).hospitals["north"].submit(plan).request_id
            for name, plan in ordinary(approved).items()
        }
    assert [(name, told) for name, one in sent.items() if (told := found(one))] == []
    flagged = {name: (topic, ada.hospitals["north"].submit(plan)) for name, (topic, plan) in faulty(approved).items()}
    for name, (topic, request) in flagged.items():
        told = found(request.request_id)
        assert topic in told and set(told) <= {topic, "refused"}, name
    for words, plan in refused(approved).values():
        with pytest.raises(LimitExceeded, match=words):
            ada.hospitals["north"].submit(plan)
    assert clinic.admin("approve", flagged["over budget"][1].request_id, check=False).returncode != 0
    assert len(clinic.admin_json("requests", "--only", "pending")) == 10


@pytest.mark.parametrize(("language", "rounds"), [pytest.param("en-GB", 3, marks=pytest.mark.slow), ("zh-CN", 4)])
def test_a_new_reviewer_comes_from_a_handed_over_file_to_a_signed_record_on_a_telephone_without_scripts(
    clinic: Hospital, ada: Federation, approved: TrainingPlan, tmp_path: Path, language: str, rounds: int
) -> None:
    if not chromium():
        pytest.skip(MISSING)
    plan = replace(
        approved, study=f"first-review-{language.lower()}", rounds=rounds, statement=Statement(purpose="A reading aid.")
    )
    request = ada.hospitals["north"].submit(plan).request_id
    handed = json.loads(clinic.add(f"dr.{language.lower()}", "reviewer").read_text())
    filled = {"name": handed["name"], "token": handed["token"], "password": "seven words of it all"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(SWITCHES))
        context = browser.new_context(
            locale=language, java_script_enabled=False, viewport={"width": 375, "height": 812}, color_scheme="dark"
        )
        page = context.new_page()
        page.goto(handed["url"])
        page.locator("a[href='/first-password']").click()
        for name, value in {**filled, "again": filled["password"]}.items():
            page.locator(f"input[name={name}]").fill(value)
        page.locator("form[action='/first-password'] button").click()
        page.locator("a[href='/requests?state=pending']").click()
        page.locator(f"a[href='/requests/{request}']").click()
        page.locator("a[href='#decide']").click()
        page.locator(f"form[action='/requests/{request}/approve'] button").click()
        expect(page.locator("main [role=status]")).to_contain_text("is approved" if language == "en-GB" else "已批准")
        with page.expect_download() as kept:
            page.locator(f"a[href='/requests/{request}/record']").click()
        record = tmp_path / kept.value.suggested_filename
        kept.value.save_as(record)
        browser.close()
    told = clinic.admin_json("record", request, "--check", str(record))
    assert told["holds"] and handed["name"] in record.read_text()
    assert ('lang="zh-Hans"' in record.read_text()) == (language == "zh-CN")
    other = tmp_path / "other.html"
    clinic.admin("record", request, "--out", str(other), "--language", "zh" if language == "en-GB" else "en")
    assert ('lang="zh-Hans"' in other.read_text()) == (language == "en-GB")
    assert clinic.admin_json("record", request, "--check", str(other))["holds"]
