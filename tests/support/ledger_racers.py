"""Run as a program: real processes that race for one ledger, and real processes that are killed while they use it."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.budget.limits import DatasetLimits, PrivacyBudget
from policies.errors import BudgetExceeded
from policies.ledger.budget_check import Accountant
from policies.ledger.chain import Chain
from policies.ledger.ledger import Ledger
from policies.ledger.seal import Seal

FINGERPRINT = "f" * 64
ROOM = 10
SEAL = Seal(b"s" * 32)


def hundredth_a_step(history: Sequence[GaussianSteps], delta: float) -> float:
    """A cheap accountant: epsilon 0.01 a step."""
    return sum(part.steps for part in history) / 100


def race(path: Path, processes: int, accountant: Accountant, spend: GaussianSteps, total: float) -> int:
    """How many of `processes` that reserve at the same moment get a reservation."""
    Chain.begin(path, SEAL)
    start, go = os.pipe()
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(start, 1)  # returns when the parent closes its end: everyone starts at once
            os._exit(_reserve_one(path, number, accountant, spend, total))
        children.append(child)
    os.close(go)
    answers = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if set(answers) - {0, 1}:
        raise SystemExit(f"a racer ended with an error: {answers}")
    held = Ledger(path, seal=SEAL).reservations()
    if len(held) != answers.count(0):
        raise SystemExit(f"{answers.count(0)} racers were told that they reserved, the ledger holds {len(held)}")
    return len(held)


def _reserve_one(path: Path, number: int, accountant: Accountant, spend: GaussianSteps, total: float) -> int:
    try:
        Ledger(path, accountant, seal=SEAL).reserve(
            fingerprint=FINGERPRINT,
            dataset="chest-xray",
            request_id=f"request-{number}",
            study=f"study-{number}",
            researcher=f"researcher-{number}",
            plan_digest="0" * 64,
            spend=(spend,),
            rounds=1,
            limits=DatasetLimits(PrivacyBudget(total, 1e-5)),
        )
    except BudgetExceeded:
        return 1
    except BaseException as error:  # noqa: BLE001
        print(repr(error), file=sys.stderr, flush=True)
        return 2
    return 0


def kill(path: Path, kills: int, seed: int) -> dict[str, int]:
    """Kills a process at a random moment of reserving, starting, committing and releasing, `kills` times."""
    Chain.begin(path, SEAL)
    moments = random.Random(seed)
    seen = {"kills": 0, "reserved": 0, "started": 0, "committed": 0, "released": 0, "unfinished": 0}
    for attempt in range(kills):
        said = _killed(path, attempt, moments.randrange(1, 12), moments.uniform(0.0, 0.01))
        before = seen["reserved"]
        held = {key: value for key, value in _ledger(path).reservations().items() if key.startswith(f"{attempt}-")}
        for action, request_id, *round_index in said:
            charged = sum(part.steps for part in held[request_id].charged)
            if action == "reserved":
                seen["reserved"] += 1
                if held[request_id].released is None and charged != 40:
                    raise SystemExit(f"{request_id} is charged {charged} steps, it holds 40")
            elif action == "started":
                seen["started"] += 1
                if held[request_id].started[round_index[0]].weights_digest != "e" * 64:
                    raise SystemExit(f"the started round {round_index} of {request_id} is lost")
            elif action == "committed":
                seen["committed"] += 1
                if held[request_id].committed[round_index[0]].update_digest != "d" * 64:
                    raise SystemExit(f"the committed round {round_index} of {request_id} is lost")
            else:
                seen["released"] += 1
        for request_id, reservation in held.items():
            spent = sum(10 for action, said_of, *_ in said if action == "started" and said_of == request_id)
            charged = sum(part.steps for part in reservation.charged)
            if charged < spent:
                raise SystemExit(f"{request_id} spent {spent} steps and is charged {charged}")
        seen["kills"] += 1
        seen["unfinished"] += len(held) > seen["reserved"] - before
    return seen


def _ledger(path: Path) -> Ledger:
    ledger = Ledger(path, hundredth_a_step, seal=SEAL)
    ledger.verify()
    return ledger


def _killed(path: Path, attempt: int, after_words: int, after_seconds: float) -> list[list]:
    """What a process had been told was done when it was killed: `after_words` of it, and a moment later."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _use_until_killed(path, attempt, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        lines = [pipe.readline() for _ in range(after_words)]
        time.sleep(after_seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines += pipe.readlines()
    return [json.loads(line) for line in lines]


def _use_until_killed(path: Path, attempt: int, write: int) -> None:
    ledger = Ledger(path, hundredth_a_step, seal=SEAL)
    limits = DatasetLimits(PrivacyBudget(1e6, 1e-5), max_study_epsilon=1e6, max_researcher_epsilon=1e6)
    for number in range(10_000):
        request_id = f"{attempt}-{number}"
        ledger.reserve(
            fingerprint=FINGERPRINT,
            dataset="chest-xray",
            request_id=request_id,
            study="study",
            researcher="researcher",
            plan_digest="0" * 64,
            spend=(GaussianSteps(1.0, 0.1, 40),),
            rounds=4,
            limits=limits,
        )
        _say(write, "reserved", request_id)
        for index in range(number % 4):
            steps = GaussianSteps(1.0, 0.1, 10)
            ledger.start(request_id=request_id, round_index=index, spend=steps, weights_digest="e" * 64)
            _say(write, "started", request_id, index)
            ledger.commit(request_id=request_id, round_index=index, update_digest="d" * 64)
            _say(write, "committed", request_id, index)
        if number % 2:
            ledger.release(request_id, "the study ended")
            _say(write, "released", request_id)


def _say(write: int, *words: str | int) -> None:
    os.write(write, json.dumps(words).encode() + b"\n")


def main(what: str, path: Path, count: int, seed: int) -> dict[str, int]:
    """`race`, `race-prv` or `kill`, on the ledger at `path`."""
    if what == "kill":
        return kill(path, count, seed)
    if what == "race":
        spend = GaussianSteps(1.0, 0.1, 50)
        return {"reserved": race(path, count, hundredth_a_step, spend, total=ROOM * 0.5)}
    spend = GaussianSteps(4.0, 0.1, 20)
    room = epsilon_spent([GaussianSteps(4.0, 0.1, 20 * ROOM)], 1e-5)
    return {"reserved": race(path, count, epsilon_spent, spend, total=room)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
