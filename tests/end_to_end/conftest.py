"""Fixtures: two running hospitals, and researchers that are connected to them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hospitals import CLASSES, Hospital, draw_pictures, make_hospital, write_pictures

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    import syft  # noqa: F401


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    write_pictures(file, sites=("north", "south"))
    return file


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[dict[str, Hospital]]:
    """Two datasites, `north` and `south`; north may be restarted by a test that leaves it running."""
    folder = tmp_path_factory.mktemp("state")
    started = {name: make_hospital(folder, name, pictures) for name in ("north", "south")}
    for hospital in started.values():
        hospital.start()
    for hospital in started.values():
        hospital.wait_until_ready()
    yield started
    for hospital in started.values():
        hospital.stop()


@pytest.fixture(scope="session")
def federation(hospitals: dict[str, Hospital]) -> Iterator[Any]:
    from researcher.federation import Federation

    with Federation.connect([hospital.credentials() for hospital in hospitals.values()]) as connected:
        yield connected


@pytest.fixture(scope="session")
def north_only(hospitals: dict[str, Hospital]) -> Iterator[Any]:
    from researcher.federation import Federation

    with Federation.connect(hospitals["north"].credentials()) as connected:
        yield connected


@pytest.fixture
def hold_out() -> Any:
    from researcher.hold_out import HoldOut

    images, labels = draw_pictures(80, seed=99)
    return HoldOut(images, labels, CLASSES)
