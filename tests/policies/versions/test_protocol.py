"""What two sides tell each other, and the sentence for whoever has to update: both releases, what, and where."""

from __future__ import annotations

import pytest

from policies.errors import VersionMismatch
from policies.versions import protocol
from policies.versions.protocol import PROTOCOL, RELEASE, Told, check_datasite, check_researcher, read
from policies.versions.releases import Release, own

LATER = ((0, 2), (0, 3), (0, 4), (0, 5), (0, 6))
NEWER, NOW = Release(0, 6, 1), Release(0, 2, 0)


def test_each_sides_headers_read_as_what_it_is_and_are_taken_by_the_other() -> None:
    for told in (read(protocol.of_researcher()), read(protocol.of_datasite())):
        check_researcher(told)
        assert check_datasite(told, "north") == told.release == own()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, Told(None, ())),
        ({RELEASE: "0.3.0", PROTOCOL: "1,2"}, Told(Release(0, 3, 0), (1, 2))),
        ({RELEASE: "0.3.0", PROTOCOL: "0"}, Told(Release(0, 3, 0), ())),
        ({RELEASE: "0.3.0", PROTOCOL: ",".join(map(str, range(1, 20)))}, Told(Release(0, 3, 0), ())),
        ({RELEASE: "0.3.0, 0.3.0", PROTOCOL: "1, 1"}, Told(None, ())),
        ({RELEASE: "<b>", PROTOCOL: "1\n"}, Told(None, ())),
    ],
)
def test_what_does_not_read_tells_nothing(headers: dict[str, str], told: Told) -> None:
    assert read(headers) == told


def test_a_researcher_of_three_minor_versions_back_is_served_and_of_four_is_told_what_to_install() -> None:
    check_researcher(Told(Release(0, 3, 0), (1,)), here=NEWER, minors=LATER)
    with pytest.raises(VersionMismatch) as refused:
        check_researcher(Told(Release(0, 2, 4), (1,)), here=NEWER, minors=LATER)
    assert refused.value.public == (
        "This datasite runs Wanwu 0.6.1 and works with researchers' sides of 0.3 to 0.6; yours is 0.2.4. Nothing was "
        "asked for or charged. Install Wanwu 0.6 on the researcher's side and run it again."
    )


def test_a_datasite_of_three_minor_versions_back_is_worked_with_and_of_four_is_to_be_updated() -> None:
    assert check_datasite(Told(Release(0, 3, 0), (1,)), "north", here=NEWER, minors=LATER) == Release(0, 3, 0)
    with pytest.raises(VersionMismatch) as refused:
        check_datasite(Told(Release(0, 2, 4), (1,)), "north", here=NEWER, minors=LATER)
    assert refused.value.public == (
        "Datasite 'north' runs Wanwu 0.2.4; the researcher's side here is 0.6.1 and works with datasites of 0.3 to "
        "0.6. Nothing more was submitted or spent. Ask the hospital to update to Wanwu 0.6, or use Wanwu 0.2 here."
    )


def test_who_names_no_release_is_from_before_the_first_and_is_told_so() -> None:
    with pytest.raises(VersionMismatch, match=r"yours is from before 0\.2, the first release\. Nothing was"):
        check_researcher(Told(None, ()))
    with pytest.raises(VersionMismatch, match=r"'north' runs Wanwu from before 0\.2, the first release; .* here\.?"):
        check_datasite(Told(None, ()), "north")


def test_an_older_side_leaves_it_to_a_newer_one_that_still_speaks_its_protocol() -> None:
    newer = Told(Release(3, 0, 0), (1, 2))
    check_researcher(newer)
    assert check_datasite(newer, "north") == newer.release


def test_a_protocol_that_a_side_does_not_speak_is_refused_by_it_with_both_releases() -> None:
    with pytest.raises(VersionMismatch) as refused:
        check_researcher(Told(Release(0, 9, 0), (2,)), here=NOW, minors=((0, 2),))
    assert refused.value.public == (
        "This datasite runs Wanwu 0.2.0 and speaks protocol 1; yours is 0.9.0 and speaks protocol 2. Nothing was asked "
        "for or charged. Ask the hospital to update to Wanwu 0.9, or use Wanwu 0.2 on the researcher's side."
    )
    with pytest.raises(VersionMismatch) as refused:
        check_datasite(Told(Release(0, 9, 0), (2, 3)), "north", here=NOW, minors=((0, 2),))
    assert refused.value.public == (
        "Datasite 'north' runs Wanwu 0.9.0 and speaks protocol 2 and 3; the researcher's side here is 0.2.0 and speaks "
        "protocol 1. Nothing more was submitted or spent. Install Wanwu 0.9 here."
    )
    with pytest.raises(VersionMismatch, match="speaks no protocol that it names"):
        check_datasite(Told(NOW, ()), "north")
