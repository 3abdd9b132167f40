"""A file of hospitals for a trial gives no pictures to two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasites.hospitals_file import read_hospitals
from policies.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for hospital in ("a", "b"):
        (tmp_path / "pictures" / hospital / "red").mkdir(parents=True)
    (tmp_path / "pictures" / "link").symlink_to("a")
    return tmp_path


def names(folder: Path, *described: str) -> list[str]:
    tables = [f"[hospital_{number}]\nport = {8081 + number}\n{one}\n" for number, one in enumerate(described)]
    (folder / "hospitals.toml").write_text("\n".join(tables))
    return [one.name for one in read_hospitals(folder / "hospitals.toml")]


@pytest.mark.parametrize(
    "second",
    [
        'data_path = "pictures/a"',
        'data_path = "pictures/b/../a/"',
        'data_path = "pictures/link"',
        'data_path = "pictures"\nsite = "a"',
        'data_path = "pictures"\nsite = "link"',
    ],
)
def test_the_same_pictures_are_not_at_two_hospitals(folder: Path, second: str) -> None:
    with pytest.raises(ConfigError, match=r"The hospitals hospital_0 and hospital_1 have the same pictures, of .*/a: "):
        names(folder, 'data_path = "pictures/a"', second)


def test_neither_is_a_named_data_set_nor_one_table(folder: Path) -> None:
    for one in ('data_path = "medmnist:pathmnist"', 'dataset = { data_path = "pictures", table = "labels.csv" }'):
        with pytest.raises(ConfigError, match="have the same pictures"):
            names(folder, one, one)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('data_path = "pictures/a"', 'data_path = "pictures/b"'),
        ('data_path = "pictures"\nsite = "a"', 'data_path = "pictures"\nsite = "b"'),
        (
            'dataset = { data_path = "pictures", table = "a.csv" }',
            'dataset = { data_path = "pictures", table = "b.csv" }',
        ),
        (
            'dataset = { data_path = "medmnist:pathmnist", split = "train" }',
            'dataset = { data_path = "medmnist:pathmnist", split = "val" }',
        ),
        ("", ""),
    ],
)
def test_hospitals_that_share_a_place_and_no_pictures_are_two(folder: Path, first: str, second: str) -> None:
    assert names(folder, first, second) == ["hospital_0", "hospital_1"]
