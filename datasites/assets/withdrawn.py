"""Patients who withdrew: pseudonyms of them and of what their pictures were read from. No later ingest takes these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from datasites.assets.read_rows import in_memory
from datasites.assets.store import PictureStore
from datasites.files.private_file import write_private
from policies.errors import StoreBroken

_SHOWN_DIGITS = 16  # hexadecimal digits of a pseudonym, in the log


@dataclass(frozen=True, repr=False)
class Withdrawn:
    """What no ingest takes any more.

    Attributes:
        patients: Pseudonyms of patients, 32 bytes each.
        sources: Pseudonyms of what their pictures were read from, which a file without its patient's name has too.
        shown: How the pseudonyms begin of those whom the audit log alone names.
    """

    patients: frozenset[bytes] = frozenset()
    sources: frozenset[bytes] = frozenset()
    shown: frozenset[str] = frozenset()

    def __or__(self, other: Withdrawn) -> Withdrawn:
        return Withdrawn(self.patients | other.patients, self.sources | other.sources, self.shown | other.shown)

    def has(self, mark: bytes) -> bool:
        """Whether the patient of this pseudonym withdrew."""
        return mark in self.patients or shown_of(mark) in self.shown

    def staying(self, store: PictureStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of a store's rows, int64 and (rows,) as those that are returned, that are nobody's who withdrew."""
        if store.sources is not None and self.sources:
            sources = in_memory(store.sources)
            rows = rows[[sources[row].tobytes() not in self.sources for row in rows.tolist()]]
        if store.patients is not None and (self.patients or self.shown):
            unit_stays = np.array([not self.has(mark.tobytes()) for mark in in_memory(store.patients)], dtype=np.bool_)
            rows = rows[unit_stays[in_memory(store.units)[rows]]]
        return rows

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads the list; empty where nobody withdrew yet.

        Raises:
            StoreBroken: It cannot be read: nothing is ingested without knowing who withdrew.
        """
        if not file.exists():
            return cls()
        try:
            values = json.loads(file.read_text(encoding="ascii"))
            return cls(frozenset(map(_mark, values["patients"])), frozenset(map(_mark, values["sources"])))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise StoreBroken(
                "The list of patients who withdrew cannot be read. Restore withdrawn.json from a backup, or remove the "
                "patients again that the audit log names.",
                private=f"{file}: {error}",
            ) from error

    def write(self, file: Path) -> None:
        """Writes the list in the old one's place, whole or not at all."""
        values = {name: sorted(mark.hex() for mark in getattr(self, name)) for name in ("patients", "sources")}
        write_private(file, json.dumps(values, indent=1) + "\n")


def holds_withdrawn(file: Path, store: PictureStore) -> bool:
    """Whether a store has pictures of somebody on the list of who withdrew.

    Raises:
        StoreBroken: The list cannot be read.
    """
    rows = np.arange(store.manifest.num_pictures, dtype=np.int64)
    return len(Withdrawn.read(file).staying(store, rows)) < len(rows)


def shown_of(mark: bytes) -> str:
    """How a pseudonym stands in the audit log."""
    return mark.hex()[:_SHOWN_DIGITS]


def _mark(text: str) -> bytes:
    mark = bytes.fromhex(text)
    if len(mark) != 32:
        raise ValueError("a pseudonym has 32 bytes")
    return mark
