"""Everybody who withdrew, by the list and by the audit log, and rows without them."""

from __future__ import annotations

from dataclasses import replace

from datasites.assets.withdrawn import Withdrawn, shown_of
from datasites.datasets.merging import Part
from datasites.files.state_folder import StateFolder
from datasites.state.kept_books import read_audit

WITHDRAWN = "patients withdrawn"


def who_withdrew(state: StateFolder) -> Withdrawn:
    """Everybody who withdrew: who is on the list, and whom the audit log names that a restored list does not have.

    Raises:
        StoreBroken: The list cannot be read.
        AuditBroken: The audit log does not hold.
    """
    listed = Withdrawn.read(state.withdrawn)
    if not state.audit.exists():
        return listed
    events = read_audit(state, lambda event: event["event"] == WITHDRAWN).entries
    told = frozenset(shown for event in events for shown in str(event["patients"]).split(", "))
    return replace(listed, shown=told - frozenset(map(shown_of, listed.patients)))


def without(gone: Withdrawn, part: Part) -> Part:
    """The rows of a part that are nobody's who withdrew."""
    return Part(part.store, gone.staying(part.store, part.rows))
