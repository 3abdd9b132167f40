"""Public data that a study's command names: what it is scored on, and weights to start from. No hospital's are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from policies.plans.training import TrainingPlan
from policies.terminal.printing import say
from researcher.evaluation.feature_hold_out import with_features
from researcher.evaluation.hold_out import HoldOut, load_hold_out
from researcher.hospitals.hospital import DatasetInfo
from researcher.planning.initial_weights import load_initial_weights
from researcher.studies.checkpoints import STATE_FILE
from researcher.studies.study import Study


def hold_out_for(plan: TrainingPlan, info: DatasetInfo, test: Path, backbone_weights: str | None) -> HoldOut:
    """The public hold-out, read as a hospital reads its pictures, with features where the plan's model reads them.

    Args:
        plan: The study's.
        info: Its dataset, as a hospital publishes it.
        test: A folder, an `.npz` file, a table, or a `.toml` that describes it.
        backbone_weights: Of a model that reads features; None elsewhere.

    Raises:
        DataError: It cannot be read, or is of other classes or pictures.
        ConfigError: Weights are missing, or others than the plan's.
    """
    read = load_hold_out(
        test, class_names=info.class_names, image_shape=info.image_shape, form=info.form, label_kind=info.label_kind
    )
    return with_features(read, plan.model, backbone_weights)


def first_weights(
    study: Study, out: Path, source: str | None, *, sha256: str | None, seed: int
) -> Mapping[str, np.ndarray] | None:
    """Public weights to start from, each of its parameter's shape; None to start at random, or to go on.

    Their record stands in the study's folder.
    """
    if source is None or (out / STATE_FILE).exists():
        return None
    public = load_initial_weights(study.plan.model, source, sha256=sha256 or "", seed=seed)
    public.save_record(out)
    loaded = len(public.weights) - len(public.not_loaded)
    drawn = ", ".join(public.not_loaded) or "none"
    say(f"Starting from {public.source}: {loaded} of {len(public.weights)} parameters; at random: {drawn}.")
    return public.weights
