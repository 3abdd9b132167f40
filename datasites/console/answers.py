"""Answers of the console to the hospital's people, one declared type a row; the command line reads the same.

It stays in the hospital.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from datasites.code_requests.limits.limit_proposals import LimitProposal
from datasites.review.study_row import StudyRow
from datasites.runs.queue import Run
from policies.answers.plain_values import from_plain
from policies.budget.limit_changes import LimitChange
from policies.errors import ConfigError

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class RecordAnswer:
    """The record of a decision, as a signed page, and what the datasite itself knows of that decision now.

    Attributes:
        request_id: Of the request.
        page: HTML.
        public_key: The datasite's, hexadecimal.
        decided_digest: Of the decision.
        hashes: Of the ledger's entries about the request.
    """

    request_id: str
    page: str
    public_key: str
    decided_digest: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class ExtractAnswer:
    """An extract of the ledger for the papers of a study.

    Attributes:
        request_id: Of the request.
        text: The signed file.
    """

    request_id: str
    text: str


@dataclass(frozen=True)
class SharedAnswer:
    """A decision as other hospitals may read it.

    Attributes:
        request_id: Of the request.
        text: The signed file.
        fingerprint: Of the datasite's own key.
    """

    request_id: str
    text: str
    fingerprint: str


@dataclass(frozen=True)
class BudgetRow:
    """A dataset's privacy budget.

    Attributes:
        dataset: Its name.
        epsilon_total: All that may ever be spent.
        epsilon_charged: What is spent or reserved.
        epsilon_left: What nobody holds.
        delta: At which all are stated.
        studies: By whom.
    """

    dataset: str
    epsilon_total: float
    epsilon_charged: float
    epsilon_left: float
    delta: float
    studies: tuple[StudyRow, ...]


@dataclass(frozen=True)
class RunRow(Run):
    """A run as the hospital's own people see it: as the queue knows it, and its place there."""

    queue_position: int


@dataclass(frozen=True)
class RunPage:
    """Some runs, the one asked for last first, and what to ask for the next page with; None where this is the last."""

    rows: tuple[RunRow, ...]
    next: str | None


@dataclass(frozen=True)
class EndedAnswer:
    """What an end has ended, and what became free.

    Attributes:
        id: The request's identifier.
        researcher: Who asked.
        study: Its name.
        dataset: On which dataset.
        reason: Why it ended.
        rounds_run: Rounds that were charged, and stay so.
        rounds: Rounds that were reserved.
        epsilon_left: What is left of the dataset's budget now.
        epsilon_freed: How much more that is than before, as an orientation.
    """

    id: str
    researcher: str
    study: str
    dataset: str
    reason: str
    rounds_run: int
    rounds: int
    epsilon_left: float
    epsilon_freed: float


@dataclass(frozen=True)
class WantedLimits:
    """What somebody wants the limits to be, by name, and why."""

    changes: Mapping[str, object]
    reason: str = ""


@dataclass(frozen=True)
class LimitsAnswer:
    """A dataset's limits, and what a change has come to.

    Attributes:
        limits: Each limit by name, as JSON.
        changes: What was changed, proposed or confirmed by this call.
        proposal: The identifier of the proposal that the changes wait in; empty where they are in force.
        people_needed: How many people a change takes that allows more.
        proposals: All that wait.
        kept: What approved studies keep of a budget that was lowered below it; empty where it holds them.
    """

    limits: Mapping[str, str]
    changes: tuple[LimitChange, ...]
    proposal: str
    people_needed: int
    proposals: tuple[LimitProposal, ...]
    kept: str = ""


@dataclass(frozen=True)
class FileAnswer:
    """The file that an account's holder is handed; what is secret stands there alone."""

    file: str


@dataclass(frozen=True)
class LinkAnswer:
    """An address that opens the console once, within a minute, for whoever asked for it."""

    address: str


@dataclass(frozen=True)
class RevokedAnswer:
    """How many certificates a revocation ended."""

    certificates: int


@dataclass(frozen=True)
class RoleAnswer:
    """What became of a change of role.

    Attributes:
        name: Of the person.
        role: Which they have, or will have once it is confirmed.
        in_force: Whether they have it.
        people: Who stands behind it.
        people_needed: How many have to.
    """

    name: str
    role: str
    in_force: bool
    people: tuple[str, ...]
    people_needed: int


@dataclass(frozen=True)
class AccountAnswer(RoleAnswer):
    """What became of the role that one of the hospital's people is to have, and the file that they are handed."""

    file: str


@dataclass(frozen=True)
class RemovedAnswer:
    """Whose account has ended."""

    name: str


def read_row(kind: type[_Row], content: object) -> _Row:
    """An answer's plain values as the type that they were made from.

    Raises:
        ConfigError: They are not, as from a datasite of another version.
    """
    return from_plain(kind, content, _not_understood)


def read_rows(kind: type[_Row], content: object) -> tuple[_Row, ...]:
    """As `read_row`, of a list."""
    if not isinstance(content, list):
        raise _not_understood("an answer must be a list.")
    return tuple(read_row(kind, one) for one in content)


def _not_understood(text: str) -> ConfigError:
    return ConfigError(f"The datasite gave an answer that this version does not understand: {text}")
