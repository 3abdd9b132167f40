"""Which strategy pays when hospitals differ: `make bench-study` writes out/bench/study.json.

Five hospitals share one data set by a Dirichlet draw for each class: the smaller alpha, the more they differ. All train
in this process by the datasites' own `train_round`; the averaging is the researcher's own. Every study takes as many
steps and sends as many numbers as the others; what SCAFFOLD and MR-MTL send beside global weights stands in their
rows, and of MR-MTL the mean of the hospitals' models is judged. Pictures are real where they are at hand, else drawn;
half of what the test split holds is left alone, the other half says how good a model is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import DATA, Pictures, load, remember_features
from numpy.typing import NDArray

from datasites.training.evaluation import predict
from datasites.training.local_round import train_round
from datasites.training.metrics import accuracy, confusion_matrix, macro_f1
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from policies.plans.public_size import rounded_up
from policies.plans.server.server_spec import BESIDE, STRATEGIES, ServerSpec
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan
from researcher.planning import recipes
from researcher.strategies import ClientUpdate, KeptWeights
from researcher.studies.rounds.outgoing import arrays_for
from researcher.studies.study import strategy_of

HOSPITALS = 5
LEAST_PICTURES = 100  # of a hospital; a draw that gives fewer is drawn again
ALPHAS = (0.1, 0.5, 100.0)
EPSILONS: tuple[float | None, ...] = (None, 8.0)
PROXIMAL_MU = 0.1
RUN = RunSpec(device="cpu", physical_batch_size=256)  # one pass for each draw of most hospitals


def shared_out(pictures: Pictures, alpha: float, seed: int) -> dict[str, LabelledPictures]:
    """Each class dealt out to the hospitals by shares of its own, drawn from a symmetric Dirichlet distribution."""
    random = np.random.default_rng([seed, round(alpha * 1000)])
    while True:
        hospital = np.empty(len(pictures.labels), np.int64)
        for label in np.unique(pictures.labels):
            here = np.flatnonzero(pictures.labels == label)
            hospital[here] = random.choice(HOSPITALS, size=len(here), p=random.dirichlet([alpha] * HOSPITALS))
        if np.bincount(hospital, minlength=HOSPITALS).min() >= LEAST_PICTURES:
            break
    found = {}
    for number in range(HOSPITALS):
        own = pictures.where(hospital == number)
        size = len(own.labels)
        found[f"hospital_{number}"] = LabelledPictures(
            own.images, own.labels, np.arange(size, dtype=np.int64), rounded_up(size)
        )
    return found


def plan_for(
    strategy: str, model: ModelSpec, hospitals: Mapping[str, LabelledPictures], epsilon: float | None, rounds: int
) -> TrainingPlan:
    """The plan of `recipe = "auto"` with another strategy, at that strategy's defaults."""
    sizes = [own.public_size for own in hospitals.values()]
    settings: dict[str, Any] = recipes.auto(model, sizes, epsilon=epsilon, delta=1e-5, rounds=rounds).settings(
        delta=1e-5, unit="picture"
    )
    if strategy in ("fed_adagrad", "mr_mtl"):
        settings["server_momentum"] = 0.0
    if strategy == "mr_mtl":
        settings["server_averaging"] = 0.0
    mu = PROXIMAL_MU if strategy == "fed_prox" else 0.0
    return TrainingPlan("bench", "pictures", model, proximal_mu=mu, server=ServerSpec(strategy), run=RUN, **settings)


def run_study(
    plan: TrainingPlan, hospitals: Mapping[str, LabelledPictures], seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """The global model after all rounds, and the seconds of processor time that it took."""
    begun, strategy = time.process_time(), strategy_of(plan)
    with tempfile.TemporaryDirectory() as folder:
        state = replace(strategy.init(initial_weights(plan.model, seed)), kept=KeptWeights(Path(folder)))
        for number in range(plan.rounds):
            updates = (
                ClientUpdate(
                    name,
                    train_round(plan, number, arrays_for(strategy, plan, state, name), own),
                    float(own.public_size),
                    steps=plan.steps_per_round,
                    summed_rates=plan.summed_rates(number),
                )
                for name, own in hospitals.items()
            )
            state = strategy.apply(state, updates)
    return state.model, time.process_time() - begun


def row_of(strategy: str, alpha: float, epsilon: float | None, options: argparse.Namespace) -> dict[str, Any]:
    """Runs every seed of one row."""
    train, judged = load(options.dataset, "train"), load(options.dataset, "test")
    groups = np.unique(judged.groups)
    judged = judged.where(np.isin(judged.groups, groups[::2]))
    classes = int(train.labels.max()) + 1
    model = ModelSpec(options.model, train.images.shape[1:], classes)
    accuracies, scores, seconds, size, steps = [], [], 0.0, 0, 0
    for seed in range(options.seeds):
        hospitals = shared_out(train, alpha, seed)
        plan = plan_for(strategy, model, hospitals, epsilon, options.rounds)
        weights, took = run_study(plan, hospitals, seed)
        counts = confusion_matrix(judged.labels, predict(model, weights, judged.images).argmax(axis=1), classes)
        accuracies.append(float(accuracy(counts)))
        scores.append(float(macro_f1(counts)))
        seconds += took
        size, steps = sum(array.nbytes for array in weights.values()), plan.total_steps
    row = {
        "dataset": options.dataset,
        "model": options.model,
        "strategy": strategy,
        "alpha": alpha,
        "epsilon": epsilon,
        "hospitals": HOSPITALS,
        "rounds": options.rounds,
        "steps": steps,
        "bytes_each_way": size * HOSPITALS * options.rounds,
        "bytes_in_beside": size * HOSPITALS * (options.rounds - 1) if strategy in BESIDE else 0,
        "seeds": options.seeds,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "macro_f1_mean": float(np.mean(scores)),
        "macro_f1_std": float(np.std(scores)),
        "cpu_seconds": seconds / options.seeds,
    }
    print(
        f"{strategy:<18} alpha {alpha:<5g} epsilon {epsilon or 'none':<5} accuracy {row['accuracy_mean']:.3f} ± "
        f"{row['accuracy_std']:.3f}, macro F1 {row['macro_f1_mean']:.3f} ± {row['macro_f1_std']:.3f} "
        f"({row['cpu_seconds']:.0f} s of processor time each)",
        flush=True,
    )
    return row


def main() -> int:
    """Runs all rows and writes them after each, so that an interrupted run leaves what it has."""
    real = (DATA / "rbc_chula" / "train.npz").exists()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/study.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--dataset", default="rbc_chula" if real else "drawn_smears")
    parser.add_argument("--model", default="scattering_linear")
    alike = [name for name in STRATEGIES if name != "dp_fc"]  # which steps by a matrix: bench-few-rounds measures it
    parser.add_argument("--strategies", nargs="+", default=alike, choices=alike)
    parser.add_argument("--alphas", type=float, nargs="+", default=list(ALPHAS))
    parser.add_argument(
        "--epsilons", type=lambda text: None if text == "none" else float(text), nargs="+", default=list(EPSILONS)
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    remember_features()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for epsilon in options.epsilons:
        for alpha in options.alphas:
            for strategy in options.strategies:
                rows.append(row_of(strategy, alpha, epsilon, options))
                options.out.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
