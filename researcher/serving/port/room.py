"""Bounds on all that is under way together, bytes and pictures. What does not fit is told when to come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from policies.errors import ServingBusy

RETRY_SECONDS = 1


class Room:
    """A bounded amount of something, such as bytes of requests; used within one event loop."""

    def __init__(self, most: int, what: str) -> None:
        self.most, self.taken = most, 0
        self._what = what

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Takes this much of the room until the block ends.

        Raises:
            ServingBusy: It is not free.
        """
        if self.taken + amount > self.most:
            raise ServingBusy(
                f"At most {self.most} {self._what} are under way at once, and these would be more. "
                f"Ask again in {RETRY_SECONDS} s."
            )
        self.taken += amount
        try:
            yield
        finally:
            self.taken -= amount
