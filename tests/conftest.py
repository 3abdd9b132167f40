"""Fixtures that tests of several parts share."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

    from policies.plans.features import FeatureSpec


# Whether kernels are interpreted is settled when a process first imports one, whichever test that is.
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"
# How long an example takes, or is drawn for, hangs on what else the machine does.
settings.register_profile("at any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("at any pace")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Looks for no garbage while a million objects are imported and collected, and never among those."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Files in turn, see support/files_in_turn.py."""
    from support.files_in_turn import FilesInTurn

    config.option.loadscopereorder = False
    return FilesInTurn(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    from support.files_in_turn import turn_of

    items.sort(key=lambda item: turn_of(item.path))


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureSpec]:
    """A file of public weights, and features that are computed with it."""
    from support.public_weights import write_backbone

    return write_backbone(tmp_path_factory.mktemp("public"))
