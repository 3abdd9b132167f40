"""Consent that was withdrawn while requests waited. It is said to who decides, and never to researchers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from datasites.assets.published import PublishedDataset
from datasites.assets.store import open_store
from datasites.assets.withdrawn import holds_withdrawn
from policies.errors import RequestError


def check_consent(withdrawn: Path, dataset: PublishedDataset, *, begun: bool = False) -> None:
    """Refuses to approve what would read pictures of patients who withdrew after the datasite was started.

    Args:
        withdrawn: The list of who withdrew.
        dataset: At the version that would be read.
        begun: Whether an interrupted approval has reserved for that version, which is read whenever it is completed.

    Raises:
        RequestError: That version has pictures of such a patient.
        StoreBroken: Who withdrew cannot be read.
    """
    if not withdrawn.exists():
        return
    kept = withdrawn.stat()
    if _reads_theirs(withdrawn, (kept.st_ino, kept.st_mtime_ns, kept.st_size), dataset.store):
        if begun:
            raise RequestError(
                "The approval of this request was begun before patients withdrew, and it would still read their "
                "pictures. Deny it, and let the researcher submit it again."
            )
        raise RequestError(
            "Patients withdrew since this datasite was started, and the request would still read their pictures. "
            "Start the datasite again, then decide: it reads the version without them."
        )


@lru_cache(maxsize=64)
def _reads_theirs(withdrawn: Path, _list: tuple[int, ...], store: Path) -> bool:
    """Looked at once for each list that was written: a version stays as it is, and cards are asked for often."""
    return holds_withdrawn(withdrawn, open_store(store))
