"""Votes in a list: how many people have voted on the card that was voted on last."""

from __future__ import annotations

from pathlib import Path

from datasites.approvals.approvals import Approvals
from datasites.approvals.votes import APPROVE, Vote


def test_a_list_counts_the_votes_on_the_card_that_was_voted_on_last(tmp_path: Path) -> None:
    approvals = Approvals(tmp_path / "approvals.sqlite")
    try:
        votes = approvals.votes
        for request, person, digest in (("r1", "a", "x"), ("r1", "b", "x"), ("r2", "a", "x"), ("r2", "b", "y")):
            votes.add(request, Vote(person, APPROVE), digest=digest)
        assert votes.counts(["r1", "r2", "r3"]) == {"r1": 2, "r2": 1}
        assert votes.counts(["r2"]) == {"r2": 1}
        assert votes.counts([]) == {}
    finally:
        approvals.close()
