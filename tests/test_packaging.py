"""What an installation outside of this folder holds: every module, and every file that the modules read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from policies.versions.releases import MINORS, Release, own

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


# A wheel's or an image's name with its release; in the chart, the program's.
_TOLD = re.compile(
    r"\bwanwu-(?:(?:datasite|researcher|serving):)?(\d+\.\d+\.\d+)\b|^appVersion: \"(.*)\"$", re.MULTILINE
)


def test_every_page_and_file_that_tells_the_release_tells_this_one() -> None:
    files = [*(PROJECT / "docs").rglob("*.md"), *PROJECT.glob("*.md"), *PROJECT.glob("*.yaml")]
    files += [file for file in (PROJECT / "datasites" / "deployment").rglob("*") if file.suffix in (".yaml", ".tpl")]
    texts = {file: file.read_text() for file in files if file.name != "CHANGELOG.md"}
    found = {(file.name, a or b) for file, text in texts.items() for a, b in _TOLD.findall(text)}
    assert {release for _, release in found} == {str(own())}, found
    assert {name for name, _ in found} >= {"compose.yaml", "Chart.yaml", "how-to-install.md", "how-to-upgrade.md"}


def test_the_changelog_has_a_section_for_each_release_the_newest_first() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text()
    first, *sections = re.findall(r"^## \[(.+)\](?: - \d{4}-\d\d-\d\d)?$", text, re.MULTILINE)
    releases = [release for section in sections if (release := Release.parse(section)) is not None]
    assert first == "Unreleased" and len(releases) == len(sections)
    assert releases == sorted(set(releases), reverse=True) and releases[0] <= own()
    assert {release.minor_version for release in releases} >= set(MINORS[:-1])
