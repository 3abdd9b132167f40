"""What a simulation shares out: never pictures that are there to measure models on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policies.errors import DataError
from researcher.simulation.data import read_data
from researcher.simulation.settings import SimulationSettings


def test_a_file_in_parts_is_refused_until_the_part_to_train_on_is_named(tmp_path: Path) -> None:
    train, test = np.zeros((6, 8, 8), dtype=np.uint8), np.zeros((4, 8, 8), dtype=np.uint8)
    file, settings = tmp_path / "parts.npz", SimulationSettings(hospitals=2)
    np.savez(file, train_images=train, train_labels=[0, 1] * 3, test_images=test, test_labels=[0, 1] * 2)
    with pytest.raises(DataError, match=r'its test part is not to be trained on.*split = "train"'):
        read_data(file, settings)
    with pytest.raises(DataError, match="its test part is not to be trained on"):
        read_data("medmnist:pneumoniamnist", settings)
    described = tmp_path / "train.toml"
    described.write_text('[dataset]\ndata_path = "parts.npz"\n')
    assert len(read_data(described, settings).pictures.images) == 6
