"""The table [dataset] says all of a dataset; settings that stood beside it are read into it, and none is said twice."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from datasites.config import DatasiteConfig
from datasites.hospitals_file import read_hospitals
from datasites.sources.dataset_settings import FLAT, DatasetSettings
from policies.errors import ConfigError
from policies.plans.picture_form import PictureForm

OLDER = """
dataset = "cells"
data_path = "/data/cells"
site = "north"
class_names = ["red", "white"]
image_size = [28, 30]
channels = 1
text_length = 8
text_vocabulary = 64
unit = "patient"
public_size = 120
"""


def test_a_file_of_an_older_version_says_the_same_as_the_table() -> None:
    older = DatasiteConfig.from_dict({"name": "north", **tomllib.loads(OLDER)})
    dataset = DatasetSettings(
        "cells",
        "/data/cells",
        site="north",
        class_names=("red", "white"),
        size=(28, 30),
        channels=1,
        text_length=8,
        text_vocabulary=64,
        unit="patient",
        public_size=120,
    )
    assert older == DatasiteConfig("north", dataset=dataset)
    assert set(tomllib.loads(OLDER)) == set(FLAT)
    written = tomllib.loads(older.to_toml())
    assert not set(FLAT) - {"dataset"} & set(written) and written["dataset"]["size"] == [28, 30]
    assert DatasiteConfig.from_dict(written) == older


@pytest.mark.parametrize("flat", sorted(set(FLAT) - {"dataset"}))
def test_a_setting_that_is_given_in_both_places_is_refused_by_its_names(flat: str) -> None:
    value = tomllib.loads(OLDER)[flat]
    with pytest.raises(ConfigError, match=f"'{FLAT[flat]}' is given twice in config.toml.*'{flat}' beside it"):
        DatasiteConfig.from_dict({"name": "x", flat: value, "dataset": {FLAT[flat]: value}}, where="config.toml")


@pytest.mark.parametrize(("flat", "value"), [("data_path", {"a": 1}), ("dataset", 5), ("dataset", ["cells"])])
def test_a_setting_of_another_kind_is_refused(flat: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        DatasiteConfig.from_dict({"name": "x", flat: value})


def test_paths_in_a_file_of_hospitals_begin_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "hospitals.toml").write_text(
        '[a]\nport = 1\ndata_path = "pictures/a"\n'
        '[b]\nport = 2\n[b.dataset]\ndata_path = "/b"\ntable = "b.csv"\n'
        '[c]\nport = 3\ndataset.data_path = "medmnist:bloodmnist"\n'
    )
    a, b, c = (one.dataset for one in read_hospitals(tmp_path / "hospitals.toml"))
    assert a.data_path == str(tmp_path / "pictures" / "a") and a.table == ""
    assert (b.data_path, b.table) == ("/b", str(tmp_path / "b.csv"))
    assert c.data_path == "medmnist:bloodmnist"


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("name", "Cells"),
        ("kind", "zip"),
        ("folder_levels", ["class", "hospital"]),
        ("folder_levels", ["class", "class"]),
        ("folder_levels", "class"),
        ("labels_from", "Body Part"),
        ("label_columns", [1]),
        ("class_names", ["\ud800", "b"]),
        ("size", [8, 0]),
        ("size", [8]),
        ("size", [8, 5000]),
        ("channels", 2),
        ("bits", 17),
        ("store_bits", 12),
        ("nifti_axis", 3),
        ("most_left_out", 1.5),
        ("safe_kinds", ["names"]),
        ("text_vocabulary", 1),
        ("terms_of_use", "a\x1b[2Jb"),
        ("square_pixels", 1),
        ("colour", "red"),
    ],
)
def test_a_wrong_value_is_refused_by_its_settings_name(setting: str, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=setting):
        DatasetSettings.from_dict({setting: wrong})


def test_sixteen_bits_are_for_grey_pictures() -> None:
    assert DatasetSettings(store_bits=16, channels=1).form((4, 4), 3).store_bits == 16
    with pytest.raises(ConfigError, match="store_bits 16 needs grey pictures"):
        DatasetSettings(store_bits=16, channels=3)


def test_a_form_is_what_the_settings_say_and_the_datas_own_where_they_say_nothing() -> None:
    assert DatasetSettings().form((5, 6), 3) == PictureForm((5, 6), 3)
    settings = DatasetSettings(size=(8, 9), channels=1, resize="fit", bits=12, window="full", square_pixels=True)
    assert settings.form((5, 6), 3) == PictureForm((8, 9), 1, "fit", bits=12, window="full", square_pixels=True)
