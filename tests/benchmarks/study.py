"""Which strategy pays when hospitals differ: `make bench-study` writes out/bench/study.json.

Five hospitals share one data set by a Dirichlet draw for each class: the smaller alpha, the more they differ. All train
in this process by the datasites' own `train_round`; averaging and encodings are the researcher's own. Three tables:
strategies at equal steps and rounds, encodings of weights and updates, and the same steps in more or fewer rounds. What
travelled is counted in encoded bytes, so what SCAFFOLD and MR-MTL send beside global weights is among them; of MR-MTL
the mean of the hospitals' models is judged. Pictures are real where they are at hand, else drawn; half of what the test
split holds is left alone, the other half says how good a model is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from policies.contracts.encodings import decode, encode
from policies.plans.public_size import rounded_up
from policies.plans.server.server_spec import STRATEGIES, ServerSpec
from policies.plans.training import ModelSpec, RunSpec, TrainingPlan
from researcher.planning import recipes
from researcher.strategies import ClientUpdate, KeptWeights, ServerState, Strategy
from researcher.studies.rounds.outgoing import OutgoingWeights, arrays_for
from researcher.studies.study import strategy_of

HOSPITALS = 5
LEAST_PICTURES = 100  # of a hospital; a draw that gives fewer is drawn again
ALPHAS = (0.1, 0.5, 100.0)
EPSILONS: tuple[float | None, ...] = (None, 8.0)
PROXIMAL_MU = 0.1
PARTS = ("strategies", "encodings", "local_steps")
ENCODINGS_COMPARED = (("none", "none"), ("none", "zstd"), ("none", "fp16"), ("none", "int8"), ("fp16", "int8"))
ALPHA_OF_ENCODINGS, ALPHA_OF_LOCAL_STEPS = 0.5, 0.1
OF_LOCAL_STEPS = ("fed_avg", "fed_prox", "scaffold")
ROUNDS_COMPARED = (100, 20, 5)
# dp_fc steps by a matrix, which bench-few-rounds measures; a model of one trained layer has no part to keep at home.
ELSEWHERE = ("dp_fc", "fed_per", "fed_bn")
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


@dataclass(frozen=True)
class Case:
    """A row before it is run.

    Attributes:
        part: Which table it stands in: `strategies`, `encodings` or `local_steps`.
        strategy: By its name in the plan.
        alpha: Of the Dirichlet draw.
        epsilon: None is no privacy.
        rounds: Of the study; its steps stay the same, so fewer rounds have more local steps.
        encodings: How weights come in and how updates leave.
    """

    part: str
    strategy: str
    alpha: float
    epsilon: float | None
    rounds: int
    encodings: tuple[str, str] = ("none", "none")


def cases_of(options: argparse.Namespace) -> Iterator[Case]:
    """Every row of the tables that were asked for: all strategies first, then what is compared at one alpha."""
    for epsilon in options.epsilons:
        if "strategies" in options.parts:
            for alpha in options.alphas:
                for strategy in options.strategies:
                    yield Case("strategies", strategy, alpha, epsilon, options.rounds)
    for epsilon in options.epsilons:
        if "encodings" in options.parts:
            for encodings in ENCODINGS_COMPARED:
                yield Case("encodings", "fed_avg", ALPHA_OF_ENCODINGS, epsilon, options.rounds, encodings)
        if "local_steps" in options.parts:
            for strategy in OF_LOCAL_STEPS:
                for rounds in ROUNDS_COMPARED:
                    yield Case("local_steps", strategy, ALPHA_OF_LOCAL_STEPS, epsilon, rounds)


def plan_for(case: Case, model: ModelSpec, hospitals: Mapping[str, LabelledPictures]) -> TrainingPlan:
    """The plan of `recipe = "auto"` with another strategy, at that strategy's defaults."""
    sizes = [own.public_size for own in hospitals.values()]
    settings: dict[str, Any] = recipes.auto(
        model, sizes, epsilon=case.epsilon, delta=1e-5, rounds=case.rounds
    ).settings(delta=1e-5, unit="picture")
    if case.strategy in ("fed_adagrad", "mr_mtl"):
        settings["server_momentum"] = 0.0
    if case.strategy == "mr_mtl":
        settings["server_averaging"] = 0.0
    settings["weights_encoding"], settings["update_encoding"] = case.encodings
    mu = PROXIMAL_MU if case.strategy == "fed_prox" else 0.0
    return TrainingPlan(
        "bench", "pictures", model, proximal_mu=mu, server=ServerSpec(case.strategy), run=RUN, **settings
    )


