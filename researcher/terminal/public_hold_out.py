"""The public hold-out that a study is scored on, read from what a command names. No hospital's picture is in it."""

from __future__ import annotations

from pathlib import Path

from policies.plans.training import TrainingPlan
from researcher.evaluation.feature_hold_out import with_features
from researcher.evaluation.hold_out import HoldOut, load_hold_out
from researcher.hospitals.hospital import DatasetInfo


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
