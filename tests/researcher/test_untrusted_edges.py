"""A hostile text in every field that hospitals send a researcher: terminal, report, files. Nothing is obeyed."""

from __future__ import annotations

import io
import json
import re
import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from support.hostile_texts import HOSTILE, PLAIN, raw_in

from policies import errors
from policies.answers.hospital import BudgetAnswer, HospitalAnswer
from policies.answers.rehearsals import RehearsalAnswer
from policies.answers.requests import RequestAnswer
from policies.errors import ConfigError, FederationError, PlanError
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.terminal.rich_terminal import PlainConsole
from policies.versions import packages
from researcher import weights_file
from researcher.counts.intervals import Interval
from researcher.counts.noised_findings import NoisedFinding, NoisedFindings
from researcher.counts.noised_metrics import NoisedAuroc, NoisedMetrics
from researcher.counts.noised_statistics import ClassStatistics, FindingCounts
from researcher.hospitals.credentials import Credentials
from researcher.studies.history import History, PrivacySpent, RoundRecord
from researcher.studies.taking_part.canary_end import CanaryEnd
from researcher.terminal import tables
from researcher.weights_file import WeightsFile

with warnings.catch_warnings():  # what matplotlib and PySyft call by old names
    warnings.simplefilter("ignore")
    from researcher.cli import studies
    from researcher.hospitals.check import DatasetCheck, HospitalCheck
    from researcher.hospitals.code_requests import CodeRequest
    from researcher.hospitals.connections import connecting
    from researcher.hospitals.connections.answered_errors import raise_answer
    from researcher.hospitals.connections.answers import read_answer
    from researcher.hospitals.datasite_client import DatasiteClient
    from researcher.hospitals.hospital import DatasetInfo, Hospital
    from researcher.reports import StudyResult, write_page
    from researcher.reports.drawing import short
    from researcher.studies.remote_round import RoundEvent
    from researcher.studies.submission import Submission
    from researcher.terminal.progress import RoundDisplay

ALL = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
SECONDS = {"queue": 1.0, "transfer": 2.0, "train": 5.0, "aggregate": 0.5, "total": 10.0}
PLAN = TrainingPlan(
    study="cells",
    dataset="smears",
    model=ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 16}),
    rounds=3,
    steps_per_round=4,
    sample_rate=0.125,
    learning_rate=0.5,
    privacy=PrivacySpec(1.5, 1.0, 1e-5),
)
INFO: dict = {
    "datasite": "north",
    "versions": {"wanwu": "1.0"},
    "public_key": "0" * 64,
    "limits": {},
    "datasets": {"smears": {"class_names": ["良性", "bösartig"], "image_shape": [16, 16, 1], "unit": "picture"}},
}
INFO["datasets"]["smears"].update(public_size=100, name="smears", version=1)


def record(text: str) -> RoundRecord:
    return RoundRecord(1, (text,), 0.5, 0.5, ((1, 0), (0, 1)), SECONDS, 1, 1, {text: 1.0}, {text: text})


def printed(*things: Any) -> str:
    stream = io.StringIO()
    PlainConsole(file=stream, width=400, force_terminal=True).print(*things)
    stream.getvalue().encode()
    return stream.getvalue()


# --- terminal --------------------------------------------------------------------------------------------------------


@ALL
def test_no_table_of_the_researcher_obeys_a_text(text: str) -> None:
    interval = Interval(0.5, 0.4, 0.6)
    info = DatasetInfo(
        text,
        text,
        (text, text),
        (16, 16, 1),
        text,
        100,
        {"min_noise_multiplier": 1.0},
        label_kind=text,
        modality=text,
        terms_of_use=text,
    )
    budget = BudgetAnswer(epsilon_total=2.0, epsilon_left=1.0, delta=1e-5)
    found = DatasetCheck(text, (text,), (16, 16, 1), text, 100, 1.0, 2.0, 1e-5)
    well = HospitalCheck(text, text, reachable=True, datasets=(found,), warnings=(text,), versions={text: text})
    ill = HospitalCheck(text, text, reachable=False, problems=(text,))
    counted = ClassStatistics((interval, interval), (interval,), (interval,))
    scores = NoisedMetrics(interval, interval, (interval, interval), interval)
    of_findings = replace(counted, class_counts=(), finding_counts=(FindingCounts(interval, interval, interval),) * 2)
    told = NoisedFindings((NoisedFinding(*[interval] * 5),) * 2, interval)
    seen = printed(
        tables.catalog_table([(info, budget)]),
        tables.check_table([well, ill]),
        tables.statistics_table({text: counted}, (text, text), {text: 1.0}),
        tables.evaluation_table({text: (scores, NoisedAuroc((interval,), interval))}, (text, text), {text: 1.0}),
        tables.finding_statistics_table({text: of_findings}, (text, text), {text: 1.0}),
        tables.finding_evaluation_table({text: (told, NoisedAuroc((interval,) * 2, interval))}, (text, text), {}),
    )
    assert not raw_in(seen) and len(seen) < 150_000


