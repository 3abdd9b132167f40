"""Fixtures: a small state folder with real books."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.books import approve, make_state, run_round
from support.hospitals import write_pictures

from datasites.files.state_folder import StateFolder

if TYPE_CHECKING:
    from support.governed import Governed
    from support.openid_provider import OwnProvider


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("drawn") / "pictures.npz"
    write_pictures(file, sites=("north",), each=80)
    return file


@pytest.fixture
def state(tmp_path: Path, drawn: Path) -> StateFolder:
    """Study one: 4 rounds of 1 step approved, 2 of them ran."""
    made = make_state(tmp_path / "north", drawn)
    approve(made, "one")
    run_round(made, "one", 0)
    run_round(made, "one", 1)
    return made


@pytest.fixture(scope="module")
def governed_north(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    """One datasite without ports and processes for all tests of a file: each with studies of its own."""
    from support.governed import governed

    with governed(tmp_path_factory.mktemp("governed")) as made:
        yield made


@pytest.fixture(scope="module")
def one_provider() -> Iterator[OwnProvider]:
    """A provider of OpenID on loopback for all tests of a file."""
    from support.openid_provider import provider

    with provider() as made:
        yield made


@pytest.fixture
def own_provider(one_provider: OwnProvider) -> OwnProvider:
    """The provider, which names the reviewer whatever the test before had it do."""
    from support.console_pages import REVIEWER_NAME

    one_provider.changed, one_provider.foreign, one_provider.moved = {"preferred_username": REVIEWER_NAME}, False, {}
    return one_provider
