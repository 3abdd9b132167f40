"""Hostile code in the real fork server and sandbox, as root and as an ordinary account: none of it gets anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.hospitals import ENVIRONMENT, PROJECT
from support.hostile import ATTACKS, CANARY
from support.waiting import CEILING_SECONDS

from datasites.runs.sandbox.confinement import sandbox_report
from datasites.runs.sandbox.limits import NICENESS, give_way
from policies.errors import RunCancelled, RunFailed

LACKING = [piece for piece in sandbox_report() if piece.required and not piece.present]
NOBODY = 54_321
REFUSED = {"EACCES", "EPERM", "ENOSYS", "EINVAL"}  # the last: an account that does not exist there

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {LACKING}")


# Not root, but still allowed to read the interpreter, wherever it lies. The sandbox takes that away too.
AS_ANOTHER = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


@pytest.fixture(scope="module", params=["as it is", "as another account"])
def outcome(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What came of all attacks, by whoever runs the tests and, if that is root, by an ordinary account."""
    another = request.param == "as another account"
    if another and (os.geteuid() != 0 or shutil.which("setpriv") is None):
        pytest.skip("taking another account needs root and setpriv")
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        if another:
            os.chown(folder, NOBODY, NOBODY)
        program = [sys.executable, str(PROJECT / "tests" / "support" / "attacks.py"), str(folder)]
        command = [*AS_ANOTHER, *program] if another else program
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=CEILING_SECONDS)
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout)
    finally:
        shutil.rmtree(folder)


def _got(outcome: dict[str, Any], name: str) -> Any:
    return outcome["attacks"][name]["result"]["got"]


def test_a_run_uses_what_it_was_given(outcome: dict[str, Any]) -> None:
    assert _got(outcome, "use_what_is_given") == [1, 60]
    assert outcome["attacks"]["use_what_is_given"]["shares"] == [0.5]


@pytest.mark.parametrize(
    ("name", "tries"),
    [
        ("read", 10),
        ("list_folders", 6),
        ("change", 15),
        ("reach_out", 5),
        ("touch_processes", 16),
        ("start_processes", 4),
        ("undo_the_sandbox", 10),
    ],
)
def test_each_try_is_refused(outcome: dict[str, Any], name: str, tries: int) -> None:
    for process in ("", "worker: "):
        answers = _got(outcome, process + name)
        assert len(answers) == tries
        assert {what: answer for what, answer in answers.items() if answer not in REFUSED} == {}


def test_nothing_was_changed_made_or_reached_outside(outcome: dict[str, Any]) -> None:
    assert outcome["untouched"]
    assert outcome["heard"] == []
    assert not Path("/tmp/escaped-from-a-run").exists()
    assert not Path("/dev/shm/escaped-from-a-run").exists()
    assert all(came["made"] == ["update"] for came in outcome["attacks"].values())


