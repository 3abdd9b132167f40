"""The last receipt of a round from each hospital of a study, kept in its folder and shown to that hospital again.

A hospital whose books were put back to an earlier state finds it out by what it has signed itself, before it runs and
charges a round again. Nothing that the hospital did not send is shown to it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path

from policies.contracts.round_receipt import ROUND_RECEIPT, could_be_one
from policies.errors import ConfigError
from policies.versions.releases import Minor, Release
from researcher import atomic_file

RECEIPTS_FILE = "round_receipts.json"
FIRST_MINOR: Minor = (0, 3)
"""Hospitals of this minor version and later read receipts of rounds."""


class RoundReceipts:
    """Of each code request of one study the receipt of its latest round. Any thread may use it."""

    def __init__(self, folder: Path) -> None:
        """Reads nothing yet.

        Args:
            folder: The study's.
        """
        self._folder, self._lock = folder, threading.Lock()
        self._kept: dict[str, tuple[int, str]] | None = None

    def take(self, request_id: str, round_index: int, text: str) -> None:
        """Keeps a receipt, unless one of a later round is kept or it cannot be one; a full disk stops nobody.

        Args:
            request_id: The code request's, which is one of the study's.
            round_index: From 0.
            text: As the hospital sent it.
        """
        if not could_be_one(text):
            return
        with self._lock:
            kept = self._read()
            if request_id in kept and kept[request_id][0] >= round_index:
                return
            kept[request_id] = round_index, text
            with contextlib.suppress(ConfigError):
                atomic_file.write(self._folder / RECEIPTS_FILE, json.dumps(kept, indent=1))

    def shown(self, request_id: str, release: Release | None) -> dict[str, str]:
        """The header that shows a hospital its last receipt; none where it gave none or is of a release before 0.3.

        Args:
            request_id: The code request's.
            release: The hospital's.
        """
        if release is None or release.minor_version < FIRST_MINOR:
            return {}
        with self._lock:
            kept = self._read().get(request_id)
        return {} if kept is None else {ROUND_RECEIPT: kept[1]}

    def _read(self) -> dict[str, tuple[int, str]]:
        """What is kept; nothing where the file is missing or was changed: the hospital gives the next one."""
        if self._kept is None:
            try:
                file = self._folder / RECEIPTS_FILE
                values = json.loads(atomic_file.read(file)) if file.exists() else {}
                kept = {str(key): (int(of), str(text)) for key, (of, text) in values.items()}
            except (ConfigError, OSError, ValueError, TypeError, AttributeError, RecursionError):
                kept = {}
            self._kept = {key: one for key, one in kept.items() if could_be_one(one[1])}
        return self._kept
