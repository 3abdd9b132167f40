"""Hundreds of hospitals on this machine: `make bench-simulation` writes out/bench/simulation.json.

The drawn set is shared out evenly, and a study is run by `python -m researcher simulate` on Ray, by bare calls of the
datasites' trainer one after the other in one process, and by Flower's own simulation with the same model, data and
number of local steps, once for each kind of client. Time is told of the whole command, from its start to its end.
Processor time and memory are those of all of its processes, sampled once a second. `peak_gb` is memory that is in use:
what processes share is counted once (PSS), also with processes that are not the command's. `peak_rss_gb` counts it in
each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

PROJECT = Path(__file__).resolve().parents[2]
SECONDS_APART = 1.0
SEED = 0
WORKERS = ("ray::Worker", "ray::ClientAppActor")  # ours and Flower's
# Flower's averaging is plain FedAvg, so neither side keeps momentum or an average of rounds.
STUDY = ["--model", "small_cnn", "--local_epochs", "2", "--sample_rate", "0.2", "--learning_rate", "0.3"]
CLIENTS = ("own", "kept", "called")  # of Flower: see flower_simulation.py
KINDS = {"dp": ["--epsilon", "8"], "plain": ["--no-dp"]}


class Watched:
    """A command and what all of its processes take, looked at once a second."""

    def __init__(self, command: Sequence[str], log: Path, **environment: str) -> None:
        self.cpu_seconds, self.peak_bytes, self.peak_rss_bytes = 0.0, 0, 0
        self.parts: dict[str, float] = {}
        self._spent: dict[tuple[int, float], float] = {}
        begun = time.monotonic()
        with log.open("w") as stream:
            self._process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, cwd=PROJECT, env={**os.environ, **environment}
            )
            ended = threading.Event()
            looking = threading.Thread(target=self._look, args=(ended,))
            looking.start()
            status = self._process.wait()
        self.wall_seconds = time.monotonic() - begun
        ended.set()
        looking.join()
        self.cpu_seconds = sum(self._spent.values())
        if status:
            raise SystemExit(f"{' '.join(map(str, command))} ended with status {status}; see {log}")

    def _look(self, ended: threading.Event) -> None:
        while not ended.wait(SECONDS_APART):
            found: Counter[str] = Counter()
            resident = 0
            try:
                root = psutil.Process(self._process.pid)
                family = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for one in family:
                try:
                    times = one.cpu_times()
                    self._spent[one.pid, one.create_time()] = times.user + times.system
                    memory = one.memory_full_info()
                    found[self._part(one)] += memory.pss
                    resident += memory.rss
                except psutil.Error:
                    continue
            self.peak_rss_bytes = max(self.peak_rss_bytes, resident)
            if found.total() > self.peak_bytes:
                self.peak_bytes = found.total()
                self.parts = {part: round(size / 1e9, 3) for part, size in sorted(found.items())}

    def _part(self, one: psutil.Process) -> str:
        """Which part of the command a process is."""
        if one.pid == self._process.pid:
            return "command"
        return "workers" if " ".join(one.cmdline()).startswith(WORKERS) else "rest"

    def row(self) -> dict[str, Any]:
        """What was measured."""
        return {
            "wall_seconds": round(self.wall_seconds, 2),
            "cpu_seconds": round(self.cpu_seconds, 2),
            "peak_gb": round(self.peak_bytes / 1e9, 3),
            "peak_parts_gb": self.parts,
            "peak_rss_gb": round(self.peak_rss_bytes / 1e9, 3),
        }


def simulated(options: argparse.Namespace, kind: str, folder: Path) -> dict[str, Any]:
    """Ours."""
    out = folder / f"{kind}-ray"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "researcher", "simulate", *_arguments(options, kind)]
    watched = Watched([*command, "--out", str(out)], folder / f"{kind}-ray.log")
    from researcher.reports.kept_result import read_result

    scored = read_result(out / "result.json").history.records[-1].test_accuracy
    return {**watched.row(), "accuracy": round(float(scored), 4)}


def bare(options: argparse.Namespace, kind: str, folder: Path) -> dict[str, float]:
    """Calls of the trainer alone, of as many hospitals and rounds; weights are the first ones in every round."""
    out = folder / f"{kind}-bare.json"
    command = [sys.executable, __file__, "--bare", str(folder / kind), "--out", str(out)]
    Watched([*command, "--rounds", str(options.rounds)], folder / f"{kind}-bare.log")
    found: dict[str, float] = json.loads(out.read_text())
    return found


def flower(options: argparse.Namespace, kind: str, folder: Path, client: str) -> dict[str, Any]:
    """Flower's: how its last model scores, and how far its weights are from ours where they are of the same draws."""
    script = PROJECT / "tests" / "benchmarks" / "flower_simulation.py"
    environment = {
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(script.parent)]),
        "WANWU_FLOWER_WORK": str(folder / kind),
        "WANWU_FLOWER_CLIENT": client,
        "WANWU_FLOWER_CORES": str(options.cores),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on the loopback interface alone, as ours
        # As patient with a busy machine as ours.
        "RAY_NUM_REDIS_GET_RETRIES": "120",
        "RAY_gcs_server_port_wait_time_s": "120",
        "RAY_agent_register_timeout_ms": "600000",
        "RAY_worker_register_timeout_seconds": "600",
        "OMP_NUM_THREADS": "1",
    }
    log = folder / f"{kind}-flower-{client}.log"
    watched = Watched([str(options.flower), str(script)], log, **environment)
    from researcher.studies.checkpoints import load_model

    own = load_model(folder / f"{kind}-ray" / "global_model.safetensors").weights
    with np.load(folder / kind / "flower.npz") as theirs:
        row = {**watched.row(), "accuracy": round(float(theirs["accuracy"]), 4)}
        if client != "own":
            row["weights_apart"] = max(float(np.abs(own[name] - theirs[name]).max()) for name in own)
    return row


