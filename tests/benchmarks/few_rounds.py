"""How well studies in few rounds do: `make bench-few-rounds` writes out/bench/few_rounds.json.

One, nine and twenty releases are the rounds of recipe few_rounds, whose Gram matrix is released besides and paid for
out of the same epsilon; one hundred are today's recipe auto. All hospitals train in this process by the datasites' own
`train_round` and `gram_privately`, with their generator of noise; recipe, strategy and accountant are real too. Servers
and transport are left out: they change no number. The test split chooses nothing: all settings follow from formulas.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy import DATA, DELTA, REAL, held_back, hospitals_of, load, plan_for, remember_features
from few_rounds_sockets import KINDS, measure
from numpy.typing import NDArray

from datasites.training.evaluation import predict
from datasites.training.local_round import train_round
from datasites.training.metrics import accuracy, confusion_matrix
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.releases.private_gram import gram_privately
from policies.budget.accountant import epsilon_spent, plan_spend
from policies.plans.releases import GramPlan, ReleaseSpec
from policies.plans.training import SAMPLINGS, ModelSpec, RunSpec, TrainingPlan
from researcher.planning.few_rounds import few_rounds
from researcher.planning.recipes import auto
from researcher.strategies import ClientUpdate, DpFc, FeatureGram, Strategy
from researcher.studies.study import strategy_of

MODEL = "scattering_linear"
AUTO = 100  # releases of recipe auto
RUN = RunSpec(device="cpu", physical_batch_size=256)


def plans_for(
    model: ModelSpec,
    hospitals: Mapping[str, LabelledPictures],
    epsilon: float,
    releases: int,
    unit: str,
    sampling: str | None = None,
) -> tuple[TrainingPlan, GramPlan | None]:
    """A study's plan, and that of its Gram matrix where it steps by one; together they cost at most epsilon.

    With a sampling it is recipe auto's in so many rounds, of whole epochs.
    """
    sizes = [own.public_size for own in hospitals.values()]
    if sampling is not None:
        recipe = auto(model, sizes, epsilon=epsilon, delta=DELTA, rounds=releases, sampling=sampling)
        values = recipe.settings(delta=DELTA, unit=unit)
        plan, gram = TrainingPlan("bench", "pictures", model, run=RUN, sampling=sampling, **values), None
    elif releases == AUTO:
        plan, gram = plan_for(model, sizes, epsilon, unit, 1), None
    else:
        found = few_rounds(model, sizes, epsilon=epsilon, delta=DELTA, rounds=releases)
        plan = TrainingPlan("bench", "pictures", model, run=RUN, **found.settings(delta=DELTA, unit=unit))
        gram = GramPlan("bench", "pictures", model, ReleaseSpec(found.gram_noise, DELTA, unit), run=RUN)
    spent = epsilon_spent((*plan_spend(plan), *(plan_spend(gram) if gram else ())), DELTA)
    if spent > epsilon:
        raise SystemExit(f"The study spends epsilon {spent}, more than the {epsilon} that was asked for.")
    return plan, gram


def run_study(
    plan: TrainingPlan, gram: GramPlan | None, hospitals: Mapping[str, LabelledPictures], seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """The global model after all rounds, and the seconds of processor time that it took."""
    begun, strategy = time.process_time(), strategy_of(plan)
    if gram is not None:
        strategy = _with_gram(plan, gram, hospitals)
    state = strategy.init(initial_weights(plan.model, seed))
    for number in range(plan.rounds):
        updates = (
            ClientUpdate(name, train_round(plan, number, state.weights, own), float(own.public_size))
            for name, own in hospitals.items()
        )
        state = strategy.apply(state, updates)
    return state.model, time.process_time() - begun


def _with_gram(plan: TrainingPlan, gram: GramPlan, hospitals: Mapping[str, LabelledPictures]) -> Strategy:
    released = [gram_privately(gram, own) for own in hospitals.values()]
    matrix = FeatureGram.of(released, float(sum(own.public_size for own in hospitals.values())))
    return DpFc(
        plan.server.read["server_learning_rate"],
        plan.server_momentum,
        plan.server_averaging,
        plan.server.server_ridge,
        matrix,
    )


def row_of(
    dataset: str, epsilon: float, releases: int, options: argparse.Namespace, sampling: str | None = None
) -> dict[str, Any]:
    """Runs every seed of one row."""
    accuracies, seconds = [], 0.0
    for seed in range(options.seeds):
        train = load(dataset, "train")
        train, judged = held_back(train, seed) if options.validation else (train, load(dataset, "test"))
        hospitals, classes = hospitals_of(train, options.unit), int(train.labels.max()) + 1
        model = ModelSpec(MODEL, train.images.shape[1:], classes)
        plan, gram = plans_for(model, hospitals, epsilon, releases, options.unit, sampling)
        weights, took = run_study(plan, gram, hospitals, seed)
        counts = confusion_matrix(judged.labels, predict(model, weights, judged.images).argmax(axis=1), classes)
        accuracies.append(float(accuracy(counts)))
        seconds += took
    row = {
        "dataset": dataset,
        "epsilon": epsilon,
        "releases": releases,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "seconds": seconds / options.seeds,
        "seeds": options.seeds,
        "recipe": "auto" if releases == AUTO or sampling else "few_rounds",
        "noise_multiplier": plan.privacy.noise_multiplier if plan.privacy else None,
        "sampling": plan.sampling,
        "split": "validation" if options.validation else "test",
        "unit": options.unit,
    }
    print(
        f"{dataset:<12} epsilon {epsilon:<4g} {releases:>3} releases by {row['recipe']:<10} ({row['sampling']}, noise "
        f"{row['noise_multiplier']:g}) accuracy "
        f"{row['accuracy_mean']:.3f} ± {row['accuracy_std']:.3f} ({row['seconds']:.0f} s of processor time each)",
        flush=True,
    )
    return row


def main() -> int:
    """Runs all rows and writes them after each, so that an interrupted run leaves what it has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/few_rounds.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--datasets", nargs="+", default=list(REAL), choices=REAL)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[8.0, 3.0, 1.0])
    parser.add_argument("--releases", type=int, nargs="+", default=[1, 9, 20, AUTO])
    parser.add_argument("--unit", default="picture", choices=("picture", "patient"), help="whom epsilon protects")
    parser.add_argument("--validation", action="store_true", help="judge on a part of train.npz, not on test.npz")
    parser.add_argument("--anew", action="store_true", help="compute features in each step, as hospitals do")
    parser.add_argument("--sockets", action="store_true", help="wall clock of studies at four datasites, instead")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, help="of studies with --sockets")
    parser.add_argument("--most_rounds", type=int, help="break a study of recipe auto off after these, with --sockets")
    parser.add_argument("--samplings", nargs="+", default=[], choices=SAMPLINGS, help="of recipe auto in whole epochs")
    options = parser.parse_args()
    if missing := [name for name in options.datasets if not (DATA / name / "train.npz").exists()]:
        print(f"No pictures: {', '.join(missing)} should be in {DATA}. Set WANWU_REAL_DATA to their folder.")
        return 2
    if options.sockets:
        measure(
            DATA / "rbc_chula", options.out.with_name("few_rounds_sockets.json"), options.kinds, options.most_rounds
        )
        return 0
    torch.set_num_threads(1)
    if not options.anew:
        remember_features()
    rows = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for dataset in options.datasets:
        for epsilon in options.epsilons:
            for releases in options.releases:
                for sampling in options.samplings or [None]:
                    rows.append(row_of(dataset, epsilon, releases, options, sampling))
                options.out.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
