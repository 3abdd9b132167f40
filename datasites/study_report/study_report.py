"""A study's report for the hospital's own people: what its models are worth here, and what its updates give away.

It is computed by a command, in a process of its own, and written into a file of the hospital's account. No route and no
room that a researcher reaches knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasites.assets.dataset_version import versions_of
from datasites.assets.read_rows import taken
from datasites.assets.store import PictureStore, read_store
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.state.pseudonym_secret import pseudonym_secret
from datasites.study_report.groups import GroupRow, group_rows
from datasites.study_report.membership import Membership, find_membership
from datasites.study_report.own_hold_out import OwnHoldOut, read_hold_out
from datasites.study_report.released_rounds import ReleasedStudy, find_study
from datasites.training.evaluation import predict
from policies.errors import ConfigError

MAX_MEMBERS = 5000  # pictures of the dataset that are looked at, drawn at random
_LEAST_SHARE = 1e-12


@dataclass(frozen=True)
class StudyReport:
    """All that the report says.

    Attributes:
        study: Its name.
        request_id: Of its request.
        dataset: The dataset's name.
        dataset_version: Which version its rounds read.
        released: How many rounds released an update.
        looked_at: The rounds whose updates were kept and looked at, from 0.
        hold_out_pictures: How many pictures of the hold-out were scored.
        hold_out_left_out: How many were not: unreadable, or of the dataset or its patients.
        rows: The models' scores.
        counted: What the rows count: `patient`, or `picture` where the hold-out names no patients.
        unit: The dataset's privacy unit, `patient` or `picture`, of which the membership tells.
        membership: What the updates give away.
    """

    study: str
    request_id: str
    dataset: str
    dataset_version: int
    released: int
    looked_at: tuple[int, ...]
    hold_out_pictures: int
    hold_out_left_out: int
    rows: tuple[GroupRow, ...]
    counted: str
    unit: str
    membership: Membership


def make_report(state: StateFolder, study: str, hold_out: Path, columns: Sequence[str]) -> StudyReport:
    """Makes a study's report from the hospital's own books, store and hold-out.

    The local model is the one that the last kept round ended with here; the global one is what it began with.

    Guarantees:
        Nothing is charged, since nothing of it leaves; the ledger is read and not written.

    Args:
        state: The datasite's folder; it may be running.
        study: Name of the study, or the beginning of its request's identifier.
        hold_out: Folder, `.npz` or table with pictures that the dataset does not have.
        columns: Of a table: columns whose values are subgroups.

    Raises:
        ConfigError: There is no such study, its updates are not kept any more, or the dataset's version is not.
        DataError: The hold-out cannot be read as that.
    """
    config, found = DatasiteConfig.from_toml(state.config), find_study(state, study)
    store = _store(state, config, found.dataset_version)
    secret = b"" if store.patients is None else pseudonym_secret(state)
    pictures = read_hold_out(hold_out, columns, config.dataset, store, secret)
    plan, last = found.plan, found.read(found.rounds[-1])
    before, after = (_predict(found, weights, pictures.images) for weights in last)
    privacy = plan.privacy
    return StudyReport(
        study=plan.study,
        request_id=found.decision.request_id,
        dataset=plan.dataset,
        dataset_version=found.dataset_version,
        released=found.released,
        looked_at=tuple(one.round for one in found.rounds),
        hold_out_pictures=len(pictures.images),
        hold_out_left_out=pictures.left_out,
        rows=group_rows(pictures, store.manifest.class_names, after, before),
        counted=pictures.counted,
        unit=store.manifest.unit,
        membership=find_membership(
            *_scores(found, store, pictures),
            spent=None if privacy is None else found.spent,
            delta=0.0 if privacy is None else privacy.delta,
        ),
    )


def _store(state: StateFolder, config: DatasiteConfig, number: int) -> PictureStore:
    for version in versions_of(state.store, config.dataset.name):
        if version.number == number and version.whole:
            return read_store(version.folder)
    raise ConfigError(f"The pictures of version {number}, which the study read, are not kept any more.")


def _scores(
    found: ReleasedStudy, store: PictureStore, hold_out: OwnHoldOut
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much the updates lowered the loss on the pictures of each privacy unit, of dataset and hold-out."""
    rows = np.sort(np.random.default_rng(0).permutation(len(store.labels))[:MAX_MEMBERS])
    sets = (taken(store.images, rows), store.labels[rows]), (hold_out.images, hold_out.labels)
    lowered = [np.zeros(len(labels)) for _, labels in sets]
    for kept in found.rounds:
        before, after = found.read(kept)
        for total, (images, labels) in zip(lowered, sets, strict=True):
            total += _loss(_predict(found, before, images), labels) - _loss(_predict(found, after, images), labels)
    if store.manifest.unit == "picture":  # one is compared with one, whosever they are
        return lowered[0], lowered[1]
    return _of_each(lowered[0], store.units[rows]), _of_each(lowered[1], hold_out.patients)


def _of_each(values: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean over each unit's pictures."""
    _, places = np.unique(units, return_inverse=True)
    means: NDArray[np.float64] = np.bincount(places, weights=values) / np.bincount(places)
    return means


def _loss(probabilities: NDArray[np.float32], labels: NDArray[np.int64] | NDArray[np.int8]) -> NDArray[np.float64]:
    """Each picture's loss, from its probabilities; of findings the mean over those that are known."""
    shares = np.clip(probabilities.astype(np.float64), _LEAST_SHARE, 1 - _LEAST_SHARE)
    if labels.ndim == 1:
        return -np.log(shares[np.arange(len(labels)), labels])
    known = labels >= 0
    losses = -np.where(labels > 0, np.log(shares), np.log1p(-shares)) * known
    return np.asarray(losses.sum(axis=1) / labels.shape[1], dtype=np.float64)


def _predict(
    found: ReleasedStudy, weights: dict[str, np.ndarray], images: NDArray[np.uint8] | NDArray[np.uint16]
) -> NDArray[np.float32]:
    return predict(found.plan.model, weights, images)
