"""A dataset with patients in a state folder with real books, for tests of its versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from support.array_store import SECRET, in_this_process, listing_of
from support.books import ledger_of, tenth_a_step

from datasites.assets.dataset_version import newest_version
from datasites.assets.store import PictureStore, StoreManifest, open_store
from datasites.config import DatasiteConfig
from datasites.datasets.adding import Ingest
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.ingestion.ingest import Asked
from datasites.prepare import write_config
from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.listing import Listing
from policies.budget.accountant import GaussianSteps
from policies.budget.limits import DatasetLimits, PrivacyBudget

CLASSES = ("dark", "bright")
LEAST = 10  # privacy units
LIMITS = DatasetLimits(PrivacyBudget(1.0, 1e-5))

__all__ = ["SECRET", "tenth_a_step"]


def make_state(folder: Path) -> StateFolder:
    """A datasite without pictures."""
    state = StateFolder(folder)
    write_config(state, DatasiteConfig(name="north"))
    write_private(state.identity / "pseudonyms.key", SECRET.hex())
    return state


def pictures_of(patients: Sequence[str], *, each: int = 2, salt: int = 0) -> Listing:
    """Some pictures of each patient; the values of one tell whose it is."""
    named = [patient for patient in patients for _ in range(each)]
    images = np.stack([_image(patient, index % each, salt) for index, patient in enumerate(named)])
    return listing_of(images, [index % 2 for index in range(len(named))], CLASSES, named)


def _image(patient: str, index: int, salt: int) -> np.ndarray:
    number = int(patient.removeprefix("p")) * 8 + index
    return np.array([number % 256, number // 256, salt, 7], dtype=np.uint8).reshape(2, 2, 1)


def people(*numbers: int) -> list[str]:
    return [f"p{number}" for number in numbers]


def take(state: StateFolder, listing: Listing, *, name: str = "pictures", **settings: object) -> StoreManifest:
    """What `python -m datasites ingest` does with a listing."""
    asked = DatasetSettings(**{"name": name, "unit": "patient", **settings})  # type: ignore[arg-type]
    return Ingest(state, Asked(asked, SECRET, state.ingest_report, min_public_size=LEAST), in_this_process).take(
        listing
    )


def newest(state: StateFolder, name: str = "pictures") -> PictureStore:
    store = open_store(newest_version(state.store, name).folder)
    store.verify()
    return store


def numbers_in(store: PictureStore) -> set[int]:
    """The numbers of the patients whose pictures a store holds, by the pictures themselves."""
    flat = store.images.reshape(len(store.images), -1).astype(int)
    return set(((flat[:, 0] + 256 * flat[:, 1]) // 8).tolist())


def reserve(state: StateFolder, request: str, manifest: StoreManifest, *, steps: int, rounds: int = 2) -> None:
    """What an approval reserves: a tenth of an epsilon for each step, of 1.0 in all."""
    ledger_of(state).reserve(
        fingerprint=manifest.budget_key,
        dataset=manifest.name,
        request_id=request,
        study=f"study-{request}",
        researcher="ada@example.org",
        plan_digest="c" * 64,
        spend=(GaussianSteps(1.0, 0.1, steps),),
        rounds=rounds,
        limits=LIMITS,
        dataset_version=manifest.dataset_version,
    )


def run_round(state: StateFolder, request: str, index: int, *, steps: int = 1, update: str = "1" * 64) -> None:
    """A round that was charged and gave an update."""
    ledger = ledger_of(state)
    ledger.start(request_id=request, round_index=index, spend=GaussianSteps(1.0, 0.1, steps), weights_digest="3" * 64)
    ledger.commit(request_id=request, round_index=index, update_digest=update)
