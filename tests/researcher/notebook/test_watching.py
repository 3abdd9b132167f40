"""What a notebook shows while a study is waited for and run, and after it: nothing is obeyed, and nothing is lost."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.hospitals import CLASSES, draw_pictures
from support.hostile_texts import HOSTILE, raw_in
from support.notebooks import dataset, faults, federation, words

from policies.answers.hospital import BudgetAnswer
from policies.answers.requests import RequestAnswer
from policies.errors import ConfigError, FederationError, RequestDenied, SignInFailed, WanwuError
from policies.plans.training import TrainingPlan
from policies.terminal.rich_terminal import PlainConsole
from researcher.evaluation.hold_out import HoldOut
from researcher.notebook import progress
from researcher.notebook import study as notebook_study
from researcher.notebook.interruption import TOLD, StudyInterrupted
from researcher.notebook.progress import RoundBars
from researcher.notebook.status import HospitalStatus, StudyStatus
from researcher.notebook.study import Study
from researcher.strategies import ServerState
from researcher.studies import study as studies
from researcher.studies.history import History, RoundRecord
from researcher.studies.remote_round import RoundEvent
from researcher.studies.retry_policy import RetryPolicy
from researcher.terminal.progress import RoundDisplay

ALL = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
SMALL: dict[str, Any] = {"model": "linear", "num_rounds": 2, "sample_rate": 0.2, "noise_multiplier": 2.0}
SECONDS = {"queue": 0.0, "transfer": 1.0, "train": 2.0, "aggregate": 0.5, "total": 4.0}
HOLD_OUT = HoldOut(*draw_pictures(8, seed=3), CLASSES)


def a_round(number: int, name: str = "north", reason: str = "") -> RoundRecord:
    skipped = {f"{name}-other": reason} if reason else {}
    return RoundRecord(number, (name,), 0.75, 0.5, ((3, 1), (1, 3)), SECONDS, 10, 20, {name: number / 2}, skipped)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return federation().plan(**SMALL).submit(tmp_path / "study", min_clients=1, seed=7)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Rounds that happen at once; what they were given. `meanwhile` happens within them."""
    given: dict[str, Any] = {"unfetched": {}}

    def run(self: Study, **settings: Any) -> tuple[ServerState, History]:
        given.update(settings)
        history = History()
        for number in (1, 2)[: settings["rounds"]]:
            settings["on_event"](RoundEvent("north", number - 1, "done"))
            given.get("meanwhile", lambda: None)()
            history.append(a_round(number))
            settings["on_round"](history.records[-1])
        return ServerState({"w": np.zeros(2, np.float32)}, len(history), {}), history

    monkeypatch.setattr(studies.Study, "run", run)
    monkeypatch.setattr(
        notebook_study, "write_all", lambda folder, *_: given.update(written=folder) or given["unfetched"]
    )
    monkeypatch.setattr(notebook_study, "result_of", lambda *_: None)
    return given


# --- running ---------------------------------------------------------------------------------------------------------


def test_a_study_runs_with_what_it_was_submitted_with_and_writes_all_after_its_last_round(
    study: Study, rounds: dict[str, Any]
) -> None:
    state, history = study.run(hold_out=HOLD_OUT, rounds=1)
    assert (state.round, len(history)) == (1, 1) and "written" not in rounds
    done = study.run(hold_out=HOLD_OUT)
    assert rounds["min_clients"] == 1 and rounds["written"] == study.folder
    assert done.state.round == 2 and not list(faults(done._repr_html_()))
    first = rounds["initial_weights"]()
    assert all(
        np.array_equal(first[name], array) for name, array in notebook_study.first_weights(study.plan, 7).items()
    )


def test_a_receipt_that_could_not_be_fetched_is_named_and_the_study_is_done(
    study: Study, rounds: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rounds["unfetched"] = {"south": FederationError("It does not answer.")}
    assert study.run(hold_out=HOLD_OUT).state.round == 2
    assert "south: its receipt was not fetched" in capsys.readouterr().out


def test_a_study_without_a_hold_out_asks_for_one(study: Study, rounds: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"study.run\(hold_out=...\)"):
        study.run()


def test_a_call_within_a_running_event_loop_works(study: Study, rounds: dict[str, Any]) -> None:
    async def cell() -> tuple[StudyStatus, int]:
        assert study.wait(poll_seconds=0.01).decisions == {"north": "approved", "south": "approved"}
        return study.status(), study.run(hold_out=HOLD_OUT).state.round

    status, done = asyncio.run(cell())
    assert done == 2 and status.rounds == 2


class Kept:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self, plan: TrainingPlan) -> None:
        self.told.append(plan)

    def round(self, record: RoundRecord) -> None:
        self.told.append(record.round)

    def end(self) -> None:
        self.told.append("end")