@ALL
def test_the_progress_of_a_study_obeys_no_text(text: str) -> None:
    stream = io.StringIO()
    console = PlainConsole(file=stream, width=400, force_terminal=True)
    with RoundDisplay(console, [text], rounds=3, title=text) as display:
        display.on_event(RoundEvent(text, 0, text, text, text))
        display.on_event(RoundEvent(text, 0, "failed", text))
        display.on_round(record(text))
        display._progress.refresh()
    kept = re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).replace("\r", "")  # rich moves the cursor
    assert not raw_in(kept)


@ALL
def test_what_hospitals_decided_is_printed_and_obeys_nothing(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearsed = RehearsalAnswer("r", "failed", text, 1.0, 1, 1.0, 1.0, text, text, text)
    answers = SimpleNamespace(
        request=lambda request_id: RequestAnswer("r", text, text),
        rehearsal=lambda request_id: rehearsed,
        round_receipts={},
    )
    study = submission("north", routes=answers)
    monkeypatch.setattr(studies, "connect", lambda credentials, begun: nullcontext(study.federation))
    monkeypatch.setattr("researcher.studies.study.Study.load", lambda federation, folder: study)
    monkeypatch.setattr(study, "saved", lambda: None, raising=False)  # no round is done
    studies.status(credentials=(), out=Path("x"))
    assert not raw_in(capsys.readouterr().out)
    assert not raw_in("".join(sum(study.decisions().values(), ())), lines=False)


@ALL
def test_a_refusal_from_a_server_is_an_error_that_can_be_shown(text: str) -> None:
    with pytest.raises(errors.WanwuError) as refused:
        raise_answer(text, text)
    assert not raw_in(str(refused.value), lines=False)
    assert not raw_in(repr(refused.value), lines=False)  # what a notebook shows


@ALL
def test_a_version_that_a_server_states_is_warned_of_and_not_obeyed(text: str) -> None:
    here = packages.installed()
    there = {**here, "opacus": f"{here['opacus'].split('.')[0]}.{text}"}
    hospital: Any = SimpleNamespace(name="north", versions=there)
    with pytest.warns(UserWarning, match="north") as warned:
        connecting._check_versions(hospital)
    assert not raw_in(str(warned[0].message), lines=False)


# --- report ----------------------------------------------------------------------------------------------------------


@ALL
def test_a_report_obeys_no_text(text: str, tmp_path: Path) -> None:
    result = StudyResult(
        plan=PLAN,
        class_names=(text, "other"),
        parameters=10,
        public_sizes={text: 100},
        privacy={text: PrivacySpent(1.0, 1e-5, text)},
        history=History([record(text)]),
        versions={text: {text: text}},
        finished=text,
        canaries={text: CanaryEnd(False, text, text)},
    )
    plot = tmp_path / "accuracy.png"
    plot.write_bytes(b"\xff" * 40_000)
    page = write_page(tmp_path / "report.html", result, {"accuracy": plot}).read_text()
    assert not raw_in(page)
    assert "/" * 50_000 in page  # a picture is not cut
    assert "<script" not in page.lower() and "<b>" not in page
    assert len(short(text)) <= 16 and not raw_in(short(text), lines=False)


def test_a_report_shows_names_of_every_script(tmp_path: Path) -> None:
    name = PLAIN[0]
    result = StudyResult(PLAN, PLAIN[:2], 10, {name: 1}, {name: None}, History([record(name)]))
    page = write_page(tmp_path / "report.html", result, {}).read_text()
    assert all(one in page for one in PLAIN[:2])


# --- what is received ------------------------------------------------------------------------------------------------


def told(info: dict[str, Any]) -> HospitalAnswer:
    """What the researcher's side makes of an answer."""
    return read_answer(HospitalAnswer, info, "https://north.example.org")


def read(**changes: Any) -> Hospital:
    hospital = Hospital.__new__(Hospital)
    hospital.name = "north"
    hospital._read(told({**INFO, **changes}), "https://north.example.org")
    return hospital


def test_names_of_every_script_are_taken_from_a_hospital() -> None:
    assert read().datasets["smears"].class_names == ("良性", "bösartig")
    assert read(versions={"a": "\x1b"}).versions == {"a": "\\x1b"}


@ALL
def test_what_a_hospital_says_of_itself_is_taken_only_if_it_can_be_shown_and_be_a_files_name(text: str) -> None:
    smears = INFO["datasets"]["smears"]
    for changes in (
        {"datasite": text},
        {"public_key": text},
        {"datasets": {text: smears}},
        {"datasets": {"smears": {**smears, "unit": text}}},
        {"datasets": {"smears": {**smears, "image_shape": text}}},
        {"datasets": text},
        {"versions": text},
    ):
        with pytest.raises(FederationError) as refused:
            read(**changes)
        assert not raw_in(refused.value.public, lines=False)
    try:
        taken = read(datasets={"smears": {**smears, "class_names": ["a", text]}}).datasets["smears"]
        assert not raw_in("".join(taken.class_names), lines=False)
    except FederationError as error:
        assert not raw_in(error.public, lines=False)


def test_a_hospital_with_a_class_name_without_bound_is_refused() -> None:
    smears = {**INFO["datasets"]["smears"], "class_names": ["a", "x" * 65]}
    with pytest.raises(FederationError, match="class_names"):
        read(datasets={"smears": smears})


# --- files -----------------------------------------------------------------------------------------------------------


def credentials(**changes: str) -> dict[str, str]:
    parts = dict.fromkeys(("password", "authority", "certificate", "key"), "x")
    return {"datasite": "north", "url": "https://north.example.org", "email": "r@u.org", **parts, **changes}


@pytest.mark.parametrize("text", [*HOSTILE.values(), "", ".", "..", "North", "north ", "north/x"])
def test_a_credentials_file_with_a_datasite_that_is_no_name_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(json.dumps(credentials()))
    assert Credentials.from_file(file).datasite == "north"
    file.write_text(json.dumps(credentials(datasite=text)))
    with pytest.raises(ConfigError, match="datasite") as refused:
        Credentials.from_file(file)
    assert not raw_in(refused.value.public, lines=False)


def submission(name: str, **parts: Any) -> Submission[Any]:
    hospital = SimpleNamespace(public_key="0" * 64, **parts)
    federation: Any = SimpleNamespace(hospitals={name: hospital}, asked=lambda name, ask: ask(hospital))
    return Submission(federation, plan=PLAN, requests={name: CodeRequest("r", "f", "c")}, folder=Path("unused"))


def giving(receipt: str) -> Any:
    return SimpleNamespace(
        request=lambda request_id: RequestAnswer("r", "approved", ""),
        receipt=lambda request_id: receipt,
        round_receipts={},
    )


@pytest.mark.parametrize("name", [text for text in HOSTILE.values() if text not in ("+1", "-1")])
def test_receipts_are_written_into_their_folder_only(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "receipts"
    study = submission("north", routes=giving("{}"))
    assert [file.name for file in study.receipts(folder)] == ["north.receipt.json"]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError):
        submission(name, routes=giving("{}")).receipts(folder)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"7", b"[" * 100_000, b"9" * 5000], ids=range(6))
