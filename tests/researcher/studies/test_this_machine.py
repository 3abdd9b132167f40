"""What goes wrong on the researcher's own machine: one sentence says what to do, and nothing is spent or used twice."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.fake_hospitals import FakeHospital, averaged, federation_of, requests_of
from support.hospitals import CLASSES, ENVIRONMENT, draw_pictures
from support.waiting import CEILING_SECONDS

from datasites.training.models import initial_weights
from policies.errors import ConfigError, DatasiteUnreachable
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from policies.terminal.entry import INTERRUPTED, NOTHING_BEGUN
from researcher.evaluation.hold_out import HoldOut
from researcher.held_folder import LOCK
from researcher.studies import remote_round
from researcher.studies.kept_plan import read_plan
from researcher.studies.retry_policy import Backoff, RetryPolicy
from researcher.studies.rounds import reaching
from researcher.studies.study import Study

SPEC = ModelSpec("linear", (16, 16, 1), 2)
PLAN = TrainingPlan("study", "d", SPEC, 4, 2, 0.2, 0.1, privacy=PrivacySpec(2.0, 1.0, 1e-5))
FIRST = initial_weights(SPEC, 0)
HOLD_OUT = HoldOut(*draw_pictures(20, seed=99), CLASSES)
SMALLER_THAN_AN_UPDATE = 1000


@pytest.fixture
def hospitals() -> list[FakeHospital]:
    return [FakeHospital(name, FIRST) for name in ("a", "b", "c")]


def study(folder: Path, hospitals: list[FakeHospital]) -> Study:
    return Study(federation_of(*hospitals), PLAN, requests_of(*hospitals), folder)


def run(made: Study, **more: Any) -> tuple[Any, Any]:
    policy = RetryPolicy(unreachable_seconds=0.0)
    return made.run(hold_out=HOLD_OUT, initial_weights=FIRST, min_clients=2, retry_policy=policy, **more)


def check(state: Any, history: Any, hospitals: list[FakeHospital]) -> None:
    """The model is the mean of the updates that the history names, and nothing was charged or trained twice."""
    expected = averaged(FIRST, history.records)
    assert state.round == len(history) == PLAN.rounds
    assert all(np.allclose(expected[key], state.weights[key], atol=1e-5) for key in FIRST)
    for one in hospitals:
        assert set(one.charged.values()) | set(one.trained.values()) <= {1}


# --- no room ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file takes more than some bytes, as on a full disk."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALLER_THAN_AN_UPDATE, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_folder_of_temporary_files_is_named_and_no_hospital_is_left_out_for_it(
    tmp_path: Path, hospitals: list[FakeHospital], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = study(tmp_path, hospitals)
    with monkeypatch.context() as within:
        within.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(ConfigError, match=r"in .*gone.* back \(No such file or directory\)\. Look at that disk"):
            run(made)
    with pytest.MonkeyPatch.context() as within:
        within.setattr(tempfile, "tempdir", str(tmp_path))
        request.getfixturevalue("no_room")
        with pytest.raises(ConfigError, match=rf"in {tmp_path} here \(File too large\)\. Make room there, or name"):
            run(made)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
        state, history = run(made)
    check(state, history, hospitals)
    assert all(record.datasites == ("a", "b", "c") for record in history.records)


def test_what_killed_processes_left_half_written_goes_with_the_next_round(
    tmp_path: Path, hospitals: list[FakeHospital]
) -> None:
    for name in (".round-00001-0123456789ab.safetensors.99.part", ".state.json.99.part"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".model.onnx.99.part").write_bytes(b"another command's")
    run(study(tmp_path, hospitals), rounds=1)
    assert [one.name for one in tmp_path.glob(".*.part")] == [".model.onnx.99.part"]


# --- damaged ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["state.json", "round-*.safetensors"])
@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: bytes(len(content)), lambda content: b""],
)
def test_a_damaged_state_says_how_the_study_goes_on_and_it_does_without_charging_anything_again(
    tmp_path: Path, hospitals: list[FakeHospital], file: str, damage: Callable[[bytes], bytes]
) -> None:
    before, _ = run(study(tmp_path, hospitals), rounds=3)
    (found,) = tmp_path.glob(file)
    found.write_bytes(damage(found.read_bytes()))
    with pytest.raises(ConfigError, match=r"move state\.json elsewhere and run the study again"):
        run(study(tmp_path, hospitals))
    (tmp_path / "state.json").rename(tmp_path / "elsewhere.json")
    again, _ = run(study(tmp_path, hospitals), rounds=3)
    assert all(np.array_equal(before.weights[key], again.weights[key]) for key in FIRST)
    check(*run(study(tmp_path, hospitals)), hospitals)


def test_a_changed_bit_of_the_weights_is_noticed(tmp_path: Path, hospitals: list[FakeHospital]) -> None:
    run(study(tmp_path, hospitals), rounds=1)
    (found,) = tmp_path.glob("round-*")
    content = bytearray(found.read_bytes())
    content[-1] ^= 1
    found.write_bytes(content)
    with pytest.raises(ConfigError, match="is not the file that was saved"):
        run(study(tmp_path, hospitals))


def test_rounds_that_hospitals_charged_with_other_weights_are_given_up_and_the_study_goes_on(
    tmp_path: Path, hospitals: list[FakeHospital]
) -> None:
    """One was away in the first round; begun anew, the study has it there too, and every later round is another."""
    hospitals[2].away = True
    run(study(tmp_path, hospitals), rounds=1)
    hospitals[2].away = False
    run(study(tmp_path, hospitals), rounds=2)
    (tmp_path / "state.json").unlink()
    state, history = run(study(tmp_path, hospitals))
    assert [len(record.datasites) for record in history.records] == [3, 0, 3, 3]
    assert all("other weights" in history.records[1].skipped[one.name] for one in hospitals)
    check(state, history, hospitals)


def test_rounds_whose_study_is_gone_are_not_submitted_again(tmp_path: Path, hospitals: list[FakeHospital]) -> None:
    run(study(tmp_path, hospitals), rounds=1)
    (tmp_path / "study.json").unlink()
    there: Any = None  # nobody is asked
    with pytest.raises(ConfigError, match=r"study\.json, which names its requests, is gone"):
        Study.submit(there, PLAN, tmp_path)


def test_a_study_that_may_not_be_read_is_not_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "study.json").mkdir()  # as little to be read as another's file, also by root
    for take_up in (lambda: read_plan(tmp_path), lambda: Study.load(federation_of(), tmp_path)):
        with pytest.raises(ConfigError, match=r"study\.json cannot be read .*Ask whose folder it is"):
            take_up()
    for take_up in (lambda: read_plan(tmp_path / "none"), lambda: Study.load(federation_of(), tmp_path / "none")):
        with pytest.raises(ConfigError, match="holds no study"):
            take_up()


# --- two at once -----------------------------------------------------------------------------------------------------


def test_a_study_that_runs_already_is_not_run_beside_itself(tmp_path: Path) -> None:
    at_work = threading.Event()
    hospitals = [FakeHospital("a", FIRST, {1: at_work}), FakeHospital("b", FIRST)]
    met = list[str]()

    def meanwhile(record: Any) -> None:
        if record.round == 1:
            with pytest.raises(ConfigError) as refused:
                run(study(tmp_path, hospitals))
            met.append(refused.value.public)
            at_work.set()

    state, history = run(study(tmp_path, hospitals), on_round=meanwhile)
    assert len(met) == 1 and met[0].startswith(f"Process {os.getpid()} works on the study in {tmp_path} now.")
    check(state, history, hospitals)
    assert not (tmp_path / LOCK).exists()


def test_a_lock_that_a_killed_process_left_keeps_nobody_out(tmp_path: Path, hospitals: list[FakeHospital]) -> None:
    (tmp_path / LOCK).touch()
    check(*run(study(tmp_path, hospitals)), hospitals)


def test_where_a_file_system_knows_no_locks_a_study_runs(
    tmp_path: Path, hospitals: list[FakeHospital], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import fcntl

    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    check(*run(study(tmp_path, hospitals)), hospitals)


# --- stopped ---------------------------------------------------------------------------------------------------------


def test_a_process_that_was_stopped_for_long_tries_a_broken_line_again(
    hospitals: list[FakeHospital], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, tries = [0.0], list[float]()
    monkeypatch.setattr(reaching, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(Backoff, "pause", lambda self, stopping: clock.__setitem__(0, clock[0] + 5.0))

    def ask(fails: int) -> int:
        tries.append(clock[0])
        if len(tries) == 1:
            clock[0] += 3600.0  # stopped within the first try
        if len(tries) <= fails:
            raise DatasiteUnreachable("The line is broken.")
        return len(tries)

    stopping, policy = threading.Event(), RetryPolicy(unreachable_seconds=60.0)
    request = requests_of(*hospitals)["a"]
    there: Any = hospitals[0]
    part = remote_round.RemoteRound(there, "d", request, PLAN, 0, policy, stopping, lambda event: None)
    assert part._reaching(lambda: ask(3)) == 4
    tries.clear()
    with pytest.raises(DatasiteUnreachable):
        part._reaching(lambda: ask(1000))
    assert len(tries) == 1 + 60 / 5


def test_a_second_interrupt_ends_a_command_at_once_and_says_nothing_more(tmp_path: Path) -> None:
    """The first leaves a thread behind that waits for a hospital."""
    program = (
        "import sys, threading, time\n"
        "from researcher.cli import program\n"
        "threading.Thread(target=time.sleep, args=(3600,)).start()\n"
        "def interrupted(*_): raise KeyboardInterrupt\n"
        "program.run = interrupted\n"
        "sys.exit(program.main())\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(CEILING_SECONDS) == INTERRUPTED
    assert told == f"{NOTHING_BEGUN}\n" and not rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_by_the_system_ends_as_an_interrupted_one(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Its temporary files go, as what it had begun is ended in good order."""
    program = (
        "import signal, sys, tempfile, time\n"
        "from researcher.cli import program\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # whoever runs the tests may have been told to ignore it
        "def works(*_):\n"
        "    with tempfile.TemporaryDirectory():\n"
        "        print('at work', flush=True)\n"
        "        time.sleep(3600)\n"
        "program.run = works\n"
        "sys.exit(program.main())\n"
    )
    command, pipe, environment = [sys.executable, "-c", program], subprocess.PIPE, {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**ENVIRONMENT, **environment}) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() and len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        told = process.stderr.read()
        assert process.wait(CEILING_SECONDS) == INTERRUPTED
    assert told == f"{NOTHING_BEGUN}\n" and not list(tmp_path.iterdir())
