"""The same work in Flower's own simulation: run by tests/benchmarks/simulation.py, in an environment that has Flower.

Averaging, transport and workers are Flower's. Clients are of three kinds. `called` and `kept` train by the datasites'
trainer with the same draws and noise, so that their updates are those of the other side; `kept` keeps what the other
side's workers set up once. `own` is as a user of Flower writes it, without a line of that trainer: see
flower_own_client.py. All are given data that each worker opens once as a memory map.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

MOST_STARTS = 3
FOLDER = Path(os.environ.get("WANWU_FLOWER_WORK", "."))


@cache
def _data() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the work is, and the pictures of all hospitals, opened once in a process."""
    about = json.loads((FOLDER / "work.json").read_text())
    return about, {name: np.load(FOLDER / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "units")}


@cache
def _work() -> tuple[Any, Any, list[Any], int]:
    """The plan, the pictures, the hospitals and the seed, read once in a process."""
    import torch

    from policies.plans.training import TrainingPlan
    from researcher.simulation.made_up import MadeUpHospital, SharedPictures

    torch.set_num_threads(1)
    about, arrays = _data()
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


@dataclass(frozen=True)
class Side:
    """A kind of client, and what its server needs of it.

    Attributes:
        train: Given a hospital's number, the round's from 0 and the model that was sent; returns the trained one and
            the hospital's public size.
        score: Share of right answers on the hold-out.
        first: The model that is sent first.
        names: Of its arrays, in order.
        rounds: Of the study.
        hospitals: How many.
    """

    train: Callable[[int, int, Any], tuple[Any, float]]
    score: Callable[[Any], float]
    first: Any
    names: Sequence[str]
    rounds: int
    hospitals: int


def _by_the_trainer() -> Side:
    """Clients of the datasites' trainer, who are sent arrays."""
    from datasites.training.evaluation import predict
    from datasites.training.models import initial_weights

    plan, _, hospitals, seed = _work()
    first = initial_weights(plan.model, seed)
    images, labels = _hold_out()

    def weights_of(arrays: Any) -> dict[str, np.ndarray]:
        sent = arrays.to_numpy_ndarrays()
        return {name: np.asarray(array, np.float32) for name, array in zip(first, sent, strict=True)}

    def train(number: int, index: int, arrays: Any) -> tuple[Any, float]:
        weights = weights_of(arrays)
        update, size = _update(number, index, weights)
        return [weights[name] + update[name] for name in first], size

    def score(arrays: Any) -> float:
        return float((predict(plan.model, weights_of(arrays), images).argmax(axis=1) == labels).mean())

    return Side(train, score, list(first.values()), list(first), plan.rounds, len(hospitals))


def _by_its_own() -> Side:
    """Clients of flower_own_client.py, who are sent a state of torch."""
    import flower_own_client as own
    import torch

    torch.set_num_threads(1)
    about, arrays = _data()
    plan, (images, labels) = json.loads(about["plan"]), _hold_out()
    settings = own.Settings.of(plan)

    def train(number: int, index: int, sent: Any) -> tuple[Any, float]:
        _, begin, end, size = about["hospitals"][number]
        rows = slice(begin, end)
        state = sent.to_torch_state_dict()
        return own.train(settings, index, state, arrays["images"][rows], arrays["labels"][rows], size), size

    def score(sent: Any) -> float:
        return own.accuracy(sent.to_torch_state_dict(), images, labels)

    torch.manual_seed(about["seed"])
    first = own.Net(plan["model"]["num_classes"]).state_dict()
    return Side(train, score, first, list(first), plan["rounds"], len(about["hospitals"]))


@cache
def _side() -> Side:
    return _by_its_own() if os.environ["WANWU_FLOWER_CLIENT"] == "own" else _by_the_trainer()


def _hold_out() -> tuple[np.ndarray, np.ndarray]:
    with np.load(FOLDER / "hold_out.npz") as held:
        return held["images"], held["labels"]


def main() -> int:
    """Runs all rounds; writes the last weights and each round's accuracy."""
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid, ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    many, cores = _side().hospitals, int(os.environ["WANWU_FLOWER_CORES"])
    client, server = ClientApp(), ServerApp()

    @client.train()
    def train(message: Message, context: Context) -> Message:
        index = int(message.content["config"]["server-round"]) - 1
        number = int(context.node_config["partition-id"])
        trained, size = _side().train(number, index, message.content["arrays"])
        metrics = MetricRecord({"num-examples": int(size)})
        return Message(content=RecordDict({"arrays": ArrayRecord(trained), "metrics": metrics}), reply_to=message)

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        return MetricRecord({"accuracy": _side().score(arrays)})

    class Whole(FedAvg):
        """Averaging that ends where a client did: Flower goes on without those that fail, and is quick then."""

        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            came = list(replies)
            if lost := many - sum(not reply.has_error() for reply in came):
                raise RuntimeError(f"{lost} of {many} hospitals did not train in round {server_round}.")
            return super().aggregate_train(server_round, came)

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        strategy = Whole(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=many, min_available_nodes=many)
        result = strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord(_side().first),
            num_rounds=_side().rounds,
            evaluate_fn=evaluate,
        )
        last = result.arrays.to_numpy_ndarrays()
        named = dict(zip(_side().names, last, strict=True))
        np.savez(FOLDER / "flower.npz", accuracy=_side().score(result.arrays), **named)

    (FOLDER / "flower.npz").unlink(missing_ok=True)
    _start_ray(cores)
    backend = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server, client, num_supernodes=many, backend_name="ray", backend_config=backend)
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
