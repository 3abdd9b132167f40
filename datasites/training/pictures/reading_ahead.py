"""Makes a step's items while others are in use, in threads, over the border of steps. None of them leaves the run.

Which pictures a step takes does not hang on the weights: the next step's first batches are made while this one's last
ones, the noise and the optimiser are still to come. All that is drawn at random is drawn by the thread that takes the
steps, in an order that is always the same; the others only carry out.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")
_Task = TypeVar("_Task")
_Item = TypeVar("_Item")
_Sample = TypeVar("_Sample")

InTwoThreads = Callable[[Iterator[_Task], Executor, Executor], Generator[_Item, None, None]]
"""Makes an item of each task, in two threads that it is lent; closed, it waits for neither."""


def ahead(items: Iterator[_T], most: int, thread: Executor) -> Generator[_T, None, None]:
    """Yields the items in order, each made in another thread while those before are in use.

    Args:
        items: None of them None; what they raise is raised here, in their place.
        most: How many are made ahead of the one that is in use.
        thread: Makes them, one after the other; closed, this waits for none of them.
    """
    coming = deque(thread.submit(next, items, None) for _ in range(most))
    try:
        while (item := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, items, None))
            yield item
    finally:
        for later in coming:
            later.cancel()


def ahead_of_steps(
    steps: Iterator[tuple[_Sample, list[_Task]]], make: InTwoThreads[_Task, _Item]
) -> Generator[tuple[_Sample, Iterator[_Item]], None, None]:
    """Yields each step's sample and its items, of which the next step's first ones are already in the making.

    Closed, or when something raises, it ends its threads first, whatever they are at.

    Args:
        steps: Each step's sample and the tasks that its items are made of, one item of each. Asked for the next step
            before the one at hand is taken, by the thread that takes it.
        make: Makes the items.

    Raises:
        RuntimeError: The next step is asked for and the one at hand has items left.
    """
    tasks: SimpleQueue[_Task | None] = SimpleQueue()

    def handed_in() -> Iterator[tuple[_Sample, int]]:
        for sample, own in steps:
            for task in own:
                tasks.put(task)
            yield sample, len(own)

    with contextlib.ExitStack() as ends:
        first, second = (ends.enter_context(ThreadPoolExecutor(1, name)) for name in ("reads", "sends"))
        ends.callback(tasks.put, None)  # or a thread would wait for another task for ever
        made = ends.enter_context(contextlib.closing(make(_until_none(tasks), first, second)))
        coming = handed_in()
        step = next(coming, None)
        while step is not None:
            following = next(coming, None)
            items = islice(made, step[1])
            yield step[0], items
            if next(items, None) is not None:  # the next step would get what this one left
                raise RuntimeError("A step was to take all of its items before the next one is asked for.")
            step = following


def _until_none(tasks: SimpleQueue[_Task | None]) -> Iterator[_Task]:
    while (task := tasks.get()) is not None:
        yield task