def write_work(options: argparse.Namespace, kind: str, folder: Path) -> None:
    """The very work of a simulation as plain files: plan, hospitals and pictures in their order."""
    from researcher.cli.program import make_program
    from researcher.cli.study_options import study_settings_of
    from researcher.simulation.settings import SimulationSettings
    from researcher.simulation.work import make_work

    command = make_program().commands["simulate"]
    given = command.make_context("simulate", _arguments(options, kind)).params
    study = {name: value for name, value in given.items() if name not in _OF_SIMULATION}
    simulation = SimulationSettings(hospitals=options.hospitals, seed=SEED)
    work = make_work(study_settings_of(study), simulation, given["data"], test=given["test"])
    (folder / kind).mkdir(parents=True, exist_ok=True)
    for name in ("images", "labels", "units"):
        np.save(folder / kind / f"{name}.npy", getattr(work.pictures, name))
    np.savez(folder / kind / "hold_out.npz", images=work.hold_out.images, labels=work.hold_out.labels)
    hospitals = [[one.name, one.first, one.end, one.public_size] for one in work.hospitals]
    about = {"plan": work.plan.to_json(), "hospitals": hospitals, "seed": SEED}
    (folder / kind / "work.json").write_text(json.dumps(about))


def _arguments(options: argparse.Namespace, kind: str) -> list[str]:
    drawn = options.out.parent / "simulation" / "drawn"
    of_data = ["--data", str(drawn / "pictures.npz"), "--test", str(drawn / "hold_out.npz")]
    made_up = ["--hospitals", str(options.hospitals), "--num_rounds", str(options.rounds), "--seed", str(SEED)]
    return [*of_data, *made_up, "--workers", str(options.cores), *STUDY, *KINDS[kind]]


_OF_SIMULATION = {
    "data",
    "test",
    "out",
    "backbone_weights",
    "in_process",
    "hospitals",
    "split",
    "alpha",
    "column",
    "unit",
    "patient_column",
    "held_back",
    "seed",
    "ray_address",
    "workers",
    "worker_memory",
}


def run_bare(work: Path, rounds: int, out: Path) -> int:
    """Processor seconds of the trainer's calls: whole ones, and ones whose preparation is left out."""
    import torch

    from datasites.training.local_round import prepare_training, train_round
    from datasites.training.models import initial_weights
    from policies.plans.training import TrainingPlan
    from researcher.simulation.made_up import MadeUpHospital, SharedPictures
    from researcher.simulation.trainer import randomness

    torch.set_num_threads(1)
    about = json.loads((work / "work.json").read_text())
    plan = TrainingPlan.from_json(about["plan"])
    pictures = SharedPictures(*(np.load(work / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "units")))
    weights = initial_weights(plan.model, SEED)
    hospitals = [MadeUpHospital(*values) for values in about["hospitals"]]
    train_round(plan, 0, weights, pictures.of(hospitals[0]))  # what is made once in a process
    whole = prepared = 0.0
    for number in range(rounds):
        for hospital in hospitals:
            own, random = pictures.of(hospital), randomness(SEED, hospital.name, number)
            begun = time.process_time()
            train_round(plan, number, weights, own, random=random)
            whole += time.process_time() - begun
            ready = prepare_training(plan, number, weights, public_size=own.public_size)
            random = randomness(SEED, hospital.name, number)
            begun = time.process_time()
            ready.train(own, random=random)
            prepared += time.process_time() - begun
    out.write_text(json.dumps({"cpu_seconds": round(whole, 2), "cpu_seconds_prepared": round(prepared, 2)}))
    return 0


def main() -> int:
    """Runs all sides of each kind and writes them after each, so that an interrupted run leaves what it has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/simulation.json"))
    parser.add_argument("--hospitals", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--clients", nargs="*", default=list(CLIENTS), choices=CLIENTS)
    parser.add_argument("--flower", type=Path, default=PROJECT / "out" / "bench" / "flower" / "bin" / "python")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        return run_bare(options.bare, options.rounds, options.out)
    from datasites.assets.drawn.demo import write_demo

    options.out = options.out.absolute()
    folder = options.out.parent / "simulation"
    write_demo(folder / "drawn")
    found: dict[str, Any] = {"hospitals": options.hospitals, "rounds": options.rounds, "cores": options.cores}
    for kind in options.kinds:
        write_work(options, kind, folder)
        found[kind] = row = {"simulate": simulated(options, kind, folder)}
        _keep(options.out, found)
        row["trainer"] = bare(options, kind, folder)
        for client in options.clients:
            row[f"flower_{client}"] = flower(options, kind, folder, client)
            _keep(options.out, found)
        own = row["simulate"]
        row["cpu_over_trainer"] = round(own["cpu_seconds"] / row["trainer"]["cpu_seconds"], 3)
        row["cpu_over_prepared"] = round(own["cpu_seconds"] / row["trainer"]["cpu_seconds_prepared"], 3)
        for client in options.clients:
            theirs = row[f"flower_{client}"]["wall_seconds"]
            row[f"wall_over_flower_{client}"] = round(own["wall_seconds"] / theirs, 3)
        _keep(options.out, found)
        print(json.dumps({kind: row}, indent=1), flush=True)
    return 0


def _keep(out: Path, found: dict[str, Any]) -> None:
    out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
