"""Fixtures: one real fork server for all tests of runs in a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nursery import fork_servers_are_born
from support.process_group_work import PROGRAM

from datasites.runs.processes.process import ForkServer


@pytest.fixture(scope="module", autouse=True)
def imported_before() -> Iterator[None]:
    """Fork servers are forked from a process that has imported what training needs: that takes eight seconds."""
    with fork_servers_are_born():
        yield


@pytest.fixture(scope="session")
def fork_server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the fork server works, and finds what is taken away from its runs."""
    return tmp_path_factory.mktemp("fork_server")


@pytest.fixture(scope="session")
def fork_server(fork_server_folder: Path) -> Iterator[ForkServer]:
    """One for all; the study's name says what a run does."""
    made = ForkServer(log=fork_server_folder / "runs.log", threads=1, program=PROGRAM)
    yield made
    made.stop()
