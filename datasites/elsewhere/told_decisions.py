"""Decisions of other hospitals as people read them, and whose are kept. They stay in the hospital that keeps them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownHospital:
    """A hospital whose decisions are kept.

    Attributes:
        hospital: As it calls itself.
        fingerprint: Of the key that its name stays with.
        decisions: How many of its decisions are kept.
        latest: The day of the latest, ISO 8601.
    """

    hospital: str
    fingerprint: str
    decisions: int
    latest: str


@dataclass(frozen=True)
class DecidedElsewhere:
    """A decision of another hospital, whose signature was verified.

    Attributes:
        hospital: As it calls itself.
        decision: `approved` or `denied`.
        decided_on: The day, ISO 8601.
        reason: What it says of it in public; may be empty.
        fingerprint: Of the key that signed it.
    """

    hospital: str
    decision: str
    decided_on: str
    reason: str
    fingerprint: str