def test_an_answer_that_is_no_json_object_is_told_as_one(body: bytes, status: int) -> None:
    channel: Any = SimpleNamespace(
        datasite="north", url="https://north", request=lambda *_, **__: httpx.Response(status, content=body)
    )
    with pytest.raises(FederationError):
        DatasiteClient(channel, b"\1" * 32).info()


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if raw_in(text)])
def test_a_receipt_that_a_terminal_would_obey_is_not_taken(text: str) -> None:
    def answer(receipt: str) -> DatasiteClient:
        response = httpx.Response(200, content=json.dumps({"receipt": receipt}).encode())
        channel: Any = SimpleNamespace(
            datasite="north", url="https://north", request=lambda *arguments, **named: response
        )
        return DatasiteClient(channel, b"\1" * 32)

    clean = '{\n  "study": "良性"\n}\n'
    assert answer(clean).receipt("r") == clean
    with pytest.raises(FederationError, match="receipt"):
        answer(clean + text).receipt("r")


@ALL
def test_a_state_file_names_weights_in_its_own_folder_only(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        weights_file.read(tmp_path, WeightsFile(text, "0" * 64, {}))


@ALL
def test_no_hostile_text_becomes_a_plans_name(text: str) -> None:
    for change in ({"study": text}, {"dataset": text}):
        with pytest.raises(PlanError) as refused:
            replace(PLAN, **change)
        assert not raw_in(refused.value.public, lines=False) and len(refused.value.public) < 400
