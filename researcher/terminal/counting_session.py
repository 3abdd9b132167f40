"""A request for counts in the terminal, from its decisions to its tables. Every count carries the hospital's noise."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from policies.answers import rounded
from policies.errors import WanwuError
from policies.plans.releases import EvaluationPlan, GramPlan, ReleaseSpec, StatisticsPlan
from policies.terminal.rich_terminal import PlainConsole, line
from researcher.counts.asked_before import AskedBefore
from researcher.counts.kept_gram import GRAM_FILE, KeptGram
from researcher.counts.noised_statistics import statistics_of
from researcher.counts.releases import CountRequest, Released
from researcher.counts.saved import SavedCounts
from researcher.hospitals.federation import Federation
from researcher.planning.count_settings import CountSettings, GramSettings
from researcher.planning.counted_dataset import check_seen, dataset_of
from researcher.planning.planning import cost_of_counts, make_gram_plan
from researcher.studies.retry_policy import RetryPolicy
from researcher.studies.submission import RECEIPTS, STUDY_FILE
from researcher.terminal.evaluated import evaluated
from researcher.terminal.progress import RoundDisplay
from researcher.terminal.tables import finding_statistics_table, statistics_table
from researcher.terminal.waiting import wait_for_decisions

if TYPE_CHECKING:
    from researcher.studies.checkpoints import Checkpoint

SCORE_BINS = 20


def ask_for_statistics(
    federation: Federation,
    settings: CountSettings,
    *,
    out: Path,
    console: PlainConsole,
    min_clients: int | None = None,
) -> None:
    """Counts of labels, channel means and spreads of every hospital's pictures, with the noise in their intervals.

    Once `min_clients` hospitals approved the others are waited for no longer than a study's are; every one if None.
    """
    info = dataset_of(federation, settings)
    plan = StatisticsPlan(
        study=settings.study,
        dataset=info.name,
        image_shape=info.image_shape,
        num_classes=len(info.class_names),
        privacy=_privacy(settings, info.unit),
        label_kind=info.label_kind,
        statement=settings.statement,
    )
    released = _collect(federation, plan, AskedBefore(info.class_names), out, None, console, min_clients)
    released = _with_earlier(released, _counts_in(out, plan), console)
    found = {name: statistics_of(arrays, noise_std=released.noise_std) for name, arrays in released.arrays.items()}
    table = finding_statistics_table if plan.label_kind == "multi" else statistics_table
    console.print(table(found, info.class_names, released.epsilon))
    SavedCounts(plan, released, info.class_names).save(out)


def ask_for_evaluation(
    federation: Federation,
    checkpoint: Checkpoint,
    settings: CountSettings,
    *,
    out: Path,
    console: PlainConsole,
    min_clients: int | None = None,
) -> None:
    """How a global model does on the hospitals' own pictures; every count carries the hospital's noise.

    Waits as `ask_for_statistics` does.
    """
    info = dataset_of(federation, settings)
    check_seen(federation, info.name, checkpoint.class_names, checkpoint.form)
    if checkpoint.form is None and info.form is not None:
        told = "The model's file does not say how files became the pictures that it was trained on; the hospitals' are"
        console.print(f"{told}: {info.form}.", soft_wrap=True)
    plan = EvaluationPlan(
        study=settings.study,
        dataset=info.name,
        model=checkpoint.model,
        rounds=1,
        privacy=_privacy(settings, info.unit),
        score_bins=SCORE_BINS,
        statement=settings.statement,
    )
    asked = AskedBefore.of_model(checkpoint, plan)
    released = _collect(federation, plan, asked, out, checkpoint.weights, console, min_clients)
    released = _with_earlier(released, _counts_in(out, plan), console)
    console.print(evaluated(plan, released, info.class_names))
    console.print("Intervals hold the true value with probability 0.95; they include the hospitals' noise.")
    SavedCounts(plan, released, info.class_names, checkpoint.plan_digest, checkpoint.round).save(out)


def ask_for_gram(
    federation: Federation,
    settings: GramSettings,
    *,
    out: Path,
    console: PlainConsole,
    min_clients: int | None = None,
) -> None:
    """The noised Gram matrix of the features that a head reads, kept for `few_rounds` studies of these features.

    Waits as `ask_for_statistics` does.
    """
    info = dataset_of(federation, settings)
    plan = make_gram_plan(settings, [one for one in federation.datasets() if one.name == info.name])
    together = f"{cost_of_counts(plan)}, of the {rounded.number(settings.epsilon)} for matrix and study together"
    released = _collect(federation, plan, AskedBefore(), out, None, console, min_clients, cost=together)
    kept = KeptGram.load(out) if (out / GRAM_FILE).exists() else None
    released = _with_earlier(released, kept, console)
    sizes = {one.datasite: one.public_size for one in federation.datasets() if one.name == info.name}
    sizes = {**(kept.public_sizes if kept else {}), **sizes}
    KeptGram.of(plan, released, sizes).save(out)
    for name, epsilon in released.epsilon.items():
        console.print(f"  {name}: its Gram matrix cost {rounded.at_delta(epsilon, plan.privacy.delta)}")
    console.print(f"Written to {out}/. Studies of these features take it at no further cost, with", soft_wrap=True)
    console.print(f"  --gram {shlex.quote(str(out))}", soft_wrap=True)


def _counts_in(folder: Path, plan: EvaluationPlan | StatisticsPlan) -> Released | None:
    """What the folder has of this request from before.

    Raises:
        ConfigError: Its file is damaged: what hospitals were charged for is not written over.
    """
    file = folder / f"{plan.kind}.json"
    return SavedCounts.load(file).released if file.exists() else None


def _with_earlier(released: Released, before: Released | KeptGram | None, console: PlainConsole) -> Released:
    """What came, with what hospitals that do not answer now gave before: they were charged for it."""
    if before is None:
        return released
    for name in before.arrays.keys() - released.arrays.keys():
        console.print(line("  ", name, ": what it released before is kept; it did not answer now."))
    return released.with_earlier({name: dict(of) for name, of in before.arrays.items()}, before.epsilon)


def _privacy(settings: CountSettings, unit: str) -> ReleaseSpec:
    """The noise, on the dataset's own privacy unit."""
    return ReleaseSpec(settings.noise_multiplier, settings.delta, unit)


