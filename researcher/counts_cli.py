"""The commands that ask the hospitals for counts: `statistics` and `evaluate --at_hospitals`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from policies.errors import FederationError
from policies.release_plans import EvaluationPlan, ReleaseSpec, StatisticsPlan
from researcher.federation import DatasetInfo, Federation
from researcher.intervals import Interval
from researcher.noised_metrics import auroc_of, metrics_of
from researcher.noised_statistics import statistics_of
from researcher.releases import CountRequest, Released
from researcher.submission import STUDY_FILE

if TYPE_CHECKING:
    from researcher.checkpoints import Checkpoint

SCORE_BINS = 20


def statistics(federation: Federation, options: argparse.Namespace, console: Console) -> None:
    """Class counts, channel means and spreads of every hospital's pictures, with the noise in their intervals."""
    info = _dataset(federation, options.dataset)
    plan = StatisticsPlan(
        study=options.study,
        dataset=info.name,
        image_shape=info.image_shape,
        num_classes=len(info.class_names),
        privacy=ReleaseSpec(options.noise_multiplier, options.delta, info.unit),
    )
    released = _collect(federation, plan, options.out, None, console)
    table = _table("datasite", *info.class_names, "channel mean", "channel spread", "epsilon")
    for name, arrays in released.arrays.items():
        found = statistics_of(arrays, noise_std=released.noise_std)
        table.add_row(
            name,
            *(_count(count) for count in found.class_counts),
            " ".join(map(_level, found.channel_mean)),
            " ".join(map(_level, found.channel_std)),
            f"{released.epsilon[name]:.2f}",
        )
    console.print(table)
    _save(options.out / "statistics.json", released)


def evaluate_at_hospitals(
    federation: Federation, checkpoint: Checkpoint, options: argparse.Namespace, console: Console
) -> None:
    """How a global model does on the hospitals' own pictures; every count carries the hospital's noise."""
    info = _dataset(federation, options.dataset)
    plan = EvaluationPlan(
        study=options.study,
        dataset=info.name,
        model=checkpoint.model,
        rounds=1,
        privacy=ReleaseSpec(options.noise_multiplier, options.delta, info.unit),
        score_bins=SCORE_BINS,
    )
    released = _collect(federation, plan, options.out, checkpoint.weights, console)
    recalls = [f"recall {name}" for name in info.class_names]
    table = _table("datasite", "accuracy", "macro F1", "AUROC", *recalls, "epsilon")
    rows = {name: (arrays, released.noise_std) for name, arrays in released.arrays.items()}
    summed, noise_std = {}, released.noise_std
    for array in plan.outputs:
        summed[array], noise_std = released.summed(array)
    rows["all together"] = (summed, noise_std)
    for name, (arrays, noise) in rows.items():
        found = metrics_of(arrays["confusion"], noise_std=noise)
        area = auroc_of(arrays["scores"], noise_std=noise)
        cost = f"{released.epsilon[name]:.2f}" if name in released.epsilon else ""
        shares = (found.accuracy, found.macro_f1, area.macro, *found.recall)
        table.add_row(name, *(_share(interval) for interval in shares), cost)
    console.print(table)
    console.print("Intervals hold the true value with probability 0.95; they include the hospitals' noise.")
    _save(options.out / "evaluation.json", released)


def _collect(
    federation: Federation,
    plan: EvaluationPlan | StatisticsPlan,
    folder: Path,
    weights: dict[str, np.ndarray] | None,
    console: Console,
) -> Released:
    """Submits the plan unless the folder holds it already, waits for the decisions, and asks."""
    if (folder / STUDY_FILE).exists():
        request = CountRequest.load(federation, folder)
    else:
        request = CountRequest.submit(federation, plan, folder)
        for name, sent in request.requests.items():
            console.print(f"  {name}: request {sent.request_id[:8]}, waiting for the hospital's decision")
    with console.status("Waiting for the hospitals ..."):
        request.wait_for_decisions()
        released = request.collect(weights)
    for name, reason in released.skipped.items():
        console.print(f"  [yellow]without {name}[/yellow]: {reason}", highlight=False)
    return released


def _dataset(federation: Federation, name: str | None) -> DatasetInfo:
    found = [dataset for dataset in federation.datasets() if name in (None, dataset.name)]
    if not found:
        raise FederationError(f"No hospital publishes a dataset {name!r}.")
    return found[0]


def _save(file: Path, released: Released) -> None:
    values = {name: {key: array.tolist() for key, array in arrays.items()} for name, arrays in released.arrays.items()}
    file.write_text(json.dumps({"noise_std": released.noise_std, "epsilon": released.epsilon, "released": values}))


def _share(interval: Interval) -> str:
    return f"{interval.value:.3f} [dim]{interval.low:.2f}–{interval.high:.2f}[/dim]"


def _count(interval: Interval) -> str:
    return f"{interval.value:.0f} [dim]{max(interval.low, 0):.0f}–{interval.high:.0f}[/dim]"


def _level(interval: Interval) -> str:
    """A number in [0, 1] with its interval: where noise hides it, the interval is what can be said."""
    return f"{interval.value:.2f} [dim]{interval.low:.2f}–{interval.high:.2f}[/dim]"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
