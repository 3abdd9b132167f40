"""Fixtures: two running hospitals, and researchers that are connected to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import support.imported_pysyft  # noqa: F401
from support.hospitals import (
    CLASSES,
    Hospital,
    draw_pictures,
    make_hospital,
    running,
    write_pictures,
    write_pictures_with_reports,
)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    write_pictures(file, sites=("north", "south"))
    return file


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[dict[str, Hospital]]:
    """Two datasites, `north` and `south`; north may be restarted by a test that leaves it running, and rehearses."""
    folder = tmp_path_factory.mktemp("state")
    made = (make_hospital(folder, name, pictures, rehearses=name == "north") for name in ("north", "south"))
    with running(*made) as started:
        yield started


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[dict[str, Hospital]]:
    """Two more with the same pictures and a report beside each.

    Their budget lasts for counts with little noise and heads on features.
    """
    folder = tmp_path_factory.mktemp("pair")
    write_pictures_with_reports(folder / "pictures.npz", pictures)
    made = [make_hospital(folder, name, folder / "pictures.npz") for name in ("north", "south")]
    for hospital in made:
        hospital.configure(text_length=12, text_vocabulary=128)
        config = hospital.state / "config.toml"
        config.write_text(
            re.sub(r"^total = \{ epsilon = [\d.]+", "total = { epsilon = 100.0", config.read_text(), flags=re.M)
        )
    with running(*made) as started:
        yield started


@pytest.fixture(scope="session")
def federation(hospitals: dict[str, Hospital]) -> Iterator[Any]:
    from researcher.hospitals.federation import Federation

    with Federation.connect([hospital.credentials() for hospital in hospitals.values()]) as connected:
        yield connected


@pytest.fixture(scope="session")
def north_only(hospitals: dict[str, Hospital]) -> Iterator[Any]:
    from researcher.hospitals.federation import Federation

    with Federation.connect(hospitals["north"].credentials()) as connected:
        yield connected


@pytest.fixture(scope="session")
def hold_out() -> Any:
    from researcher.evaluation.hold_out import HoldOut

    images, labels = draw_pictures(80, seed=99)
    return HoldOut(images, labels, CLASSES)