class Links:
    """What travels, in the encodings of a plan, and how many bytes that were."""

    def __init__(self, plan: TrainingPlan, strategy: Strategy, seed: int) -> None:
        self.plan, self.strategy, self.seed = plan, strategy, seed
        self.bytes_in = self.bytes_out = 0

    def into(self, state: ServerState, number: int, hospital: str) -> dict[str, NDArray[np.float32]]:
        """The arrays that a hospital starts a round from, as it decodes them."""
        arrays = arrays_for(self.strategy, self.plan, state, hospital)
        content = OutgoingWeights.encode(arrays, self.plan, number).content
        self.bytes_in += len(content)
        return self._decoded(content, arrays, self.plan.weights_encoding)

    def out_of(
        self, update: Mapping[str, NDArray[np.float32]], number: int, hospital: str
    ) -> dict[str, NDArray[np.float32]]:
        """A hospital's client update, as the researcher decodes it."""
        seed = f"{self.seed}/{number}/{hospital}".encode()
        content = encode(update, self.plan.update_encoding, seed=seed)
        self.bytes_out += len(content)
        return self._decoded(content, update, self.plan.update_encoding)

    @staticmethod
    def _decoded(
        content: bytes, arrays: Mapping[str, NDArray[np.float32]], encoding: str
    ) -> dict[str, NDArray[np.float32]]:
        return decode(content, {name: one.shape for name, one in arrays.items()}, encoding, max_bytes=len(content))


def run_study(
    plan: TrainingPlan, hospitals: Mapping[str, LabelledPictures], seed: int
) -> tuple[dict[str, NDArray[np.float32]], Links, float]:
    """The global model after all rounds, what travelled, and the seconds of processor time that it took."""
    begun, strategy = time.process_time(), strategy_of(plan)
    links = Links(plan, strategy, seed)
    with tempfile.TemporaryDirectory() as folder:
        state = replace(strategy.init(initial_weights(plan.model, seed)), kept=KeptWeights(Path(folder)))
        for number in range(plan.rounds):
            updates = (
                ClientUpdate(
                    name,
                    links.out_of(train_round(plan, number, links.into(state, number, name), own), number, name),
                    float(own.public_size),
                    steps=plan.steps_per_round,
                    summed_rates=plan.summed_rates(number),
                )
                for name, own in hospitals.items()
            )
            state = strategy.apply(state, updates)
    return state.model, links, time.process_time() - begun


def row_of(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Runs every seed of one row."""
    train, judged = load(options.dataset, "train"), load(options.dataset, "test")
    groups = np.unique(judged.groups)
    judged = judged.where(np.isin(judged.groups, groups[::2]))
    classes = int(train.labels.max()) + 1
    model = ModelSpec(options.model, train.images.shape[1:], classes)
    accuracies, scores, seconds, bytes_in, bytes_out, plan = [], [], 0.0, 0, 0, None
    for seed in range(options.seeds):
        hospitals = shared_out(train, case.alpha, seed)
        plan = plan_for(case, model, hospitals)
        weights, links, took = run_study(plan, hospitals, seed)
        counts = confusion_matrix(judged.labels, predict(model, weights, judged.images).argmax(axis=1), classes)
        accuracies.append(float(accuracy(counts)))
        scores.append(float(macro_f1(counts)))
        seconds += took
        bytes_in, bytes_out = bytes_in + links.bytes_in, bytes_out + links.bytes_out
    if plan is None:
        raise SystemExit("--seeds must be at least 1.")
    row = {
        "part": case.part,
        "dataset": options.dataset,
        "model": options.model,
        "strategy": case.strategy,
        "alpha": case.alpha,
        "epsilon": case.epsilon,
        "hospitals": HOSPITALS,
        "rounds": plan.rounds,
        "local_steps": plan.steps_per_round,
        "steps": plan.total_steps,
        "weights_encoding": plan.weights_encoding,
        "update_encoding": plan.update_encoding,
        "bytes_in": bytes_in // options.seeds,
        "bytes_out": bytes_out // options.seeds,
        "seeds": options.seeds,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_std": float(np.std(accuracies)),
        "macro_f1_mean": float(np.mean(scores)),
        "macro_f1_std": float(np.std(scores)),
        "cpu_seconds": seconds / options.seeds,
    }
    print(
        f"{case.strategy:<18} alpha {case.alpha:<5g} epsilon {case.epsilon or 'none':<5} {plan.rounds:>3} rounds of "
        f"{plan.steps_per_round:<3} {'/'.join(case.encodings):<9} accuracy {row['accuracy_mean']:.3f} ± "
        f"{row['accuracy_std']:.3f}, macro F1 {row['macro_f1_mean']:.3f} ± {row['macro_f1_std']:.3f}, "
        f"{row['bytes_in'] / 1e6:.2f} MB in, {row['bytes_out'] / 1e6:.2f} MB out "
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
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="which tables")
    alike = [name for name in STRATEGIES if name not in ELSEWHERE]
    parser.add_argument("--strategies", nargs="+", default=alike, choices=alike)
    parser.add_argument("--alphas", type=float, nargs="+", default=list(ALPHAS))
    parser.add_argument(
        "--epsilons", type=lambda text: None if text == "none" else float(text), nargs="+", default=list(EPSILONS)
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    remember_features()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for case in cases_of(options):
        rows.append(row_of(case, options))
        options.out.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
