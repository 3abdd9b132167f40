"""Patients who withdrew: pseudonyms of them and of what their pictures were read from. No later ingest takes these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from datasites.datasets.merging import Part
from datasites.files.private_file import write_private
from policies.errors import StoreBroken


@dataclass(frozen=True, repr=False)
class Withdrawn:
    """What no ingest takes any more.

    Attributes:
        patients: Pseudonyms of patients, 32 bytes each.
        sources: Pseudonyms of what their pictures were read from, which a file without its patient's name has too.
    """

    patients: frozenset[bytes] = frozenset()
    sources: frozenset[bytes] = frozenset()

    def __or__(self, other: Withdrawn) -> Withdrawn:
        return Withdrawn(self.patients | other.patients, self.sources | other.sources)

    def without(self, part: Part) -> Part:
        """The rows of a part that are nobody's who withdrew."""
        store, rows = part.store, part.rows
        if store.sources is not None and self.sources:
            rows = rows[[store.sources[row].tobytes() not in self.sources for row in rows.tolist()]]
        if store.patients is not None and self.patients:
            unit_stays = np.array([mark.tobytes() not in self.patients for mark in store.patients], dtype=np.bool_)
            rows = rows[unit_stays[store.units[rows]]]
        return Part(store, rows)

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
            return cls(*(frozenset(map(_mark, values[name])) for name in ("patients", "sources")))
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


def _mark(text: str) -> bytes:
    mark = bytes.fromhex(text)
    if len(mark) != 32:
        raise ValueError("a pseudonym has 32 bytes")
    return mark
