"""Rows about people and what they may do, for the hospital's own people. They stay in the hospital."""

from __future__ import annotations

from dataclasses import dataclass

ADMIN, REVIEWER, AUDITOR = "admin", "reviewer", "auditor"
ROLES = (ADMIN, REVIEWER, AUDITOR)


@dataclass(frozen=True)
class ResearcherRow:
    """A researcher's newest certificate.

    Attributes:
        email: The account's address.
        state: `valid`, `expired` or `revoked`.
        issued: When, ISO 8601.
        expires: When, ISO 8601.
        revoked: When, ISO 8601; None for one that was not.
        days_left: Days that it is still valid.
    """

    email: str
    state: str
    issued: str
    expires: str
    revoked: str | None
    days_left: int


@dataclass(frozen=True)
class StaffRow:
    """One of the hospital's people, besides the owner of the state folder.

    Attributes:
        name: As decisions and audit entries state it.
        role: `admin`, `reviewer` or `auditor`.
        added_at: When, ISO 8601.
        added_by: By whom.
        password: Whether the person has set one for the console.
        second_factor: Whether sign-in takes a second factor too.
        proposed_role: The role that the person has once further admins confirm it; empty where nobody proposed one.
        proposed_by: Who did.
    """

    name: str
    role: str
    added_at: str
    added_by: str
    password: bool
    second_factor: bool
    proposed_role: str = ""
    proposed_by: tuple[str, ...] = ()
