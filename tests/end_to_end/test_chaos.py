"""The run that cannot be killed, in small: the whole of it, with its times, is `make test-chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.run import Size, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_whatever_fails_no_round_is_lost_and_each_is_charged_exactly_once(tmp_path: Path) -> None:
    chaos = run(tmp_path, Size(hospitals=6, rounds=8, steps=20))
    for ran in (chaos.undisturbed, chaos.disturbed):
        assert ran.books.in_order, ran.books
    done = [note["what"] for note in chaos.disturbed.notes]
    assert sorted(set(done)) == sorted(
        ["cut", "deny", "disk free", "disk full", "invite", "kill", "kill the researcher", "restart"]
    )
    assert len(chaos.disturbed.resumes) == 4
    assert chaos.disturbed.invited is not None and chaos.disturbed.invited.in_order, chaos.disturbed.invited
