"""Which releases work together: three minor versions back, what is newer decides for itself, all else is too old."""

from __future__ import annotations

import pytest

import policies
from policies.versions.packages import compare, installed
from policies.versions.releases import MINORS, Release, is_too_old, own, span, worked_with

LATER = ((0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (1, 0))


@pytest.mark.parametrize(
    ("text", "minor"), [("0.2.0", (0, 2)), ("1.10.3", (1, 10)), ("0.3.0.dev1", (0, 3)), ("0.3.0+local.1", (0, 3))]
)
def test_a_release_reads_as_what_it_is(text: str, minor: tuple[int, int]) -> None:
    found = Release.parse(text)
    assert found is not None and found.minor_version == minor and text.startswith(str(found))


@pytest.mark.parametrize(
    "text", ["", "0.2", "v0.2.0", "0.2.x", "00.2.0", "0.02.0", "0.2.0 ", "0.2.0\n", "٠.2.0", "9" * 99]
)
def test_what_is_no_release_is_none(text: str) -> None:
    assert Release.parse(text) is None


def test_the_programs_own_minor_version_is_the_last_that_was_released() -> None:
    assert own().minor_version == MINORS[-1]
    assert list(MINORS) == sorted(set(MINORS))
    assert policies.__version__.startswith(str(own()))


@pytest.mark.parametrize(
    ("other", "too_old"),
    [
        ("1.0.9", False),
        ("0.6.0", False),
        ("0.4.0", False),
        ("0.3.7", True),
        ("0.2.0", True),
        ("0.9.0", True),  # never released before 1.0
        ("1.1.0", False),
        ("2.0.0", False),
    ],
)
def test_three_minor_versions_back_are_worked_with_across_a_major_one(other: str, too_old: bool) -> None:
    assert worked_with(LATER) == LATER[2:]
    assert is_too_old(Release.parse(other), LATER) is too_old


def test_what_was_before_the_first_release_is_too_old_and_so_is_who_names_none() -> None:
    assert is_too_old(Release(0, 1, 0)) and is_too_old(None)
    assert not is_too_old(own())


def test_a_span_is_told_as_people_say_it() -> None:
    assert (span(((0, 2),)), span(LATER)) == ("0.2", "0.4 to 1.0")


def test_packages_of_another_minor_version_of_wanwu_are_no_mismatch_and_those_of_a_too_old_one_are() -> None:
    here = dict(installed())
    assert compare(here, {**here, "wanwu": "0.2.9"}) == compare(here, {**here, "wanwu": "0.7.0"}) == []
    for old in ("0.1.0", "missing", "nonsense"):
        (mismatch,) = compare(here, {**here, "wanwu": old})
        assert mismatch.refused and str(mismatch) == f"wanwu {here['wanwu']} here, {old} there"
