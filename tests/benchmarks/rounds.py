"""What a round costs besides training: three datasites on this machine, beside others doing the same in this run.

    python tests/benchmarks/rounds.py        writes out/bench/round_overhead.json and prints what it measured

The others are stock PySyft, a bare upload and download over mutual TLS and, with --beside, an earlier build of the
platform in a checkout of its own. What is told last are the ratios to each.

It plays both sides, so it may read the hospitals' logs: how long training took stands there, and nowhere else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests"), str(PROJECT / "tests" / "benchmarks")]

import bare_mtls  # noqa: E402
import stock_pysyft  # noqa: E402
from resident_memory import Memory  # noqa: E402
from support.hospitals import Hospital, draw_pictures, make_hospital  # noqa: E402

NAMES = ("north", "south", "west")
PICTURES_EACH = 64
ENCODINGS = ("none", "int8")
# Stock PySyft holds larger payloads in memory many times over.
MOST_OF_STOCK_MB = 10


@dataclass(frozen=True)
class Payload:
    """A model of about `megabytes`: the small CNN with this width, and a head for so many classes."""

    megabytes: int
    width: int
    num_classes: int


PAYLOADS = (Payload(1, 64, 17), Payload(10, 192, 81), Payload(100, 256, 2610))


@dataclass(frozen=True)
class Round:
    """One round of one hospital, in seconds; `own` is the researcher's processor time for all hospitals together."""

    total: float
    training: float
    transferred_bytes: int
    own: float

    @property
    def overhead(self) -> float:
        return self.total - self.training


def main() -> None:
    """Measures and writes the result."""
    options = _options()
    rows: list[dict[str, Any]] = []
    start: dict[str, Any] = {}
    for payload in [one for one in PAYLOADS if one.megabytes in options.payloads]:
        own, start[f"{payload.megabytes} MB"] = measure(payload, options.rounds)
        _show(own)
        others = []
        if options.beside:
            others += _of_checkout(options.beside, payload.megabytes, options.rounds)
        others.append(bare_mtls.measure(payload.megabytes, datasites=len(NAMES), rounds=options.rounds))
        if payload.megabytes <= MOST_OF_STOCK_MB and not options.no_pysyft:
            others.append(stock_pysyft.measure(payload.megabytes, datasites=len(NAMES), rounds=options.pysyft_rounds))
        _show([*others, *(ratio(row, own) for row in others)])
        rows += [*own, *others]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "round_overhead.json").write_text(json.dumps(rows, indent=1) + "\n")
    (options.out / "datasite_start.json").write_text(json.dumps(start, indent=1) + "\n")
    print(json.dumps(start, indent=1))