def test_a_run_has_no_secrets_around_it_and_writes_to_two_places(outcome: dict[str, Any]) -> None:
    around = _got(outcome, "look_around")
    assert set(around["environment"]) <= {
        "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HOME", "LANG",
    }  # fmt: skip
    assert around["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    kinds = [around["files"][str(descriptor)] for descriptor in around["writable"]]
    character_device, pipe, file = "0o2", "0o1", "0o10"
    assert kinds == [character_device] * 3 + [pipe, file]
    assert around["pid"] == 1


def test_a_run_and_its_second_process_leave_the_processors_to_the_datasite(outcome: dict[str, Any]) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for process in ("", "worker: "):
        assert _got(outcome, process + "look_around")["niceness"] == min(own + NICENESS, 19)


def test_a_session_that_cannot_be_told_now_is_told_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    nice: list[int] = []
    told: list[str] = []
    monkeypatch.setattr(os, "nice", nice.append)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def session(*, busy: int, divided: bool = True) -> Any:
        answers = iter([*[BlockingIOError] * busy, None])

        def write(text: str) -> None:
            if (refusal := next(answers)) is not None:
                raise refusal
            told.append(text)

        return SimpleNamespace(exists=lambda: divided, write_text=write)

    give_way(own_session=session(busy=0, divided=False))
    assert (nice, told) == ([NICENESS], [])
    give_way(own_session=session(busy=19))
    assert told == [str(NICENESS)]
    with pytest.raises(BlockingIOError):
        give_way(own_session=session(busy=20))


def test_a_runs_second_process_writes_to_the_first_alone_and_has_neither_result_nor_progress(
    outcome: dict[str, Any],
) -> None:
    around, first = _got(outcome, "worker: look_around"), _got(outcome, "look_around")
    kinds = [around["files"][str(descriptor)] for descriptor in around["writable"]]
    character_device, pipe = "0o2", "0o1"
    assert kinds == [character_device] * 3 + [pipe]
    assert around["environment"] == first["environment"]
    assert (around["uid"] == 0, around["pid"]) == (False, 2)
    assert outcome["attacks"]["worker: fill_the_disk"]["bytes"] < 1 << 16
    assert outcome["attacks"]["worker: sleep"]["shares"] == []


def test_a_run_has_an_account_of_its_own_where_the_datasite_is_roots(outcome: dict[str, Any]) -> None:
    uid = _got(outcome, "look_around")["uid"]
    assert uid != 0
    assert (uid != outcome["uid"]) == (outcome["uid"] == 0)


@pytest.mark.parametrize("name", ["fork_without_end", "become_a_daemon", "worker: fork_without_end"])
def test_no_process_is_started(outcome: dict[str, Any], name: str) -> None:
    assert outcome["attacks"][name]["result"] == {"refused": "EPERM"}


def test_threads_end_at_the_limit(outcome: dict[str, Any]) -> None:
    assert _got(outcome, "start_threads_without_end") < 40


def test_memory_ends_at_the_limit(outcome: dict[str, Any]) -> None:
    assert "MemoryError" in outcome["attacks"]["fill_memory"]["private"]
    assert outcome["attacks"]["fill_shared_memory"]["result"] == {"refused": "ENOMEM"}


def test_the_disk_takes_no_more_than_the_limit(outcome: dict[str, Any]) -> None:
    assert outcome["attacks"]["fill_the_disk"]["bytes"] == 4 << 20
    assert outcome["attacks"]["fill_the_disk"]["code"] == RunFailed.code


def test_processor_time_and_wall_clock_end(outcome: dict[str, Any]) -> None:
    assert outcome["attacks"]["spin"]["code"] == RunFailed.code
    assert "2 seconds" in outcome["attacks"]["sleep beyond the wall clock"]["public"]


def test_a_cancelled_run_ends(outcome: dict[str, Any]) -> None:
    assert outcome["attacks"]["sleep"]["code"] == RunCancelled.code


def test_every_runner_is_gone_when_its_run_ends(outcome: dict[str, Any]) -> None:
    assert set(outcome["attacks"]) >= set(ATTACKS)
    assert all(came["gone"] for came in outcome["attacks"].values())


@pytest.mark.parametrize("name", ["print_data", "raise_data", "say_data"])
@pytest.mark.parametrize("process", ["", "worker: "])
def test_what_is_printed_raised_or_told_reaches_nobody(outcome: dict[str, Any], process: str, name: str) -> None:
    came = outcome["attacks"][process + name]
    assert CANARY not in came.get("public", "") + came.get("private", "")
    assert came["shares"] == []
    assert CANARY not in outcome["log"]


def test_the_researcher_reads_the_same_whatever_went_wrong(outcome: dict[str, Any]) -> None:
    failed = ("raise_data", "fill_memory", "fill_the_disk", "spin", "worker: raise_data", "worker: say_data")
    assert len({outcome["attacks"][name]["public"] for name in failed}) == 1
    assert "ValueError" in outcome["attacks"]["raise_data"]["private"]
    assert "another of its processes: ValueError" in outcome["attacks"]["worker: raise_data"]["private"]


def test_an_early_end_leaves_no_more_than_what_was_written(outcome: dict[str, Any]) -> None:
    # "done" and a line's end: what the attack itself puts into its result, if it gets so far before it is ended.
    assert outcome["attacks"]["pretend_to_be_done"]["bytes"] in (0, 5)


def test_the_fork_server_goes_on(outcome: dict[str, Any]) -> None:
    assert _got(outcome, "after all") == [1, 60]
