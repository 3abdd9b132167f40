"""Pictures of several requests through the model together: they wait a bounded time for company, in a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

MOST_IN_A_BATCH = 8
WAIT_SECONDS = 0.002
Pictures = NDArray[np.generic]
Probabilities = NDArray[np.float32]


class Batches:
    """The way of all requests to one model, in one event loop. The model computes in a thread of its own.

    A batch begins as soon as the model is free. It waits for company only where a request that is being read may bring
    some, and then for at most `WAIT_SECONDS`. How many pictures may wait is bounded where requests are let in.
    """

    def __init__(
        self,
        probabilities: Callable[[Pictures], Probabilities],
        *,
        expected: Callable[[], bool] = lambda: False,
        ran: Callable[[int], None] = lambda pictures: None,
    ) -> None:
        """Prepares the way; `start` opens it.

        Args:
            probabilities: The model: (N, H, W, C) to (N, K).
            expected: Whether further pictures are on their way.
            ran: Told how many pictures each batch had.
        """
        self._probabilities, self._expected, self._ran = probabilities, expected, ran
        self._waiting: deque[tuple[Pictures, asyncio.Future[Probabilities]]] = deque()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model")
        self._runner: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Opens the way, in the running event loop."""
        self._runner = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Ends it; what still waits is not answered."""
        if self._runner is not None:
            self._runner.cancel()
            with suppress(asyncio.CancelledError):
                await self._runner
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def classify(self, pictures: Sequence[Pictures]) -> Probabilities:
        """(N, K) for N pictures, each (H, W, C).

        Raises:
            ModelRefused: The model fails on them.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Probabilities]] = [loop.create_future() for _ in pictures]
        self._waiting.extend(zip(pictures, futures, strict=True))
        self._came.set()
        try:
            return np.stack(await asyncio.gather(*futures))
        finally:
            for future in futures:  # whoever asked may have gone: nothing is computed for nobody
                future.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            if len(self._waiting) < MOST_IN_A_BATCH and self._expected():
                await asyncio.sleep(WAIT_SECONDS)
            batch = self._take()
            if not batch:
                continue
            pictures = np.stack([picture for picture, _ in batch])
            try:
                found = await loop.run_in_executor(self._thread, self._probabilities, pictures)
            except Exception as error:  # noqa: BLE001 - it is raised again, where the pictures came from
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            self._ran(len(batch))
            for (_, future), row in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(row)

    def _take(self) -> list[tuple[Pictures, asyncio.Future[Probabilities]]]:
        batch: list[tuple[Pictures, asyncio.Future[Probabilities]]] = []
        while self._waiting and len(batch) < MOST_IN_A_BATCH:
            one = self._waiting.popleft()
            if not one[1].done():
                batch.append(one)
        if not self._waiting:
            self._came.clear()
        return batch
