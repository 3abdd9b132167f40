"""The row of a study in a budget: what one researcher's study is charged on a dataset. It stays in the hospital."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StudyRow:
    """What one researcher's study is charged on a dataset.

    Attributes:
        researcher: The account's address.
        study: Its name.
        epsilon_charged: By all its requests, at the budget's delta.
        rounds_reserved: Rounds of all its requests.
        rounds_run: Of those, how many were charged.
        ended: Whether no further round can run.
        non_private: Whether a request of it runs without differential privacy.
    """

    researcher: str
    study: str
    epsilon_charged: float
    rounds_reserved: int
    rounds_run: int
    ended: bool
    non_private: bool
