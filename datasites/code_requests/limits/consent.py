"""Consent that was withdrawn while requests waited. It is said to who decides, and never to researchers."""

from __future__ import annotations

from pathlib import Path

from datasites.assets.published import PublishedDataset
from datasites.assets.store import open_store
from datasites.datasets.withdrawn import holds_withdrawn
from policies.errors import RequestError


def check_consent(withdrawn: Path, dataset: PublishedDataset) -> None:
    """Refuses to approve what would read pictures of patients who withdrew after the datasite was started.

    Args:
        withdrawn: The list of who withdrew.
        dataset: At the version that would be read.

    Raises:
        RequestError: That version has pictures of such a patient.
        StoreBroken: Who withdrew cannot be read.
    """
    if withdrawn.exists() and holds_withdrawn(withdrawn, open_store(dataset.store)):
        raise RequestError(
            "Patients withdrew since this datasite was started, and the request would still read their pictures. "
            "Start the datasite again, then decide: it reads the version without them."
        )
