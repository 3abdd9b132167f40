"""The local part of a model stays at the hospital, goes on from round to round, and is that of the last completed one.

Models of five numbers, of which two stay: what each round begins with, leaves and keeps can be checked by hand.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.charged_rounds import ACCOUNT, PLAN, REQUEST, Datasite, Scripted, approval_of, make_datasite

from datasites.approvals.approval import Approval
from datasites.files.state_folder import StateFolder
from datasites.runs.expiry import Expiry
from datasites.runs.gpus import GpuLeases
from datasites.runs.local_parts.kept_parts import KEPT
from datasites.runs.processes.job import Job
from datasites.runs.turns import Turns
from policies.contracts.outputs import take_update
from policies.contracts.weights import canonical_bytes, read_weights
from policies.errors import DiskFull, OutputRefused, RequestAltered, RunFailed, RunLost, StorageUnavailable
from policies.plans.training import ModelSpec, ServerSpec, TrainingPlan

Weights = dict[str, np.ndarray]
SHARED, STAYS = {"convolution_1.bias": (3,)}, {"head.bias": (2,)}
SHAPES = {**SHARED, **STAYS}
CANARY = (0.123456789, -98765.4321)


def per_plan() -> TrainingPlan:
    return replace(PLAN, model=ModelSpec("small_cnn", (16, 16, 1), 2), server=ServerSpec("fed_per"))


def model(shared: tuple[float, ...], stays: tuple[float, ...]) -> Weights:
    return {"convolution_1.bias": np.array(shared, np.float32), "head.bias": np.array(stays, np.float32)}


@dataclass
class Trainer(Scripted):
    """Runs that write down what they began with, and change the model as a test says.

    Attributes:
        begins: What each run began with.
        change: What the next ones write.
    """

    begins: list[Weights] = field(default_factory=list)
    change: Weights = field(default_factory=lambda: model((1, 0, -1), (10, 20)))

    def execute(self, job: Job, **options: Any) -> None:
        self.begins.append(dict(read_weights(Path(job.weights).read_bytes(), SHAPES, max_bytes=1 << 20)))
        self.update = canonical_bytes(self.change)
        super().execute(job, **options)


def opened(folder: Path) -> Datasite:
    approval = approval_of(StateFolder(folder), per_plan(), SHAPES, SHARED)
    return make_datasite(folder, Trainer(), approval=approval)


@pytest.fixture
def datasite(tmp_path: Path) -> Iterator[Datasite]:
    made = opened(tmp_path / "north")
    yield made
    made.close()


def begun(datasite: Datasite) -> list[tuple[list[float], list[float]]]:
    """What each run began with: shared numbers, and those that stay."""
    return [(one["convolution_1.bias"].tolist(), one["head.bias"].tolist()) for one in datasite.fork_server.begins]


def ask_and_run(datasite: Datasite, index: int, shared: tuple[float, ...], stays: tuple[float, ...] = (7, 8)) -> None:
    datasite.ask_with(model(shared, stays), index)
    datasite.execute(index)
    assert datasite.run(index).state == "done", datasite.run(index).reason


def kept(datasite: Datasite) -> list[float] | None:
    """The local part that the next round would begin with."""
    last = datasite.supervisor.local_parts.last(REQUEST, STAYS)
    return None if last is None else [float(value) for value in last["head.bias"]]


def parts(datasite: Datasite) -> list[Path]:
    return sorted(datasite.supervisor.local_parts.of(REQUEST).iterdir())


def test_the_first_round_begins_with_what_came_in_and_the_later_ones_with_what_the_last_one_left(
    datasite: Datasite,
) -> None:
    ask_and_run(datasite, 0, (1, 2, 3), (7, 8))
    assert kept(datasite) == [17, 28]
    datasite.fork_server.change = model((0, 0, 0), (-1, -2))
    ask_and_run(datasite, 1, (2, 2, 2), (500, 500))
    ask_and_run(datasite, 3, (4, 4, 4), (500, 500))
    assert begun(datasite) == [([1, 2, 3], [7, 8]), ([2, 2, 2], [17, 28]), ([4, 4, 4], [16, 26])]
    assert kept(datasite) == [15, 24]
    assert len(parts(datasite)) == KEPT + 1  # the next round removes what none begins with any more


def test_only_the_shared_parameters_leave_and_their_file_is_a_function_of_them_alone(datasite: Datasite) -> None:
    ask_and_run(datasite, 0, (1, 2, 3))
    first = datasite.run(0).update_digest
    released = take_update(datasite.blobs.path(ACCOUNT, first), SHARED, max_bytes=1 << 20)
    assert {name: array.tolist() for name, array in released.items()} == {"convolution_1.bias": [1, 0, -1]}
    datasite.fork_server.change = model((1, 0, -1), CANARY)
    ask_and_run(datasite, 1, (1, 2, 3))
    assert datasite.run(1).update_digest == first  # to the last bit


def test_no_byte_of_the_local_part_is_anywhere_but_in_its_own_folder(datasite: Datasite, tmp_path: Path) -> None:
    datasite.fork_server.change = model((1, 0, -1), CANARY)
    ask_and_run(datasite, 0, (1, 2, 3), (0, 0))
    marks = [np.float32(value).tobytes() for value in CANARY]
    marks += [f"{value}".encode() for value in (*CANARY, *map(np.float32, CANARY))]
    holding = [
        file for file in tmp_path.rglob("*") if file.is_file() and any(mark in file.read_bytes() for mark in marks)
    ]
    assert holding == parts(datasite)
    told = repr(datasite.run(0).public())
    assert not any(mark.decode("latin-1") in told for mark in marks)


def test_its_folder_and_files_are_for_the_datasites_account_only(datasite: Datasite) -> None:
    ask_and_run(datasite, 0, (1, 2, 3))
    folder = datasite.supervisor.local_parts.of(REQUEST)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, *parts(datasite))] == [
        0o700,
        0o700,
        0o600,
    ]
    assert parts(datasite)[0].stat().st_size == len(canonical_bytes({"head.bias": np.zeros(2, np.float32)}))


# --- rounds that do not complete ----------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a kill: nothing of the datasite's own code sees it but what a `finally` does."""