def _collect(
    federation: Federation,
    plan: EvaluationPlan | StatisticsPlan | GramPlan,
    asked: AskedBefore,
    folder: Path,
    weights: dict[str, np.ndarray] | None,
    console: PlainConsole,
    min_clients: int | None,
    *,
    cost: str = "",
) -> Released:
    """Submits the plan unless the folder holds it already, waits for the decisions, asks, and fetches the receipts.

    Raises:
        ConfigError: The folder holds a request that was asked for something else.
    """
    if (folder / STUDY_FILE).exists():
        request = CountRequest.load(federation, folder)
        asked.check_again(folder, request.plan, plan)
    else:
        request = CountRequest.submit(federation, plan, folder, before=asked.save)
        console.print(f"Submitted '{plan.study}': {cost or cost_of_counts(plan)}.", soft_wrap=True)
        for name, sent in request.requests.items():
            console.print(f"  {name}: request {sent.request_id[:8]}, waiting for the hospital's decision")
        for name, reason in request.refused.items():
            console.print(line("  ", (f"without {name}", "yellow"), f": {reason}"))
        for told in request.told_left_behind():
            console.print(line("  ", told))
    policy = RetryPolicy()
    wait_for_decisions(request, console, min_clients=min_clients, grace_seconds=policy.grace_seconds)
    with RoundDisplay(console, list(request.requests), rounds=1) as display:
        released = request.collect(
            weights, min_clients=min_clients or 1, retry_policy=policy, on_event=display.on_event
        )
    for name, reason in released.skipped.items():
        console.print(line("  ", (f"without {name}", "yellow"), f": {reason}"))
    missing: dict[str, WanwuError] = {}
    request.receipts(folder / RECEIPTS, on_missing=missing.__setitem__)
    for name, error in missing.items():
        told = f": its receipt was not fetched, ask again with the command receipts. {error.code}: {error.public}"
        console.print(line("  ", (name, "yellow"), told))
    return released
