"""The same work in Flower's own simulation: run by tests/benchmarks/simulation.py, in an environment that has Flower.

Each client trains its hospital by the datasites' trainer with the same draws and noise, so that its updates are those
of the other side; averaging, transport and workers are Flower's. It is given what the other side's workers have: data
that each worker opens once as a memory map, and, unless it is told otherwise, what a worker sets up once.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

MOST_STARTS = 3
FOLDER = Path(os.environ.get("WANWU_FLOWER_WORK", "."))


@cache
def _work() -> tuple[Any, Any, list[Any], int]:
    """The plan, the pictures, the hospitals and the seed, read once in a process."""
    import torch

    from policies.plans.training import TrainingPlan
    from researcher.simulation.made_up import MadeUpHospital, SharedPictures

    torch.set_num_threads(1)
    about = json.loads((FOLDER / "work.json").read_text())
    arrays = {name: np.load(FOLDER / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "units")}
    hospitals = [MadeUpHospital(*values) for values in about["hospitals"]]
    return TrainingPlan.from_json(about["plan"]), SharedPictures(**arrays), hospitals, about["seed"]


@cache
def _trainer() -> Any:
    from researcher.simulation.trainer import Trainer

    plan, pictures, _, seed = _work()
    return Trainer(plan, pictures, seed)


def _update(number: int, index: int, weights: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float]:
    from datasites.training.local_round import train_round
    from researcher.simulation.trainer import randomness

    plan, pictures, hospitals, seed = _work()
    hospital = hospitals[number]
    if os.environ["WANWU_FLOWER_CLIENT"] == "kept":
        return _trainer().train(hospital, index, weights).update, hospital.public_size
    random = randomness(seed, hospital.name, index)
    return train_round(plan, index, weights, pictures.of(hospital), random=random), hospital.public_size


def _start_ray(cores: int) -> None:
    """Starts Ray as Flower does, and again where a busy machine was too slow for it, as the other side does."""
    import ray

    for left in reversed(range(MOST_STARTS)):
        try:
            ray.init(num_cpus=cores, include_dashboard=False)
            return
        except Exception:  # Ray raises a bare one where time ran out
            ray.shutdown()
            if not left:
                raise


def main() -> int:
    """Runs all rounds; writes the last weights and each round's accuracy."""
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    from datasites.training.evaluation import predict
    from datasites.training.models import initial_weights

    plan, _, hospitals, seed = _work()
    first = initial_weights(plan.model, seed)
    names, cores = list(first), int(os.environ["WANWU_FLOWER_CORES"])
    client, server = ClientApp(), ServerApp()

    @client.train()
    def train(message: Message, context: Context) -> Message:
        sent = message.content["arrays"].to_numpy_ndarrays()
        weights = {name: np.asarray(array, np.float32) for name, array in zip(names, sent, strict=True)}
        index = int(message.content["config"]["server-round"]) - 1
        update, size = _update(int(context.node_config["partition-id"]), index, weights)
        trained = ArrayRecord([weights[name] + update[name] for name in names])
        content = RecordDict({"arrays": trained, "metrics": MetricRecord({"num-examples": int(size)})})
        return Message(content=content, reply_to=message)

    with np.load(FOLDER / "hold_out.npz") as held:
        images, labels = held["images"], held["labels"]

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        weights = dict(zip(names, arrays.to_numpy_ndarrays(), strict=True))
        right = predict(plan.model, weights, images).argmax(axis=1) == labels
        return MetricRecord({"accuracy": float(right.mean())})

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        many = len(hospitals)
        strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=many, min_available_nodes=many)
        result = strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord([first[name] for name in names]),
            num_rounds=plan.rounds,
            evaluate_fn=evaluate,
        )
        last = dict(zip(names, result.arrays.to_numpy_ndarrays(), strict=True))
        np.savez(FOLDER / "flower.npz", **last)

    _start_ray(cores)
    backend = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server, client, num_supernodes=len(hospitals), backend_name="ray", backend_config=backend)
    return 0


if __name__ == "__main__":
    import flower_simulation  # under this name workers find its functions too

    try:
        status = flower_simulation.main()
    except Exception:  # noqa: BLE001 - told, and ended: Flower's threads would keep the process for ever
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    sys.exit(status)
