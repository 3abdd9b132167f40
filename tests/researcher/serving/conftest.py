"""Fixtures: a small model of colours, served for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served_models import ServedModel, colour_model, served


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's file."""
    return colour_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[ServedModel]:
    """It, served to everybody on loopback."""
    with served(model) as found:
        yield found
