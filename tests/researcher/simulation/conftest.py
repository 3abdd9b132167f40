"""Fixtures: drawn pictures that a simulation trains on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.hospitals import draw_pictures


@pytest.fixture(scope="module")
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and bright pictures with their labels: as many as the file of tests says in `PICTURES`, else 40."""
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    images, labels = draw_pictures(getattr(request.module, "PICTURES", 40), seed=1)
    np.savez(path, images=images, labels=labels)
    return path
