"""Fixtures: the datasite of a file's tests, which each leaves as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.governed import Governed


@pytest.fixture
def north(governed_north: Governed) -> Iterator[Governed]:
    """What a test leaves waiting or approved is closed, so that no other one pays for it."""
    yield governed_north
    governed_north.close_requests()


@pytest.fixture
def graphs_taken(governed_north: Governed) -> Iterator[None]:
    """The hospital takes own models and own losses."""
    limits = governed_north.books.limits
    before = limits.current.model_sources
    limits.change({"model_sources": ["built_in", "graph"]}, by="tests", reason="researchers bring their own")
    yield
    limits.change({"model_sources": list(before)}, by="tests")
