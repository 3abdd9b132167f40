"""What an installation outside of this folder holds: every module, and every file that the modules read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE_DATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
# Read by pybabel, for whoever works on the pages' texts, and by no module.
FOR_DEVELOPERS = {"translations/extract.cfg"}


def _files(package: str) -> list[Path]:
    found = (PROJECT / package).rglob("*")
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


@pytest.mark.parametrize("package", PACKAGE_DATA)
def test_every_file_that_is_no_module_is_installed_with_its_package(package: str) -> None:
    installed = {path for pattern in PACKAGE_DATA[package] for path in (PROJECT / package).glob(pattern)}
    left_out = [path for path in _files(package) if path.suffix not in (".py", ".pyc") and path not in installed]
    assert [str(path) for path in left_out if not path.as_posix().endswith(tuple(FOR_DEVELOPERS))] == []


@pytest.mark.parametrize("package", PACKAGE_DATA)
def test_every_folder_with_modules_is_a_package(package: str) -> None:
    folders = {path.parent for path in _files(package) if path.suffix == ".py"}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []
