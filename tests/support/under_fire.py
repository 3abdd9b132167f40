"""Studies at real hospitals whose processes are killed at random moments, and what must hold after every kill.

Used by test_kills.py for a few kills, and run as a program by `make test-faults` for many:
`python tests/support/under_fire.py --hospitals 3 --kills 200 --seed 1`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from support.hospitals import (
    CLASSES,
    Hospital,
    draw_pictures,
    make_hospital,
    running,
    small_plan,
    write_pictures,
)
from support.waiting import CEILING_SECONDS, wait_for

from datasites.audit_log.chain import verify
from datasites.files.state_folder import StateFolder
from datasites.runs.queue import RunQueue
from datasites.state.kept_books import open_ledger, seal_of
from policies.answers.runs import CANARY
from policies.errors import DatasiteUnreachable

STEPS = 2


@dataclass
class Counts:
    """What happened.

    Attributes:
        datasites_killed: SIGKILLs of a datasite's process, at any moment of submission, approval, run and commit.
        runners_killed: SIGKILLs of a runner's process; a round that it had started is lost and stays charged.
        while_deciding: Kills of a datasite while an admin's approval was on its way.
        while_running: Kills of a datasite while it had a run queued or running.
        studies: Studies that were run to their end.
        rounds: Rounds that the studies went through.
        rounds_given_up: Rounds of those that a killed runner lost: charged, and without an update.
        rounds_lost: Rounds of the others that a hospital's ledger does not hold with an update.
        budget_mismatches: Studies that are charged other than one round for each of their rounds.
        orphans: Processes of a killed datasite that were still there thirty seconds later.
        wrong_models: Studies whose global model is not the mean of the updates that the ledgers name.
    """

    datasites_killed: int = 0
    runners_killed: int = 0
    while_deciding: int = 0
    while_running: int = 0
    studies: int = 0
    rounds: int = 0
    rounds_given_up: int = 0
    rounds_lost: int = 0
    budget_mismatches: int = 0
    orphans: int = 0
    wrong_models: int = 0


@dataclass
class Fire:
    """Kills what belongs to the hospitals until `kills` are done; every killed datasite is looked at and restarted."""

    hospitals: dict[str, Hospital]
    kills: int
    seed: int
    counts: Counts = field(default_factory=Counts)
    deciding: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None
    forked: bool = False
    restarts: list[float] = field(default_factory=lambda: [5.0])

    @property
    def killed(self) -> int:
        return self.counts.datasites_killed + self.counts.runners_killed

    @property
    def restart_seconds(self) -> float:
        """What a restart takes now: the least of the last three, as one may fall into a time when nothing goes on."""
        return min(self.restarts[-3:])

    @property
    def burning(self) -> bool:
        return self.failure is None and self.killed < self.kills

    def light(self) -> list[threading.Thread]:
        """Begins to kill, at every hospital by itself."""
        threads = [threading.Thread(target=self._burn, args=(name,), daemon=True) for name in self.hospitals]
        for thread in threads:
            thread.start()
        return threads

    def _burn(self, name: str) -> None:
        """Kills until enough is killed; a check that fails on the way ends it, and ends the study too."""
        hospital, moments = self.hospitals[name], random.Random(f"{self.seed} {name}")
        try:
            while self.burning:
                # In proportion to what a restart takes on this machine now: some of the time something gets done.
                time.sleep(moments.uniform(0.0, self.restart_seconds))
                if moments.random() < 0.65:
                    self._kill_a_runner(hospital)
                else:
                    self._kill_the_datasite(hospital)
        except BaseException as error:  # noqa: BLE001 - told to the thread that runs the study
            self.failure = error

    def again(self, ask: Callable[[], Any]) -> Any:
        """Asks until the hospitals answer, as a patient researcher would."""
        deadline = time.monotonic() + CEILING_SECONDS
        while True:
            if self.failure is not None:
                raise self.failure
            try:
                return ask()
            except DatasiteUnreachable:
                assert time.monotonic() < deadline, "a hospital did not come back"
                time.sleep(0.2)

    def _kill_a_runner(self, hospital: Hospital) -> None:
        """Kills the next runner that is seen, if there is one within some seconds."""
        for _ in range(100):
            started = hospital.events("run started")[-1:]
            if started and _is_python(started[0]["pid"]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(started[0]["pid"], signal.SIGKILL)
                    self.counts.runners_killed += 1
                return
            time.sleep(0.03)

    def _kill_the_datasite(self, hospital: Hospital) -> None:
        deciding = self.deciding.is_set()
        family = _family(hospital)
        hospital.stop(signal.SIGKILL)
        self.counts.datasites_killed += 1
        self.counts.while_deciding += deciding
        self.counts.while_running += check_state(hospital)
        self.counts.orphans += len(psutil.wait_procs(family, timeout=CEILING_SECONDS)[1])
        begun = time.monotonic()
        hospital.start(forked=self.forked)
        hospital.wait_until_ready()
        self.restarts.append(time.monotonic() - begun)


def _family(hospital: Hospital) -> list[psutil.Process]:
    """What a datasite has started, the fork server too where that was forked from another process than it."""
    assert hospital.process is not None
    logs = str((hospital.state / "logs").resolve())
    working = [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == logs]
    family = set(working)
    for one in (psutil.Process(hospital.process.pid), *working):
        with contextlib.suppress(psutil.NoSuchProcess):
            family |= set(one.children(recursive=True))
    return list(family)


def check_state(hospital: Hospital) -> bool:
    """Checks what a killed datasite left on disk; returns whether it had a run queued or running.

    Raises:
        AssertionError: A run is done whose round is not charged.
        WanwuError: The ledger or the audit log does not verify.
    """
    state = StateFolder(hospital.state)
    ledger = open_ledger(state)
    ledger.verify()
    verify(state.audit, seal_of(state))
    held = ledger.reservations()
    active = False
    for run in _runs(hospital):
        active = active or run["state"] in ("queued", "running")
        if run["state"] == "done" and run["round"] != CANARY:
            committed = held[run["request_id"]].committed
            assert committed[run["round"]].update_digest == run["update_digest"], "a done round is not charged"
    for reservation in held.values():
        charged = sum(part.steps for part in reservation.charged)
        assert charged >= STEPS * len(reservation.started), "less is charged than was spent"
        assert set(reservation.committed) <= set(reservation.started), "a round ended that was not charged"
    return active


def study_under_fire(federation: Any, fire: Fire, folder: Path, *, rounds: int) -> None:
    """Submits a study, has it approved, runs it to its end, all under fire, and checks what is left of it."""
    from datasites.training.models import initial_weights
    from researcher.evaluation.hold_out import HoldOut
    from researcher.studies.retry_policy import RetryPolicy

    plan = small_plan(federation, study="under-fire", rounds=rounds, steps_per_round=STEPS)
    plan = replace(plan, privacy=replace(plan.privacy, noise_multiplier=100.0))  # room for many studies
    study = _submitted_everywhere(federation, plan, fire, folder)
    fire.deciding.set()
    for hospital, request in study.requests.items():
        wait_for(lambda hospital=hospital, request=request: _approve(fire.hospitals[hospital], request))
    fire.deciding.clear()
    first = initial_weights(plan.model, 0)
    retry_policy = RetryPolicy(attempts=1000, unreachable_seconds=CEILING_SECONDS)
    hold_out = HoldOut(*draw_pictures(20, seed=99), CLASSES)
    state, history = study.run(
        hold_out=hold_out, initial_weights=first, retry_policy=retry_policy, min_clients=len(fire.hospitals)
    )
    if fire.failure is not None:
        raise fire.failure
    fire.counts.studies += 1
    fire.counts.rounds += len(history)
    _check_study(fire, study, history, first, state.weights)
    fire.again(study.end)


def _submitted_everywhere(federation: Any, plan: Any, fire: Fire, folder: Path) -> Any:
    """Submits to every hospital: where one was away, what the others took is withdrawn, and all are asked again."""
    from researcher.studies.study import Study

    attempt = 0
    while True:
        study = fire.again(lambda attempt=attempt: Study.submit(federation, plan, folder / str(attempt)))
        if not study.refused:
            return study
        assert all(reason.startswith(DatasiteUnreachable.code) for reason in study.refused.values()), study.refused
        study.withdraw(on_missing=lambda name, error: None)
        attempt += 1
        time.sleep(0.2)


def _approve(hospital: Hospital, request: Any) -> bool:
    """Approves as an admin would who looks again once the datasite is back, and repeats nothing that is decided.

    What stands in the books as approved has to run, however the datasite ended while it was decided on.
    """
    if _state(hospital, request) == "pending":
        hospital.admin("approve", request.request_id, check=False)
    return _state(hospital, request) == "approved"


def _state(hospital: Hospital, request: Any) -> str | None:
    """As the list of requests tells it; None while nobody answers."""
    shown = hospital.admin("requests", "--json", check=False)
    if shown.returncode != 0:
        return None
    return next((str(one["state"]) for one in json.loads(shown.stdout) if one["id"] == request.request_id), None)


def _check_study(
    fire: Fire, study: Any, history: Any, first: dict[str, np.ndarray], last: dict[str, np.ndarray]
) -> None:
    """Adds to the counts what is missing, wrongly charged or wrongly averaged, by the hospitals' own books."""
    from policies.contracts.weights_file import read_whole
    from policies.ledger.reservations import NOTHING_LEFT

    weights = {name: array.astype(np.float64) for name, array in first.items()}
    shapes = {name: array.shape for name, array in first.items()}
    sizes = {name: hospital.datasets["pictures"].public_size for name, hospital in study.federation.hospitals.items()}
    held = {
        name: open_ledger(StateFolder(hospital.state)).reservations()[study.requests[name].request_id]
        for name, hospital in fire.hospitals.items()
    }
    for index, record in enumerate(history.records):
        gave = {name: held[name].rounds_charged[index].update_digest for name in fire.hospitals}
        if not record.datasites:
            fire.counts.rounds_given_up += 1
            fire.counts.rounds_lost += NOTHING_LEFT not in gave.values()
            continue
        for name, hospital in fire.hospitals.items():
            if (digest := gave[name]) == NOTHING_LEFT:
                fire.counts.rounds_lost += 1
                continue
            (file,) = (hospital.state / "blobs").rglob(f"{digest}*")
            for parameter, array in read_whole(file, shapes, max_bytes=1 << 24).items():
                weights[parameter] += array * (sizes[name] / sum(sizes.values()))
    for reservation in held.values():
        charged = sum(part.steps for part in reservation.spent)
        fire.counts.budget_mismatches += charged != study.plan.rounds * study.plan.steps_per_round
    fire.counts.wrong_models += not all(np.allclose(weights[name], last[name], rtol=1e-4, atol=1e-5) for name in last)


