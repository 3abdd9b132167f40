"""Simulations whose trainer computes empty places too, as hospitals do: to the last bit what bare calls of it give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from researcher.simulation.at_work import recorded


@contextmanager
def whole_batches() -> Iterator[None]:
    """For the length of a `with` block, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded, "drawn", lambda batch: batch)
        yield
