"""Proposals to allow more on a dataset, which wait for further people's confirmation. They stay in the hospital."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from datasites.files.private_file import write_private
from policies.answers.plain_values import from_plain, to_plain
from policies.budget.limit_changes import LimitChange
from policies.errors import ConfigError, RequestUnknown

EXPIRES_AFTER = timedelta(days=14)


@dataclass(frozen=True)
class LimitProposal:
    """A change of limits that somebody proposed.

    Attributes:
        id: Its identifier.
        changes: What it would change, from the limits as they were then.
        values: The new values, by name.
        reason: Why, as its proposer says.
        by: Who proposed it.
        at: When, UTC.
        expires: When it ends by itself, UTC.
        confirmed: Who has confirmed it since.
    """

    id: str
    changes: tuple[LimitChange, ...]
    values: Mapping[str, Any]
    reason: str
    by: str
    at: str
    expires: str
    confirmed: tuple[str, ...] = ()


def propose(changes: tuple[LimitChange, ...], values: Mapping[str, Any], *, by: str, reason: str) -> LimitProposal:
    """A new proposal."""
    now = datetime.now(UTC)
    at, expires = (moment.isoformat(timespec="seconds") for moment in (now, now + EXPIRES_AFTER))
    return LimitProposal(secrets.token_hex(4), changes, dict(values), reason, by, at, expires)


class LimitProposals:
    """The file of proposals. Whoever calls it sees to it that nobody else does meanwhile."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self) -> tuple[LimitProposal, ...]:
        """Every proposal, oldest first, also those that have expired.

        Raises:
            ConfigError: The file cannot be read.
        """
        try:
            found = json.loads(self._file.read_text())
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise _unreadable("it is no JSON") from error
        if not isinstance(found, list):
            raise _unreadable("it is no list")
        return tuple(from_plain(LimitProposal, one, _unreadable) for one in found)

    def named(self, proposal_id: str) -> LimitProposal:
        """The proposal with this identifier.

        Raises:
            RequestUnknown: There is none, or not any more.
        """
        found = [one for one in self.all() if one.id == proposal_id and not has_expired(one)]
        if not found:
            raise RequestUnknown(f"There is no proposal {proposal_id!r} that waits. 'limits' shows those that do.")
        return found[0]

    def put(self, proposal: LimitProposal) -> None:
        """Keeps a proposal, in the place of the one with its identifier if there is one."""
        self._write((*(one for one in self.all() if one.id != proposal.id), proposal))

    def remove(self, *proposals: LimitProposal) -> None:
        """Removes proposals."""
        gone = {one.id for one in proposals}
        if gone:
            self._write(tuple(one for one in self.all() if one.id not in gone))

    def _write(self, proposals: tuple[LimitProposal, ...]) -> None:
        write_private(self._file, json.dumps(to_plain(sorted(proposals, key=lambda one: one.at)), indent=1) + "\n")


def has_expired(proposal: LimitProposal) -> bool:
    """Whether nobody may confirm it any more."""
    return datetime.now(UTC) >= datetime.fromisoformat(proposal.expires)


def _unreadable(what: str) -> ConfigError:
    return ConfigError(
        f"The file of proposed limits cannot be read: {what} Remove limit-proposals.json and propose anew."
    )