def ratio(other: dict[str, Any], own: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """How many times as long the others' round takes as ours of the same payload and encoding."""
    ours = next(row for row in own if row["encoding"] == other["encoding"])
    seconds, theirs = ours["seconds_per_round"], other["seconds_per_round"]
    return {
        "beside": other["system"],
        "payload_mb": other["payload_mb"],
        "encoding": other["encoding"],
        "ours_of_theirs": round(seconds / theirs, 2),
        "theirs_of_ours": round(theirs / seconds, 2),
    }


def _of_checkout(checkout: Path, megabytes: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of an earlier build, by its own benchmark, under this one's interpreter and packages."""
    with tempfile.TemporaryDirectory() as out:
        settings = ["--payloads", str(megabytes), "--rounds", str(rounds), "--no_pysyft", "--out", out]
        script = checkout / "tests" / "benchmarks" / "rounds.py"
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
        command = [sys.executable, str(script.resolve()), *settings]
        subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, check=True)
        rows: list[dict[str, Any]] = json.loads((Path(out) / "round_overhead.json").read_text())
    theirs = [row for row in rows if row["system"] == "wanwu"]
    return [{**row, "system": f"wanwu at {checkout.name}"} for row in theirs]


def measure(payload: Payload, rounds: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of `rounds` rounds with this payload in each of `ENCODINGS`, and what starting and connecting took."""
    with tempfile.TemporaryDirectory() as folder:
        hospitals = {name: _hospital(Path(folder), name, payload) for name in NAMES}
        try:
            ready = [_start(hospital) for hospital in hospitals.values()]
            return _measure_running(payload, rounds, hospitals, ready, Path(folder))
        finally:
            for hospital in hospitals.values():
                hospital.stop()


def _measure_running(
    payload: Payload, rounds: int, hospitals: dict[str, Hospital], ready: list[float], folder: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from researcher.hospitals.federation import Federation

    begun = time.monotonic()
    with Federation.connect([hospital.credentials() for hospital in hospitals.values()]) as federation:
        connected = time.monotonic() - begun
        rows = [_rounds(payload, rounds, federation, hospitals, folder, encoding) for encoding in ENCODINGS]
    start = {
        "ready_seconds": [round(seconds, 2) for seconds in ready],
        "connect_seconds": round(connected, 2),
        "idle_rss_mb": rows[0].pop("idle_rss_mb"),
    }
    rows[1].pop("idle_rss_mb")
    return rows, start


def _rounds(
    payload: Payload, rounds: int, federation: Any, hospitals: dict[str, Hospital], folder: Path, encoding: str
) -> dict[str, Any]:
    from datasites.training.models import initial_weights
    from researcher.studies.rounds.outgoing import OutgoingWeights
    from researcher.studies.study import Study

    plan = _plan(payload, federation, rounds + 1, encoding)
    study = Study.submit(federation, plan, folder / f"study-{encoding}")
    for name, request in study.requests.items():
        hospitals[name].admin("approve", request.request_id)
    shapes = {name: array.shape for name, array in initial_weights(plan.model, 0).items()}

    def round_of(index: int) -> list[Round]:
        """With weights that no hospital has seen, as a study's are."""
        content = OutgoingWeights.encode(initial_weights(plan.model, index), plan, index)
        return _one_round(study, hospitals, content, shapes, index)

    memory = [Memory(hospital.process.pid) for hospital in hospitals.values() if hospital.process]
    round_of(0)
    time.sleep(2.0)
    idle = [one.now() for one in memory]
    for one in memory:
        one.reset()
    done = [round_of(index) for index in range(1, rounds + 1)]
    seconds = [max(one.overhead for one in of_round) for of_round in done]
    study.end()
    return {
        "system": "wanwu",
        "payload_mb": payload.megabytes,
        "encoding": encoding,
        "datasites": len(hospitals),
        "seconds_per_round": round(statistics.median(seconds), 3),
        "spread": [round(min(seconds), 3), round(max(seconds), 3)],
        "rounds": rounds,
        "with_training_seconds": round(statistics.median(max(one.total for one in of_round) for of_round in done), 3),
        "training_seconds": round(statistics.median(one.training for of_round in done for one in of_round), 3),
        "researcher_processor_seconds": round(statistics.fmean(of_round[0].own for of_round in done), 3),
        "bytes_per_round": sum(one.transferred_bytes for one in done[0]),
        "peak_rss_mb": round(max(one.peak() for one in memory), 1),
        "rss_growth_mb": round(max(one.peak() - before for one, before in zip(memory, idle, strict=True)), 1),
        "idle_rss_mb": [round(value, 1) for value in idle],
    }


def _one_round(
    study: Any, hospitals: dict[str, Hospital], content: Any, shapes: dict[str, tuple[int, ...]], index: int
) -> list[Round]:
    """Every hospital's round, at once."""
    from researcher.studies.remote_round import RemoteRound
    from researcher.studies.retry_policy import RetryPolicy

    marks = {name: _training_lines(hospital) for name, hospital in hospitals.items()}

    def ask(name: str) -> tuple[float, int]:
        remote = RemoteRound(
            hospital=study.federation.hospitals[name],
            dataset=study.plan.dataset,
            request=study.requests[name],
            plan=study.plan,
            round_index=index,
            retry_policy=RetryPolicy(attempts=1),
            stopping=threading.Event(),
            on_event=lambda event: None,
        )
        begun = time.monotonic()
        answer = remote.run(content, shapes)
        return time.monotonic() - begun, answer.bytes_up + answer.bytes_down

    begun = time.process_time()
    with ThreadPoolExecutor(len(hospitals)) as pool:
        answers = dict(zip(hospitals, pool.map(ask, hospitals), strict=True))
    own = time.process_time() - begun
    return [
        Round(total, _training_seconds(hospitals[name], marks[name]), size, own)
        for name, (total, size) in answers.items()
    ]


def _log(hospital: Hospital) -> list[str]:
    """What the hospital's own log says of training, a line each."""
    lines = (hospital.state / "logs" / "datasite.log").read_text().splitlines()
    return [line for line in lines if "trained in " in line]


def _training_lines(hospital: Hospital) -> int:
    return len(_log(hospital))


def _training_seconds(hospital: Hospital, before: int) -> float:
    """Seconds of training since there were so many lines."""
    return sum(float(line.split("trained in ")[1].split()[0]) for line in _log(hospital)[before:])


def _plan(payload: Payload, federation: Any, rounds: int, encoding: str) -> Any:
    """One step a round with about one picture: the least that is still private training."""
    from researcher.planning.planning import StudySettings, make_plan

    settings = StudySettings(
        study=f"overhead-{encoding}",
        options={"width": payload.width},
        num_rounds=rounds,
        local_epochs=0.02,
        sample_rate=0.02,
        noise_multiplier=20.0,
    )
    plan = make_plan(settings, federation.datasets())
    return replace(plan, update_encoding=encoding, weights_encoding=encoding)


def _hospital(folder: Path, name: str, payload: Payload) -> Hospital:
    images, labels = draw_pictures(PICTURES_EACH, seed=len(name))
    file = folder / f"{name}.npz"
    np.savez(
        file,
        images=images,
        labels=labels,
        sites=np.repeat(name, PICTURES_EACH),
        class_names=np.array([f"class_{number}" for number in range(payload.num_classes)]),
    )
    return make_hospital(folder, name, file)


def _start(hospital: Hospital) -> float:
    begun = time.monotonic()
    hospital.start()
    hospital.wait_until_ready()
    return time.monotonic() - begun


def _show(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "bench", help="folder for the result")
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the warm-up")
    parser.add_argument("--payloads", type=int, nargs="+", default=[1, 10, 100], help="megabytes, of 1, 10 and 100")
    parser.add_argument("--beside", type=Path, help="checkout of an earlier build, measured in the same run")
    parser.add_argument("--no_pysyft", action="store_true", help="leave stock PySyft out")
    parser.add_argument("--pysyft_rounds", type=int, default=3, help="rounds of stock PySyft after the warm-up")
    return parser.parse_args()


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
