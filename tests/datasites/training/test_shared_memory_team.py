"""Forked processes that share memory: who hears what, and that none waits for one that has ended."""

from __future__ import annotations

import contextlib
import os
import signal

import numpy as np
import pytest
import torch

from datasites.training.process_group.shared_memory_team import SharedMemoryTeam
from datasites.training.process_group.team_memory import TeamMemory
from policies.errors import TeamBroken


@contextlib.contextmanager
def team_of(size, companion, *, wait=False):
    """The first's place in a team whose other processes do `companion(team)`; none of them outlives the test.

    With `wait`, they have ended before the first begins.
    """
    memory = TeamMemory(size, parameters=8, sample=10)
    forked = []
    for rank in range(1, size):
        if (child := os.fork()) == 0:
            status = 1
            try:
                companion(SharedMemoryTeam(memory, rank))
                status = 0
            finally:
                os._exit(status)
        forked.append(child)
    first = SharedMemoryTeam(memory, 0)
    for child in forked if wait else ():
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        yield first
    finally:
        for line in first._lines:
            os.close(line.hears)
            os.close(line.tells)
        for child in forked:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def sums_by_hand(team):
    """Says 10 times its rank, and what it was told of each sample."""
    for sample in team.samples(lambda: iter(()), steps=2):
        row = team._memory.numbers[team.rank]
        row[:2] = 10 * team.rank, sample.sum() + 0.1 * sample.shape[1]
        team._tell(b"g")


def test_the_total_is_over_all_processes_in_each_step():
    samples = [np.array([[5, 6], [7, 8]]), np.empty((0, 3), dtype=np.int64)]
    with team_of(3, sums_by_hand) as team:
        totals = []
        for _ in team.samples(lambda: iter(samples), steps=2):
            own = [torch.tensor([1.0], dtype=torch.float64), torch.tensor([[2.0**-40]], dtype=torch.float64)]
            totals.append([part.item() for part in team.total(own)])
    exactly = 2.0**-40  # which float32 would not hold beside the rest
    assert totals == [[31.0, pytest.approx(52.4 + exactly, abs=1e-13)], [31.0, pytest.approx(0.6 + exactly, abs=1e-13)]]


def say_its_numbers(team):
    for number in range(50):
        assert team.least(7.0 - team.rank + number) == 5.0 + number


def test_the_least_number_is_known_to_all():
    with team_of(3, say_its_numbers) as team:
        assert [team.least(9.0 + number) for number in range(50)] == [5.0 + number for number in range(50)]


def follow_and_tell(team):
    model = torch.nn.Linear(2, 1)
    team.follow(model)
    team.total([model.weight.detach(), model.bias.detach()])


def test_parameters_are_the_firsts_everywhere():
    model = torch.nn.Linear(2, 1)
    with team_of(2, follow_and_tell) as team:
        team.follow(model)
        came = team.total([torch.zeros(1, 2), torch.zeros(1)])
    assert torch.equal(came[0], model.weight)
    assert torch.equal(came[1], model.bias)


def end_at_once(team):
    os._exit(0)


def end_with_a_reason(team):
    team.give_up("RunError at memory.py:70")
    os._exit(1)


def wait_for_ever(team):
    signal.pause()


@pytest.mark.parametrize("does", [lambda t: t.total([torch.ones(1)]), lambda t: t.gather()])
def test_a_process_that_ended_is_noticed_and_its_reason_heard(does):
    with team_of(2, end_with_a_reason) as team, pytest.raises(TeamBroken) as broken:
        does(team)
    assert broken.value.private == "RunError at memory.py:70"
    assert "memory.py" not in broken.value.public


def test_a_process_that_is_killed_is_noticed_when_it_is_told_something():
    with team_of(3, end_at_once, wait=True) as team, pytest.raises(TeamBroken) as broken:
        next(team.samples(lambda: iter([np.arange(3)[:, None]]), steps=1))
    assert broken.value.private == ""


@pytest.mark.parametrize("killed", [1, 2])
def test_a_killed_process_does_not_keep_another_ones_line_open(killed):
    """Each process holds its own ends only: else the first would wait for one that has ended."""

    def end_or_wait(team):
        if team.rank != killed:
            signal.pause()

    with team_of(3, end_or_wait) as team, pytest.raises(TeamBroken):
        team.total([torch.ones(1)])


def end_after_a_word(team):
    if team.rank == 2:
        signal.pause()
    team._tell(b"g")
    team.give_up("ValueError at data.py:1")


def test_a_process_that_ends_is_noticed_while_the_first_waits_for_another():
    with team_of(3, end_after_a_word) as team, pytest.raises(TeamBroken) as broken:
        team.total([torch.ones(1)])
    assert broken.value.private == "ValueError at data.py:1"


def test_a_process_at_another_place_is_refused():
    with team_of(2, lambda team: team._tell(b"x")) as team, pytest.raises(TeamBroken) as broken:
        team.total([torch.ones(1)])
    assert broken.value.private == "it was at another place"


def test_the_others_end_when_the_first_has_ended():
    """The first's end of the pipe is closed in every other process: what waits for it hears that it is gone."""
    heard, told = os.pipe()

    def wait_for_the_first(team):
        os.close(heard)
        with contextlib.suppress(TeamBroken):
            next(team.samples(lambda: iter(()), steps=1))
        os.write(told, b"over")

    memory = TeamMemory(2, parameters=8, sample=10)
    first = os.fork()
    if first == 0:
        if os.fork() == 0:
            wait_for_the_first(SharedMemoryTeam(memory, 1))
        else:
            SharedMemoryTeam(memory, 0)
        os._exit(0)
    memory.lines(-1)
    os.waitpid(first, 0)
    os.close(told)
    with os.fdopen(heard, "rb") as stream:
        assert stream.read() == b"over"


def test_numbers_that_the_memory_has_no_room_for_are_refused():
    with team_of(2, wait_for_ever) as team, pytest.raises(TeamBroken, match="memory"):
        team._places(0, [torch.ones(9)])


def test_a_sample_is_the_processes_own_copy():
    memory = TeamMemory(2, parameters=1, sample=6)
    memory.write_sample(np.array([[4, 5], [1, 2]]))
    read = memory.read_sample()
    memory.write_sample(np.array([[7, 8, 9]]))
    assert read.tolist() == [[4, 5], [1, 2]]
    with pytest.raises(ValueError, match="broadcast"):
        memory.write_sample(np.arange(8).reshape(4, 2))
    memory.lines(-1)
