"""Forked processes that share memory: who hears what, and that none waits for one that has ended."""

from __future__ import annotations

import contextlib
import os
import signal

import numpy as np
import pytest
import torch

from datasites.training.process_group.group_memory import GroupMemory
from datasites.training.process_group.shared_memory_group import SharedMemoryGroup
from policies.errors import ProcessGroupBroken


@contextlib.contextmanager
def group_of(size, worker, *, wait=False):
    """The first's place in a group whose others do `worker(process_group)`; none of them outlives the test.

    With `wait`, they have ended before the first begins.
    """
    memory = GroupMemory(size, parameters=8, sample=10)
    forked = []
    for rank in range(1, size):
        if (child := os.fork()) == 0:
            status = 1
            try:
                worker(SharedMemoryGroup(memory, rank))
                status = 0
            finally:
                os._exit(status)
        forked.append(child)
    first = SharedMemoryGroup(memory, 0)
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


def sums_by_hand(process_group):
    """Says 10 times its rank, and what it was told of each sample."""
    for sample in process_group.samples(lambda: iter(()), steps=2):
        row = process_group._memory.numbers[process_group.rank]
        row[:2] = 10 * process_group.rank, sample.sum() + 0.1 * sample.shape[1]
        process_group._tell(b"g")


def test_the_total_is_over_all_processes_in_each_step():
    samples = [np.array([[5, 6], [7, 8]]), np.empty((0, 3), dtype=np.int64)]
    with group_of(3, sums_by_hand) as process_group:
        totals = []
        for _ in process_group.samples(lambda: iter(samples), steps=2):
            own = [torch.tensor([1.0], dtype=torch.float64), torch.tensor([[2.0**-40]], dtype=torch.float64)]
            totals.append([part.item() for part in process_group.reduce(own)])
    exactly = 2.0**-40  # which float32 would not hold beside the rest
    assert totals == [[31.0, pytest.approx(52.4 + exactly, abs=1e-13)], [31.0, pytest.approx(0.6 + exactly, abs=1e-13)]]


def follow_a_step_behind(process_group):
    """Asks for each sample before it says what it was told of the one before."""
    told = process_group.samples(lambda: iter(()), steps=4)
    sample = next(told)
    while sample is not None:
        following = next(told, None)
        process_group.reduce([torch.tensor([float(sample.sum())], dtype=torch.float64)])
        process_group.broadcast(torch.nn.Linear(1, 1))
        sample = following


def test_the_next_sample_may_be_told_before_the_step_before_it_is_taken():
    samples = [np.full((1, 3), number) for number in (1, 20, 300, 4000)]
    with group_of(3, follow_a_step_behind) as process_group:
        told, totals = process_group.samples(lambda: iter(samples), steps=4), []
        sample = next(told)
        while sample is not None:
            following = next(told, None)
            totals.append(process_group.reduce([torch.zeros(1, dtype=torch.float64)])[0].item())
            process_group.broadcast(torch.nn.Linear(1, 1))
            sample = following
    assert totals == [2 * 3 * number for number in (1, 20, 300, 4000)]


def say_its_numbers(process_group):
    for number in range(50):
        assert process_group.all_reduce_min(7.0 - process_group.rank + number) == 5.0 + number


def test_the_least_number_is_known_to_all():
    with group_of(3, say_its_numbers) as process_group:
        assert [process_group.all_reduce_min(9.0 + number) for number in range(50)] == [
            5.0 + number for number in range(50)
        ]


def follow_and_tell(process_group):
    model = torch.nn.Linear(2, 1)
    process_group.broadcast(model)
    process_group.reduce([model.weight.detach(), model.bias.detach()])


def test_parameters_are_the_firsts_everywhere():
    model = torch.nn.Linear(2, 1)
    with group_of(2, follow_and_tell) as process_group:
        process_group.broadcast(model)
        came = process_group.reduce([torch.zeros(1, 2), torch.zeros(1)])
    assert torch.equal(came[0], model.weight)
    assert torch.equal(came[1], model.bias)


