"""Unique values are planted in a hospital's rows; nothing that reaches the researcher may hold one of them."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import requests
from support.hospitals import CLASSES, Hospital, draw_pictures, make_hospital, running, small_plan
from support.waiting import wait_for

from policies.contracts.inputs import Ticket
from policies.contracts.weights import canonical_bytes
from policies.errors import InputRefused, LimitExceeded
from policies.plans.releases import EvaluationPlan, ReleaseSpec, StatisticsPlan
from researcher.counts.releases import CountRequest
from researcher.hospitals.federation import Federation
from researcher.studies.study import Study

PICTURES, PATIENTS = 1237, 619
PATIENT_MARK, FILE_MARK = "QX7CANARY", "HF3CANARYFOLDER"
PIXEL_MARK = bytes(range(3, 256, 7))[:32]


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """A hospital whose unit is the patient, with marks in its file name, patient identifiers and one picture."""
    folder = tmp_path_factory.mktemp(FILE_MARK)
    images, labels = draw_pictures(PICTURES, seed=3)
    images[0, :2, :, 0] = np.frombuffer(PIXEL_MARK, np.uint8).reshape(2, 16)
    groups = np.array([f"{PATIENT_MARK}-{index % PATIENTS:05d}" for index in range(PICTURES)])
    sites = np.repeat("clinic", PICTURES)
    np.savez(
        folder / f"{FILE_MARK}.npz",
        images=images,
        labels=labels,
        groups=groups,
        sites=sites,
        class_names=np.array(CLASSES),
    )
    hospital = make_hospital(tmp_path_factory.mktemp("state"), "clinic", folder / f"{FILE_MARK}.npz", unit="patient")
    with running(hospital):
        yield hospital


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every body that reaches the researcher's process, through PySyft's client or the platform's own."""
    bodies: list[bytes] = []
    send, get = requests.Session.send, httpx.Client.send

    def requests_send(session: Any, request: Any, **options: Any) -> Any:
        answer = send(session, request, **options)
        bodies.append(answer.content + repr(dict(answer.headers)).encode())
        return answer

    def httpx_send(client: Any, request: Any, **options: Any) -> Any:
        answer = get(client, request, **options)
        if options.get("stream"):
            answer.read()
        bodies.append(answer.content + repr(dict(answer.headers)).encode())
        return answer

    monkeypatch.setattr(requests.Session, "send", requests_send)
    monkeypatch.setattr(httpx.Client, "send", httpx_send)
    return bodies


def test_no_planted_value_reaches_the_researcher_on_any_way(
    marked: Hospital, received: list[bytes], hold_out: Any, tmp_path: Path
) -> None:
    from datasites.training.models import initial_weights

    with Federation.connect(marked.credentials()) as federation:
        clinic = federation.hospitals["clinic"]
        assert clinic.mock("pictures").images.shape[1:] == (16, 16, 1)
        assert clinic.datasets["pictures"].unit == "patient"
        assert clinic.datasets["pictures"].public_size == 620
        plan = small_plan(federation, study="canary")
        study = Study.submit(federation, plan, tmp_path / "study")
        marked.admin("approve", study.requests["clinic"].request_id)
        weights = initial_weights(plan.model, 0)
        _a_refused_round(clinic, study)
        _, history = study.run(hold_out=hold_out, initial_weights=weights, min_clients=1)
        assert history.records[-1].epsilon["clinic"] > 0
        _a_killed_run(marked, clinic, federation, tmp_path)
        _releases(marked, federation, weights, plan.model, tmp_path)
    assert len(received) > 20
    everything = b"\n".join(received)
    for mark in (PATIENT_MARK.encode(), FILE_MARK.encode(), PIXEL_MARK):
        assert mark not in everything
    for number in (PICTURES, PATIENTS):
        assert not re.search(rb"(?<![\w.])%d(?![\w.])" % number, _texts(received))


def _a_refused_round(clinic: Any, study: Study) -> None:
    digest = clinic.routes.put_blob(b"these are no weights")
    with pytest.raises(InputRefused):
        clinic.ask("pictures", study.requests["clinic"], Ticket(0, digest))


def _a_killed_run(marked: Hospital, clinic: Any, federation: Federation, folder: Path) -> None:
    from datasites.training.models import initial_weights

    plan = small_plan(federation, study="canary-killed", steps_per_round=400, rounds=1)
    study = Study.submit(federation, plan, folder / "killed")
    marked.admin("approve", study.requests["clinic"].request_id)
    digest = clinic.routes.put_blob(canonical_bytes(initial_weights(plan.model, 0)))
    request = study.requests["clinic"]
    run = clinic.ask("pictures", request, Ticket(0, digest)).run
    started = wait_for(lambda: [e for e in marked.events("run started") if e["run"] == run])
    os.kill(started[0]["pid"], signal.SIGKILL)
    assert wait_for(lambda: clinic.routes.run(request.request_id, 0).state == "failed")


def _releases(marked: Hospital, federation: Federation, weights: Any, model: Any, folder: Path) -> None:
    privacy = ReleaseSpec(noise_multiplier=40.0, delta=1e-5, unit="patient")
    evaluation = EvaluationPlan("canary", "pictures", model, 1, privacy, score_bins=10)
    statistics = StatisticsPlan("canary", "pictures", (16, 16, 1), 2, privacy)
    for plan, given in ((evaluation, weights), (statistics, None)):
        request = CountRequest.submit(federation, plan, folder / plan.kind)
        marked.admin("approve", request.requests["clinic"].request_id)
        released = request.collect(given)
        assert {name: array.shape for name, array in released.arrays["clinic"].items()} == plan.outputs
        assert 0 < released.epsilon["clinic"] < 1
        total, _ = released.summed("confusion" if given else "class_counts")
        assert abs(total.sum() - PATIENTS) < 40 * 2 * 10  # one picture a patient, within the noise


def _texts(bodies: list[bytes]) -> bytes:
    """JSON bodies alone, without their length: a number may stand in that or in binary data by chance."""
    texts = b"\n".join(body for body in bodies if body.lstrip().startswith((b"{", b"[")))
    return re.sub(rb"'content-length': '\d+'", b"", texts)


def test_a_page_and_a_model_made_of_a_study_name_no_patient(marked: Hospital, hold_out: Any, tmp_path: Path) -> None:
    from rich.console import Console

    from researcher.terminal.training_session import train_study

    with Federation.connect(marked.credentials()) as federation:
        study = Study.submit(federation, small_plan(federation, study="page"), tmp_path)
        marked.admin("approve", study.requests["clinic"].request_id)
        train_study(study, hold_out, console=Console(quiet=True), min_clients=1, seed=0, out=tmp_path)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert PATIENT_MARK.encode() not in content and FILE_MARK.encode() not in content
            assert PIXEL_MARK not in content


def test_the_store_keeps_neither_patients_names_nor_file_names(marked: Hospital) -> None:
    for file in (marked.state / "store").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert PATIENT_MARK.encode() not in content and FILE_MARK.encode() not in content


def test_a_small_cohort_is_not_counted(hospitals: dict[str, Hospital], north_only: Federation, tmp_path: Path) -> None:
    hospitals["north"].admin("limits", "--set", "min_release_size=500")
    plan = StatisticsPlan("small", "pictures", (16, 16, 1), 2, ReleaseSpec(40.0, 1e-5))
    with pytest.raises(LimitExceeded, match="at least 500"):
        CountRequest.submit(north_only, plan, tmp_path)
    hospitals["north"].admin("limits", "--set", "min_release_size=100", "--reason", "the test is over")
