"""Answers of the console to the hospital's people, one declared type a row; the command line reads the same.

It stays in the hospital.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from datasites.review.review import StudyRow
from datasites.runs.queue import Run
from policies.answers.plain_values import from_plain
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
class FileAnswer:
    """The file that an account's holder is handed; what is secret stands there alone."""

    file: str


@dataclass(frozen=True)
class RevokedAnswer:
    """How many certificates a revocation ended."""

    certificates: int


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
