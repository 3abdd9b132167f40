"""Pictures to measure models on that lie beside those to train on are told by their files' names."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.painting import Paint

from datasites.sources.dataset_settings import DatasetSettings
from datasites.sources.read_listing import list_pictures
from policies.errors import DataError


def settings(tmp_path: Path, **more: str) -> DatasetSettings:
    return DatasetSettings(data_path=str(tmp_path), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "names",
    [
        ("train_1.png", "test_1.png"),
        ("1-Training.png", "2-validation.png"),
        ("train1.png", "holdout 2.png"),
        ("TRAIN.png", "TEST.png"),
    ],
)
def test_files_called_after_parts_of_a_data_set_are_not_all_trained_on(
    paint: Paint, tmp_path: Path, names: tuple[str, str]
) -> None:
    for kind in ("red", "white"):
        for name in names:
            paint(f"{kind}/{name}")
    with pytest.raises(DataError, match=r"The files' names begin or end with .*, as those of parts of one data set do"):
        list_pictures(settings(tmp_path))
    assert len(list_pictures(settings(tmp_path, split="all")).pictures) == 4
    rows = [f"{kind}/{name},{kind}" for kind in ("red", "white") for name in names]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    with pytest.raises(DataError, match="as those of parts of one data set do"):
        list_pictures(settings(tmp_path, table=str(tmp_path / "labels.csv")))


@pytest.mark.parametrize(
    "names",
    [
        ("train_1.png", "train_2.png"),
        ("test_1.png", "validation_1.png"),  # none of them is to be trained on
        ("train_1.png", "test_1.png", "3.png"),
        ("stress test.png", "train station.png", "x.png"),
        ("tr_1.png", "ts_1.png"),
    ],
)
def test_other_names_of_files_say_nothing(paint: Paint, tmp_path: Path, names: tuple[str, ...]) -> None:
    for kind in ("red", "white"):
        for name in names:
            paint(f"{kind}/{name}")
    assert len(list_pictures(settings(tmp_path)).pictures) == 2 * len(names)
