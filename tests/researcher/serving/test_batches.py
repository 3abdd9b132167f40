"""Pictures of several requests go through the model together, and none waits for company that is not coming."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from policies.errors import ModelRefused
from researcher.serving.batches import MOST_IN_A_BATCH, Batches


class Model:
    """A model that says a picture's first number, and computes once it is let."""

    def __init__(self, *, open: bool = True) -> None:
        self.batches: list[int] = []
        self.begun, self.let = threading.Event(), threading.Event()
        if open:
            self.let.set()

    def __call__(self, pictures: Any) -> Any:
        self.batches.append(len(pictures))
        self.begun.set()
        self.let.wait()
        return pictures.reshape(len(pictures), -1)[:, :1].astype(np.float32)


def _pictures(*values: int) -> list[Any]:
    return [np.full((1, 1, 1), value, dtype=np.uint8) for value in values]


def _run(model: Any, what: Callable[[Batches], Coroutine[Any, Any, Any]], **how: Any) -> Any:
    async def run() -> Any:
        batches = Batches(model, **how)
        batches.start()
        try:
            return await what(batches)
        finally:
            await batches.close()

    return asyncio.run(run())


def test_pictures_come_back_in_the_order_in_which_they_were_sent() -> None:
    values = tuple(range(3 * MOST_IN_A_BATCH + 1))
    model = Model()
    found = _run(model, lambda batches: batches.classify(_pictures(*values)))
    assert found[:, 0].tolist() == list(values)
    assert max(model.batches) <= MOST_IN_A_BATCH


def test_what_comes_while_the_model_computes_goes_through_it_together() -> None:
    model = Model(open=False)

    async def ask(batches: Batches) -> list[Any]:
        first = asyncio.create_task(batches.classify(_pictures(1)))
        await asyncio.to_thread(model.begun.wait)
        others = [asyncio.create_task(batches.classify(_pictures(value))) for value in (2, 3, 4)]
        await asyncio.sleep(0)
        model.let.set()
        return await asyncio.gather(first, *others)

    assert [int(one[0, 0]) for one in _run(model, ask)] == [1, 2, 3, 4]
    assert model.batches == [1, 3]


@pytest.mark.parametrize(("expected", "batches"), [(True, [2]), (False, [1, 1])])
def test_a_batch_waits_for_company_only_where_some_is_on_its_way(expected: bool, batches: list[int]) -> None:
    model = Model()

    async def ask(way: Batches) -> None:
        async def later() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            await way.classify(_pictures(2))

        await asyncio.gather(way.classify(_pictures(1)), later())

    _run(model, ask, expected=lambda: expected)
    assert model.batches == batches


def test_a_failure_of_the_model_reaches_all_of_its_batch_and_no_later_one() -> None:
    answers = iter([ModelRefused("It fails."), None])

    def model(pictures: Any) -> Any:
        if (error := next(answers)) is not None:
            raise error
        return np.zeros((len(pictures), 1), dtype=np.float32)

    async def ask(batches: Batches) -> Any:
        with pytest.raises(ModelRefused, match="It fails"):
            await batches.classify(_pictures(1, 2))
        return await batches.classify(_pictures(3))

    assert _run(model, ask).shape == (1, 1)


def test_nothing_is_computed_for_who_has_gone() -> None:
    model = Model(open=False)

    async def ask(batches: Batches) -> None:
        first = asyncio.create_task(batches.classify(_pictures(1)))
        await asyncio.to_thread(model.begun.wait)
        gone = asyncio.create_task(batches.classify(_pictures(2, 3)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        model.let.set()
        await first
        await batches.classify(_pictures(4))

    _run(model, ask)
    assert model.batches == [1, 1]