def end_at_once(process_group):
    os._exit(0)


def end_with_a_reason(process_group):
    process_group.give_up("RunError at memory.py:70")
    os._exit(1)


def wait_for_ever(process_group):
    signal.pause()


@pytest.mark.parametrize("does", [lambda t: t.reduce([torch.ones(1)]), lambda t: t.barrier()])
def test_a_process_that_ended_is_noticed_and_its_reason_heard(does):
    with group_of(2, end_with_a_reason) as process_group, pytest.raises(ProcessGroupBroken) as broken:
        does(process_group)
    assert broken.value.private == "RunError at memory.py:70"
    assert "memory.py" not in broken.value.public


def test_a_process_that_is_killed_is_noticed_when_it_is_told_something():
    with group_of(3, end_at_once, wait=True) as process_group, pytest.raises(ProcessGroupBroken) as broken:
        next(process_group.samples(lambda: iter([np.arange(3)[:, None]]), steps=1))
    assert broken.value.private == ""


@pytest.mark.parametrize("killed", [1, 2])
def test_a_killed_process_does_not_keep_another_ones_line_open(killed):
    """Each process holds its own ends only: else the first would wait for one that has ended."""

    def end_or_wait(process_group):
        if process_group.rank != killed:
            signal.pause()

    with group_of(3, end_or_wait) as process_group, pytest.raises(ProcessGroupBroken):
        process_group.reduce([torch.ones(1)])


def end_after_a_word(process_group):
    if process_group.rank == 2:
        signal.pause()
    process_group._tell(b"g")
    process_group.give_up("ValueError at data.py:1")


def test_a_process_that_ends_is_noticed_while_the_first_waits_for_another():
    with group_of(3, end_after_a_word) as process_group, pytest.raises(ProcessGroupBroken) as broken:
        process_group.reduce([torch.ones(1)])
    assert broken.value.private == "ValueError at data.py:1"


def test_a_process_at_another_place_is_refused():
    with (
        group_of(2, lambda process_group: process_group._tell(b"x")) as process_group,
        pytest.raises(ProcessGroupBroken) as broken,
    ):
        process_group.reduce([torch.ones(1)])
    assert broken.value.private == "it was at another place"


def test_the_others_end_when_the_first_has_ended():
    """The first's end of the pipe is closed in every other process: what waits for it hears that it is gone."""
    heard, told = os.pipe()

    def wait_for_the_first(process_group):
        os.close(heard)
        with contextlib.suppress(ProcessGroupBroken):
            next(process_group.samples(lambda: iter(()), steps=1))
        os.write(told, b"over")

    memory = GroupMemory(2, parameters=8, sample=10)
    first = os.fork()
    if first == 0:
        if os.fork() == 0:
            wait_for_the_first(SharedMemoryGroup(memory, 1))
        else:
            SharedMemoryGroup(memory, 0)
        os._exit(0)
    memory.lines(-1)
    os.waitpid(first, 0)
    os.close(told)
    with os.fdopen(heard, "rb") as stream:
        assert stream.read() == b"over"


def test_numbers_that_the_memory_has_no_room_for_are_refused():
    with group_of(2, wait_for_ever) as process_group, pytest.raises(ProcessGroupBroken, match="memory"):
        process_group._places(0, [torch.ones(9)])


def test_a_sample_is_the_processes_own_copy():
    memory = GroupMemory(2, parameters=1, sample=6)
    memory.write_sample(np.array([[4, 5], [1, 2]]), 0)
    read = memory.read_sample(0)
    memory.write_sample(np.array([[7, 8, 9]]), 2)
    assert read.tolist() == [[4, 5], [1, 2]]
    with pytest.raises(ValueError, match="broadcast"):
        memory.write_sample(np.arange(8).reshape(4, 2), 3)
    memory.lines(-1)
