"""How well private studies do: `make bench-accuracy` writes out/bench/accuracy.json.

All hospitals of a study train in this process by the datasites' own `train_round`, with its sampler, its generator of
noise and its engine; the recipe and the averaging are real too. Servers, transport and ledger are left
out: they change no number. What a study costs is computed anew from its plan by the accountant. Pictures are real ones;
with `--unit patient` also drawn ones, which are always at hand.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import drawn_patients
import numpy as np
import torch
from numpy.typing import NDArray

from datasites.training.evaluation import predict
from datasites.training.local_round import train_round
from datasites.training.metrics import accuracy, confusion_matrix, macro_f1
from datasites.training.models import initial_weights
from datasites.training.models.scattering_linear import ScatteringFeatures
from datasites.training.pictures.data import LabelledPictures
from policies.budget.accountant import epsilon_spent, plan_spend
from policies.plans.public_size import rounded_up
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan
from researcher.planning import recipes
from researcher.strategies import ClientUpdate, FedAvg

PROJECT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("WANWU_REAL_DATA", PROJECT.parent / "shared" / "data"))
REAL = ("rbc_chula", "cells_bccd")
EPSILONS: tuple[float | None, ...] = (None, 8.0, 3.0)
DELTA = 1e-5
HOSPITALS_OF_ONE_SITE = 3
VALIDATION_SHARE = 0.15  # of each hospital's groups


@dataclass(frozen=True)
class Pictures:
    """Pictures with their classes, and the groups (smears, patients) that no split may cut.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
        hospitals: Name of each picture's hospital, (N,).
        groups: (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    hospitals: NDArray[np.str_]
    groups: NDArray[np.str_]

    def where(self, chosen: NDArray[np.bool_]) -> Pictures:
        """The chosen ones."""
        return Pictures(self.images[chosen], self.labels[chosen], self.hospitals[chosen], self.groups[chosen])


def load(dataset: str, split: str) -> Pictures:
    """Reads or draws a split; a set of one site is dealt out to three hospitals, group by group."""
    if dataset in drawn_patients.DATASETS:
        return Pictures(*drawn_patients.draw_patients(dataset, split))
    with np.load(DATA / dataset / f"{split}.npz", allow_pickle=False) as arrays:
        sites, groups = arrays["sites"], arrays["groups"]
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    if len(np.unique(sites)) == 1:
        number = np.unique(groups, return_inverse=True)[1] % HOSPITALS_OF_ONE_SITE
        sites = np.array([f"hospital_{one}" for one in "abc"])[number]
    return Pictures(images, labels, sites, groups)


def held_back(pictures: Pictures, seed: int) -> tuple[Pictures, Pictures]:
    """Training and validation part: whole groups of each hospital, for choosing a recipe."""
    random, chosen = np.random.default_rng(seed), np.zeros(len(pictures.labels), dtype=bool)
    for hospital in np.unique(pictures.hospitals):
        here = pictures.hospitals == hospital
        groups = random.permutation(np.unique(pictures.groups[here]))
        chosen |= here & np.isin(pictures.groups, groups[: max(3, round(VALIDATION_SHARE * len(groups)))])
    return pictures.where(~chosen), pictures.where(chosen)


def hospitals_of(pictures: Pictures, unit: str) -> dict[str, LabelledPictures]:
    """Each hospital's pictures, with a size declared as datasites do: rounded up.

    Args:
        pictures: Of all hospitals.
        unit: `picture`, or `patient`: each group is a patient.
    """
    found = {}
    for name in np.unique(pictures.hospitals):
        own = pictures.where(pictures.hospitals == name)
        units = np.arange(len(own.labels)) if unit == "picture" else np.unique(own.groups, return_inverse=True)[1]
        size = rounded_up(int(units.max()) + 1)
        found[str(name)] = LabelledPictures(own.images, own.labels, units.astype(np.int64), size)
    return found


def plan_for(model: ModelSpec, sizes: Sequence[int], epsilon: float | None, unit: str, each: int) -> TrainingPlan:
    """The plan of `recipe = "auto"`, with so many pictures of each drawn unit in a step."""
    augmentation = "none" if model.name in recipes.HEADS else "flips_and_turns"
    recipe = recipes.auto(model, sizes, epsilon=epsilon, delta=DELTA, augmentation=augmentation)
    settings = {**recipe.settings(delta=DELTA, unit=unit), "pictures_per_patient": each}
    return TrainingPlan("bench", "pictures", model, augmentation=augmentation, run=RunSpec(device="cpu"), **settings)


def run_study(
    plan: TrainingPlan, hospitals: Mapping[str, LabelledPictures], seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """The global model after all rounds, and the seconds of processor time that it took."""
    begun = time.process_time()
    strategy = FedAvg(server_momentum=plan.server_momentum, server_averaging=plan.server_averaging)
    state = strategy.init(initial_weights(plan.model, seed))
    for number in range(plan.rounds):
        updates = (
            ClientUpdate(name, train_round(plan, number, state.weights, own), float(own.public_size))
            for name, own in hospitals.items()
        )
        state = strategy.apply(state, updates)
    return state.model, time.process_time() - begun


def row_of(
    dataset: str, model: str, epsilon: float | None, each: int, options: argparse.Namespace
) -> dict[str, str | float | int | None]:
    """Runs every seed of one row."""
    accuracies, scores, seconds, spent = [], [], 0.0, None
    plan = None
    for seed in range(options.seeds):
        train = load(dataset, "train")
        judged = load(dataset, "test") if not options.validation else None
        if judged is None:
            train, judged = held_back(train, seed)
        hospitals, classes = hospitals_of(train, options.unit), int(train.labels.max()) + 1
        spec = ModelSpec(model, train.images.shape[1:], classes)
        plan = plan_for(spec, [own.public_size for own in hospitals.values()], epsilon, options.unit, each)
        if epsilon is not None:
            spent = epsilon_spent(plan_spend(plan), DELTA)
            if spent > epsilon:
                raise SystemExit(f"The recipe spends epsilon {spent}, more than the {epsilon} that was asked for.")
        weights, took = run_study(plan, hospitals, seed)
        counts = confusion_matrix(judged.labels, predict(spec, weights, judged.images).argmax(axis=1), classes)
        accuracies.append(float(accuracy(counts)))
        scores.append(float(macro_f1(counts)))
        seconds += took
        print(
            f"{dataset} {model} epsilon {epsilon} pictures {each} seed {seed}: accuracy {accuracies[-1]:.3f}, macro F1 "
            f"{scores[-1]:.3f}, {took:.0f} s of processor time",
            flush=True,
        )
    if plan is None:
        raise SystemExit("--seeds must be at least 1.")
    return {
        "dataset": dataset,
        "model": model,
        "split": "validation" if options.validation else "test",
        "epsilon": epsilon,
        "epsilon_spent": spent,
        "unit": options.unit,
        "pictures_per_unit": each,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "macro_f1_mean": float(np.mean(scores)),
        "macro_f1_std": float(np.std(scores)),
        "seeds": options.seeds,
        "hospitals": len(hospitals),
        "features": "computed in each step" if options.anew else "remembered",
        "cpu_seconds": seconds / options.seeds,
        "plan": json.loads(replace(plan, study=f"{dataset}-{model}".replace("_", "-")).to_json()),
    }


def remember_features() -> None:
    """Makes scattering features be computed once for each picture instead of in each step that draws it.

    They are a fixed function of the picture, so only the time changes. Hospitals keep nothing between rounds.
    """
    places: dict[int, int] = {}
    features = np.empty((0, 0), np.float32)  # torch would mark them by the mode that they were first computed in
    compute = ScatteringFeatures.forward

    def forward(self: ScatteringFeatures, images: torch.Tensor) -> torch.Tensor:
        nonlocal features
        if images.is_meta or not len(images):
            return compute(self, images)
        keys = [hash(one.tobytes()) for one in images.numpy()]
        new = {key: row for row, key in enumerate(keys) if key not in places}
        if new:
            computed, kept = compute(self, images[list(new.values())]).numpy(), len(places)
            places.update(zip(new, range(kept, kept + len(new)), strict=True))
            if len(places) > len(features):
                features, before = np.empty((2 * len(places), computed.shape[1]), np.float32), features
                features[:kept] = before[:kept] if kept else 0
            features[kept : len(places)] = computed
        return torch.from_numpy(features[[places[key] for key in keys]])

    ScatteringFeatures.forward = forward  # type: ignore[method-assign]


def _epsilon(text: str) -> float | None:
    return None if text == "none" else float(text)


def main() -> int:
    """Runs all rows and writes them after each, so that an interrupted run leaves what it has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench/accuracy.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--datasets", nargs="+", default=list(REAL), choices=[*REAL, *drawn_patients.DATASETS])
    parser.add_argument("--models", nargs="+", default=["scattering_linear"])
    parser.add_argument("--epsilons", type=_epsilon, nargs="+", default=list(EPSILONS), help="none is no privacy")
    parser.add_argument("--unit", default="picture", choices=("picture", "patient"), help="whom epsilon protects")
    parser.add_argument("--pictures_per_patient", type=int, nargs="+", default=[1], help="each of these in turn (1)")
    parser.add_argument("--validation", action="store_true", help="judge on a part of train.npz, not on test.npz")
    parser.add_argument(
        "--anew", action="store_true", help="compute features in each step, as hospitals do: slower, the same numbers"
    )
    options = parser.parse_args()
    real = [name for name in options.datasets if name in REAL]
    if missing := [name for name in real if not (DATA / name / "train.npz").exists()]:
        print(f"No pictures: {', '.join(missing)} should be in {DATA}. Set WANWU_REAL_DATA to their folder.")
        return 2
    torch.set_num_threads(1)
    if not options.anew:
        remember_features()
    rows = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for dataset in options.datasets:
        for model in options.models:
            for epsilon in options.epsilons:
                for each in options.pictures_per_patient if epsilon is not None else [1]:
                    rows.append(row_of(dataset, model, epsilon, each, options))
                    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        print(
            f"{row['dataset']:<15} {row['model']:<18} epsilon {row['epsilon'] or 'none':<5} "
            f"pictures {row['pictures_per_unit']} of each {row['unit']}, accuracy "
            f"{row['accuracy_mean']:.3f} ± {row['accuracy_std']:.3f}, macro F1 {row['macro_f1_mean']:.3f} ± "
            f"{row['macro_f1_std']:.3f} ({row['cpu_seconds']:.0f} s of processor time each)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