def _stop() -> None:
    raise KeyboardInterrupt


def _fail() -> None:
    raise FederationError("Too few.")


@pytest.mark.parametrize(("happens", "raised"), [(_stop, StudyInterrupted), (_fail, FederationError)])
def test_trackers_are_told_of_each_round_and_closed_whatever_happens(
    study: Study, rounds: dict[str, Any], happens: Callable[[], None], raised: type[BaseException]
) -> None:
    kept, told = Kept(), list[RoundRecord]()
    study.run(hold_out=HOLD_OUT, trackers=[kept], on_round=told.append)
    assert kept.told == [study.plan, 1, 2, "end"] and [one.round for one in told] == [1, 2]
    rounds["meanwhile"], kept.told = happens, []
    with pytest.raises(raised) as stopped:
        study.run(hold_out=HOLD_OUT, trackers=[kept])
    assert kept.told == [study.plan, "end"]
    if raised is StudyInterrupted:
        assert stopped.value._render_traceback_() == [TOLD]  # type: ignore[attr-defined]


def test_waiting_says_who_decided_and_is_stopped_in_one_line(
    study: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pending, approved = RequestAnswer("r", "pending", ""), RequestAnswer("r", "approved", "")
    routes: Any = study.federation.hospitals["north"].routes
    routes.answers = [pending, approved]
    study.wait(poll_seconds=0.01)
    told = capsys.readouterr().out
    assert "north: pending; south: approved" in told and "north: approved; south: approved" in told
    monkeypatch.setattr(studies.Study, "wait_for_decisions", lambda *_, **__: _stop())
    with pytest.raises(StudyInterrupted):
        study.wait()


def test_waiting_ends_once_enough_approved_and_says_at_once_what_cannot_be_met(study: Study) -> None:
    north, south = (study.federation.hospitals[name].routes for name in ("north", "south"))
    north.answers = [RequestAnswer("r", "pending", "")]  # type: ignore[attr-defined]
    patient = RetryPolicy(grace_seconds=0.0)
    status = study.wait(retry_policy=patient, poll_seconds=0.01)
    assert status.decisions == {"north": "pending", "south": "approved"}, "min_clients of the submission is 1"
    south.answers = [RequestAnswer("r", "denied", "No.")]  # type: ignore[attr-defined]
    with pytest.raises(RequestDenied, match="min_clients is 2"):
        study.wait(min_clients=2, retry_policy=patient, poll_seconds=0.01)


# --- standing --------------------------------------------------------------------------------------------------------


def test_a_hospital_that_is_out_of_reach_is_told_as_that_and_ends_nothing(study: Study) -> None:
    routes: Any = study.federation.hospitals["south"].routes
    routes.reachable = False
    status = study.status()
    assert status.decisions == {"north": "approved", "south": "unreachable"}
    shown = study._repr_html_()
    assert not list(faults(shown))
    for told in ("✓ approved", "✗ unreachable", "WW705", "6.00 of 8", "0 of 2 rounds done"):
        assert told in words(shown)
    assert "south" in repr(study) and "unreachable" in repr(status)


def test_who_took_no_request_and_who_takes_no_question_are_told_as_refused(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.refused = {"west": "WW304: Too many steps."}

    def request(request_id: str) -> RequestAnswer:
        raise SignInFailed("Not with this account.")

    monkeypatch.setattr(study.federation.hospitals["south"].routes, "request", request)
    status = study.status()
    assert status.decisions == {"north": "approved", "south": "refused", "west": "refused"}
    assert "  west: refused: WW304: Too many steps." in repr(status).splitlines()
    for told in ("west", "WW304: Too many steps.", f"{SignInFailed.code}: Not with this account."):
        assert told in words(status._repr_html_())


def test_what_the_times_of_rehearsals_rest_on_is_told_once_for_all_that_say_the_same() -> None:
    times, rests_on = "passed, about 4.6 s a round and 28 s in all", "on two processors"
    parts = [HospitalStatus(name, "r", "approved", rehearsal=times, times_rest_on=rests_on) for name in ("a", "b")]
    told = words(StudyStatus("study", 2, (*parts, HospitalStatus("c", "r", "approved")))._repr_html_())
    assert told.count(times) == 2 and told.count(rests_on) == 1
    assert "These are the hospitals' own estimates, on two processors." in told
    other = HospitalStatus("d", "r", "approved", rehearsal=times, times_rest_on="on one GPU")
    told = words(StudyStatus("study", 2, (*parts, other))._repr_html_())
    assert "Those at a, b are the hospitals' own estimates, on two processors." in told
    assert "Those at d are the hospitals' own estimates, on one GPU." in told


@ALL
def test_nothing_that_a_hospital_says_is_obeyed_by_a_notebook(text: str) -> None:
    name = text[:50]
    asked = federation(
        dataset(name, name=name, class_names=(text, "b"), modality=text, terms_of_use=text), dataset("b")
    )
    asked.hospitals[name].routes.url = text  # type: ignore[attr-defined]
    asked.hospitals[name].versions = {"wanwu": text}
    history = History([a_round(1, name, text), a_round(2, name, text)])
    part = HospitalStatus(name, text, text, text, 1, text, 0.5, BudgetAnswer(2.0, 1.0, 1e-5), text, text)
    for shown in (asked, asked.datasets(), StudyStatus(text, 2, (part,), history)):
        html = shown._repr_html_()
        assert list(faults(html)) == [] and raw_in(html) == []
        assert raw_in(repr(shown)) == []


# --- progress --------------------------------------------------------------------------------------------------------


def test_bars_show_what_each_hospital_is_doing_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with RoundBars(["north", "<b>"], rounds=4, done=1) as bars:
        bars.on_event(RoundEvent("north", 1, "running"))
        bars.on_event(RoundEvent("<b>", 1, "queued", queue_position=2))
        bars.on_event(RoundEvent("north", 1, "done"))
        bars.on_round(a_round(2))
    told = capsys.readouterr().err
    assert "north: update received" in told and "<b>: queued, 2 before" in told
    assert "rounds:  50%" in told and "accuracy 0.750" in told
    assert "<00:" in told, "the time left"


def test_who_is_left_out_of_a_round_is_not_shown_as_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["north", "south", "west"]
    record = replace(a_round(1), skipped={"south": "denied", "west": "late", "east": "refused"}, under_way={"west": 1})
    with RoundBars(names, rounds=2, done=0) as bars, RoundDisplay(PlainConsole(), names, rounds=2) as lines:
        for display in (bars, lines):
            display.on_event(RoundEvent("west", 0, "running"))
            display.on_round(record)
        states = {task.fields["name"]: task.fields["state"] for task in lines._progress.tasks}
    told = capsys.readouterr()
    assert "south: left out" in told.err and "west: left out" not in told.err
    assert (states["south"], states["west"]) == ("left out", "training")
    assert "without east: refused" in told.out


def test_a_kernel_gets_bars_and_a_terminal_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not progress.in_notebook()
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(progress.sys.modules, "IPython", kernel)
    shown = progress.round_display(["north"], rounds=2, done=0)
    with shown:
        assert isinstance(shown, RoundBars)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SignInFailed("Ask <b>them</b>."), StudyInterrupted(TOLD)], ids=["error", "stopped"])
def test_ipython_shows_an_error_as_one_sentence_with_its_code(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from IPython.core.interactiveshell import InteractiveShell

        shell: Any = InteractiveShell()
    shell.user_ns["error"] = error
    shell.run_cell("raise error", store_history=False)
    shell.history_manager.save_thread.stop()
    told = capsys.readouterr().out.strip()
    expected = f"{error.code}: {error.public}" if isinstance(error, WanwuError) else TOLD
    assert told == expected


def test_rounds_in_a_row_without_a_hospital_for_one_reason_are_told_in_one_line() -> None:
    reasons = ("denied: no", "denied: no", "unreachable: away")
    history = History([a_round(number, reason=reason) for number, reason in enumerate(reasons, 1)])
    told = [line for line in repr(StudyStatus("cells", 5, (), history)).splitlines() if "without" in line]
    assert told == [
        "rounds 1 to 2 without north-other: denied: no",
        "round 3 without north-other: unreachable: away",
    ]
