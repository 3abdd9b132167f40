"""Roles that may do more: who must have asked for one before somebody of the hospital has it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from datasites.access.people import ROLES
from datasites.access.staff_file import StaffAccount
from policies.errors import NotAllowed

PROPOSED_FOR = timedelta(days=14)


class RoleOutcome(NamedTuple):
    """What became of a change of role: whether it is in force, whether it may do more, and who stands behind it."""

    in_force: bool
    more: bool
    people: tuple[str, ...]


class Asking(NamedTuple):
    """Who asks for somebody's role, at which hospital.

    Attributes:
        name: Of who asks.
        named: Whether with an own token, not merely that of the state folder's owner.
        admins: Names of all admins with an account.
        needed: How many people a request takes.
    """

    name: str
    named: bool
    admins: Collection[str]
    needed: int

    def alone(self, account: StaffAccount) -> bool:
        """Whether no further admin is needed for a role of this account that may do more.

        Guarantees:
            Where several people are needed it is the state folder's owner alone, while fewer other admins than that
            have an account.
        """
        return self.needed == 1 or (not self.named and len(set(self.admins) - {account.name}) < self.needed)

    def counts(self, account: StaffAccount) -> bool:
        """Whether who asks may be one of several people who are needed for a role of this account."""
        return self.named and self.name != account.name


def with_role(account: StaffAccount, role: str, asking: Asking) -> tuple[StaffAccount, RoleOutcome]:
    """The account with another role, or with a note of who wants that where it takes several people.

    Guarantees:
        A role that may do more is not given before as many different admins as are needed, none of them the person
        and each with an own token, have asked for it within `PROPOSED_FOR`; or one where `Asking.alone` says so.

    Raises:
        NotAllowed: It takes several people, and who asks cannot be one of them.
    """
    more = ROLES.index(role) < ROLES.index(account.role)
    alone = not more or asking.alone(account)
    if not alone and not asking.counts(account):
        raise NotAllowed(
            f"A role that may do more takes {asking.needed} other admins, each with an own token (--as FILE)."
        )
    people = tuple(sorted({*_stand_behind(account, role, asking.admins), asking.name})) if more else (asking.name,)
    if alone or len(people) >= asking.needed:
        given = replace(account, role=role, proposed_role="", proposed_by=(), proposed_at="")
        return given, RoleOutcome(True, more, people)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    noted = replace(account, proposed_role=role, proposed_by=people, proposed_at=now)
    return noted, RoleOutcome(False, more, people)


def _stand_behind(account: StaffAccount, role: str, admins: Collection[str]) -> tuple[str, ...]:
    """Who has asked for a role before and still may, where that is not too long ago."""
    if account.proposed_role != role:
        return ()
    lately = datetime.now(UTC) - datetime.fromisoformat(account.proposed_at) < PROPOSED_FOR
    return tuple(one for one in account.proposed_by if one in admins) if lately else ()