def studies_under_fire(
    folder: Path, *, names: tuple[str, ...], kills: int, seed: int, rounds: int = 25, forked: bool = False
) -> Counts:
    """Runs studies one after another until `kills` kills are done, and the last study to its end.

    Datasites are started as an operator does, or `forked` as most tests start them.
    """
    from researcher.hospitals.federation import Federation

    pictures = folder / "pictures.npz"
    write_pictures(pictures, sites=names)
    with running(*(make_hospital(folder, name, pictures) for name in names), forked=forked) as hospitals:
        fire = Fire(hospitals, kills, seed, forked=forked)
        with Federation.connect([hospital.credentials() for hospital in hospitals.values()]) as federation:
            burning = fire.light()
            while fire.burning or not fire.counts.studies:
                study_under_fire(federation, fire, folder / f"study-{fire.counts.studies}", rounds=rounds)
                print(json.dumps(asdict(fire.counts)), file=sys.stderr, flush=True)
            for one in burning:
                one.join()
        for hospital in hospitals.values():
            hospital.stop()
            check_state(hospital)
    return fire.counts


def _runs(hospital: Hospital) -> list[dict[str, Any]]:
    queue = RunQueue(hospital.state / "runs.sqlite")
    try:
        return [asdict(run) for run in queue.list()]
    finally:
        queue.close()


def _is_python(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"python" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def main() -> int:
    """Prints the counts as JSON; the exit status says whether nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hospitals", type=int, default=3)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = tuple(f"hospital-{number + 1}" for number in range(options.hospitals))
    with tempfile.TemporaryDirectory() as folder:
        counts = studies_under_fire(Path(folder), names=names, kills=options.kills, seed=options.seed)
    print(json.dumps(asdict(counts), indent=2))
    return int(bool(counts.rounds_lost or counts.budget_mismatches or counts.orphans or counts.wrong_models))


if __name__ == "__main__":
    raise SystemExit(main())