def done_and_killed(owner: Any, name: str) -> Callable[..., Any]:
    whole = getattr(owner, name)

    def killed(*args: Any, **options: Any) -> Any:
        whole(*args, **options)
        raise Killed

    return killed


MOMENTS = {
    "charged": ("ledger", "start", True),
    "in training": ("fork_server", "during", True),
    "local part kept": ("supervisor._rounds", "run", True),
    "committed": ("ledger", "commit", False),
    "handed out": ("queue", "finish", False),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_each_round_counts_once_in_the_local_part_wherever_the_datasite_is_killed(
    tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, name, again = MOMENTS[moment]
    datasite = opened(tmp_path / "north")
    ask_and_run(datasite, 0, (1, 2, 3), (0, 0))
    datasite.ask_with(model((2, 2, 2), (0, 0)), 1)
    owner: Any = datasite
    for step in place.split("."):
        owner = getattr(owner, step)
    monkeypatch.setattr(owner, name, done_and_killed(owner, name))
    with pytest.raises(Killed):
        datasite.execute(1)
    monkeypatch.undo()
    datasite.fork_server.during = lambda cancelled, progress: None
    restarted = datasite.again()
    restarted.queue.recover()
    assert kept(restarted) == ([10, 20] if again else [20, 40])
    if restarted.run(1).state == "queued":
        restarted.execute(1)
    assert restarted.run(1).state == "done"
    assert kept(restarted) == [20, 40]
    assert {tuple(stays) for _, stays in begun(restarted)[1:]} == {(10, 20)}
    ask_and_run(restarted, 2, (3, 3, 3))
    assert kept(restarted) == [30, 60] and len(parts(restarted)) == KEPT + 1
    restarted.close()


@pytest.mark.parametrize("error", [RunFailed("It ended."), ValueError("a fault of this program")])
def test_a_lost_round_leaves_the_local_part_of_the_last_completed_one(datasite: Datasite, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    ask_and_run(datasite, 0, (1, 2, 3), (0, 0))
    datasite.fork_server.during = fail
    datasite.ask_with(model((2, 2, 2), (0, 0)), 1)
    datasite.execute(1)
    assert datasite.run(1).code == RunLost.code and kept(datasite) == [10, 20]
    datasite.fork_server.during = lambda cancelled, progress: None
    ask_and_run(datasite, 2, (3, 3, 3))
    assert begun(datasite)[-1][1] == [10, 20] and kept(datasite) == [20, 40]


def test_a_round_cancelled_once_its_part_is_on_the_disk_leaves_the_one_before(
    datasite: Datasite, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_and_run(datasite, 0, (1, 2, 3), (0, 0))
    datasite.ask_with(model((2, 2, 2), (0, 0)), 1)
    rounds = datasite.supervisor._rounds
    whole = rounds.run

    def run(*args: Any, **options: Any) -> str:
        digest = whole(*args, **options)
        datasite.cancel(1)
        return digest

    monkeypatch.setattr(rounds, "run", run)
    datasite.execute(1)
    assert datasite.run(1).state == "cancelled" and kept(datasite) == [10, 20]


RESULTS: dict[str, Weights] = {
    "without what stays": {"convolution_1.bias": np.zeros(3, np.float32)},
    "with one more": {**model((0, 0, 0), (0, 0)), "head.weight": np.zeros(1, np.float32)},
    "not finite in what stays": model((0, 0, 0), (np.nan, 0)),
    "too large for float32 once it is added": model((0, 0, 0), (3e38, 0)),
}


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_that_is_not_the_models_is_refused_whole_and_says_nothing_of_what_stays(
    datasite: Datasite, result: str
) -> None:
    ask_and_run(datasite, 0, (1, 2, 3), (3e38, 0))
    before = kept(datasite)
    datasite.fork_server.change = RESULTS[result]
    datasite.ask_with(model((2, 2, 2), (0, 0)), 1)
    datasite.execute(1)
    run = datasite.run(1)
    assert (run.state, run.code, run.update_digest) == ("failed", RunLost.code, "")
    assert OutputRefused.__name__ not in run.reason and "exactly the declared parameters" in run.reason
    assert kept(datasite) == before


# --- what is refused before anything is read ----------------------------------------------------------------------


def test_a_round_without_room_for_its_local_part_reads_nothing_and_costs_nothing(
    datasite: Datasite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasite.supervisor.local_parts, "_free_disk_bytes", 1 << 60)
    datasite.ask_with(model((1, 2, 3), (0, 0)))
    datasite.execute()
    assert (datasite.run().state, datasite.run().code) == ("failed", DiskFull.code)
    assert datasite.kinds == ["reserve"] and datasite.fork_server.began == []


@pytest.mark.parametrize("damage", ["gone", "torn", "of another model"])
def test_a_round_whose_local_part_is_not_there_any_more_is_refused_and_costs_nothing(
    datasite: Datasite, damage: str
) -> None:
    ask_and_run(datasite, 0, (1, 2, 3))
    (part,) = parts(datasite)
    contents = {"torn": part.read_bytes()[:-1], "of another model": canonical_bytes({"a": np.zeros(2, np.float32)})}
    part.unlink()
    if damage in contents:
        part.write_bytes(contents[damage])
    datasite.ask_with(model((2, 2, 2), (0, 0)), 1)
    entries = list(datasite.kinds)
    datasite.execute(1)
    run = datasite.run(1)
    assert (run.state, run.code) == ("failed", RequestAltered.code) and "submit the plan again" in run.reason
    assert datasite.kinds == entries and datasite.fork_server.began == [0]


@pytest.mark.parametrize("to_read", [False, True], ids=["opened", "read"])
def test_a_local_part_that_cannot_be_opened_or_read_now_is_there_once_it_can(
    datasite: Datasite, to_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_and_run(datasite, 0, (1, 2, 3))
    (part,) = parts(datasite)
    datasite.ask_with(model((2, 2, 2), (0, 0)), 1)
    entries, opened = list(datasite.kinds), os.open

    def refused(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path) == str(part):
            if to_read:
                return opened("/proc/self/mem", os.O_RDONLY)  # whose beginning the kernel does not give: EIO
            raise OSError(errno.EIO, "a private place")
        return opened(path, *arguments, **more)

    with monkeypatch.context() as broken:
        broken.setattr(os, "open", refused)
        datasite.execute(1)
    run = datasite.run(1)
    assert (run.state, run.code) == ("failed", StorageUnavailable.code) and "again later" in run.reason
    assert datasite.kinds == entries
    datasite.ask_with(model((2, 2, 2), (0, 0)), 1)
    datasite.execute(1)
    assert datasite.run(1).state == "done"


def test_an_older_copy_of_the_files_goes_on_from_the_newest_part_that_it_has(datasite: Datasite) -> None:
    ask_and_run(datasite, 0, (1, 2, 3), (0, 0))
    copy = parts(datasite)
    ask_and_run(datasite, 1, (2, 2, 2))
    for part in parts(datasite):
        if part not in copy:
            part.unlink()
    assert kept(datasite) == [10, 20]


# --- one after the other, and not for ever ------------------------------------------------------------------------


@pytest.mark.parametrize(("plan", "together"), [(per_plan(), False), (PLAN, True)], ids=["fed_per", "fed_avg"])
def test_rounds_of_a_request_run_one_after_the_other_where_a_part_stays(
    datasite: Datasite, plan: TrainingPlan, together: bool
) -> None:
    decision: Any = SimpleNamespace(decision="approved", approved_plan=plan)
    turns = Turns(datasite.queue, GpuLeases(()), lambda request_id: decision)
    for index in (0, 1):
        datasite.queue.enqueue(request_id=REQUEST, round_index=index, account=ACCOUNT, weights="w")
    first = turns.take()
    assert first and first[0].round == 0
    assert (turns.take() is not None) == together
    if not together:
        datasite.queue.finish(first[0].id, "d" * 64)
        second = turns.take()
        assert second and second[0].round == 1


def test_a_local_part_stays_as_long_as_its_study_and_no_longer(datasite: Datasite) -> None:
    ask_and_run(datasite, 0, (1, 2, 3))
    decisions = {"state": "approved"}
    approvals: Any = SimpleNamespace(of_request=lambda request_id: SimpleNamespace(decision=decisions["state"]))
    expiry = Expiry(datasite.blobs, datasite.queue, approvals, datasite.supervisor.local_parts)
    expiry.look()
    assert len(parts(datasite)) == 1
    decisions["state"] = "ended"
    expiry.look()
    assert not list(datasite.state.local_parts.iterdir())


def test_a_request_that_begins_while_the_others_are_looked_through_keeps_its_part(datasite: Datasite) -> None:
    parts_of = datasite.supervisor.local_parts

    def meanwhile() -> set[str]:
        ask_and_run(datasite, 0, (1, 2, 3))
        return set()

    assert parts_of.expire(meanwhile) == 0 and kept(datasite) == [17, 28]
    assert parts_of.expire(set) == 1


def test_another_request_begins_with_what_comes_in(datasite: Datasite) -> None:
    ask_and_run(datasite, 0, (1, 2, 3))
    assert datasite.supervisor.local_parts.last("request-1", STAYS) is None


def test_a_strategy_that_keeps_nothing_has_no_folder(tmp_path: Path) -> None:
    made = make_datasite(tmp_path / "north")
    made.ask()
    made.execute()
    assert made.run().state == "done" and not made.state.local_parts.exists()
    made.close()


def test_the_audit_log_and_the_receipts_books_name_no_number_of_it(datasite: Datasite) -> None:
    ask_and_run(datasite, 0, (1, 2, 3))
    plain = _events_of(datasite.state.audit)
    assert plain and all("local" not in json.dumps(event) for event in plain)


def _events_of(file: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_an_approval_of_the_same_shapes_without_the_strategy_lets_all_of_them_leave(tmp_path: Path) -> None:
    """What stays follows from the plan alone: without the strategy nothing is withheld."""
    approval = approval_of(StateFolder(tmp_path / "north"), replace(per_plan(), server=ServerSpec()), SHAPES, SHAPES)
    assert isinstance(approval, Approval)
    made = make_datasite(tmp_path / "north", Trainer(), approval=approval)
    ask_and_run(made, 0, (1, 2, 3))
    released = take_update(made.blobs.path(ACCOUNT, made.run(0).update_digest), SHAPES, max_bytes=1 << 20)
    assert released["head.bias"].tolist() == [10, 20] and not made.state.local_parts.exists()
    made.close()
    shutil.rmtree(tmp_path / "north")
