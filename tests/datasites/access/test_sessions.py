"""Sessions end: unused, after a day's work, and with every change of their account. Links open one, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.added_people import BY_OWNER, add_person
from support.console_pages import Clock

from datasites.access import sessions as module
from datasites.access.link_codes import MOST_CODES, LinkCodes
from datasites.access.people import ADMIN, REVIEWER
from datasites.access.sessions import Sessions
from datasites.access.staff import Person, Staff
from policies.errors import SignInFailed

WU, OWNER = Person("dr.wu", REVIEWER, named=True), Person("admin@clinic.org", ADMIN, named=False)


@pytest.fixture
def staff(tmp_path: Path) -> Staff:
    made = Staff(tmp_path / "staff.json", tmp_path / "staff", owner=OWNER.name, owner_token="the owner's")
    add_person(made, "dr.wu", REVIEWER)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(staff: Staff, clock: Clock) -> Sessions:
    return Sessions(staff, idle_seconds=60, longest_seconds=300, clock=clock)


def test_each_session_has_an_identifier_of_its_own_that_is_not_kept(sessions: Sessions) -> None:
    one, other = sessions.begin(WU), sessions.begin(WU)
    assert one != other and len(one) >= 43
    found = sessions.find(one)
    assert found and found.person == WU
    assert one not in repr(vars(sessions))
    assert not any(sessions.find(wrong) for wrong in ("", one[:-1], one + "a", "\ud800"))


def test_use_keeps_a_session_open_until_it_is_too_old(sessions: Sessions, clock: Clock) -> None:
    used, unused = sessions.begin(WU), sessions.begin(WU)
    for _ in range(5):
        clock.now += 60
        assert sessions.find(used)
    assert not sessions.find(unused)
    clock.now += 1
    assert not sessions.find(used), "however much it was used"


def test_a_session_that_ended_is_none_and_others_stay(sessions: Sessions) -> None:
    one, other = sessions.begin(WU), sessions.begin(WU)
    sessions.end(one)
    sessions.end(one)
    assert (sessions.find(one), bool(sessions.find(other))) == (None, True)


@pytest.mark.parametrize("change", ["removed", "role", "password", "reset", "second factor", "added again"])
def test_every_change_of_an_account_ends_its_sessions_and_no_other(
    sessions: Sessions, staff: Staff, change: str
) -> None:
    own, owners = sessions.begin(WU), sessions.begin(OWNER)
    if change == "removed":
        staff.remove("dr.wu")
    elif change == "role":
        staff.change("dr.wu", lambda account: replace(account, role=ADMIN))
    elif change == "password":
        staff.change("dr.wu", lambda account: replace(account, password="x"))
    elif change == "reset":
        staff.reset("dr.wu", by=BY_OWNER, needed=1, url="")
    elif change == "second factor":
        staff.set_second_factor("dr.wu", "S", 0)
    else:
        staff.remove("dr.wu")
        add_person(staff, "dr.wu", REVIEWER)
    assert (sessions.find(own), bool(sessions.find(owners))) == (None, True)


def test_a_code_that_was_taken_ends_no_session(sessions: Sessions, staff: Staff) -> None:
    own = sessions.begin(WU)
    staff.change("dr.wu", lambda account: replace(account, second_factor_step=7))
    assert sessions.find(own)


def test_nobody_gets_a_session_whose_account_has_ended(sessions: Sessions, staff: Staff) -> None:
    staff.remove("dr.wu")
    with pytest.raises(SignInFailed):
        sessions.begin(WU)


def test_a_session_has_the_role_of_the_account_and_not_of_who_asked(sessions: Sessions) -> None:
    found = sessions.find(sessions.begin(Person("dr.wu", ADMIN, named=True)))
    assert found and found.person.role == REVIEWER


def test_as_many_are_kept_as_fit_and_the_longest_unused_goes(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 2)
    first, second = sessions.begin(WU), sessions.begin(WU)
    sessions.find(first)
    third = sessions.begin(WU)
    assert [bool(sessions.find(one)) for one in (first, second, third)] == [True, False, True]


def test_notices_are_told_once_and_are_not_too_many(sessions: Sessions) -> None:
    session = sessions.find(sessions.begin(WU, notice="first"))
    assert session and session.take_notices() == ("first",) and session.take_notices() == ()
    for number in range(30):
        session.tell(str(number))
    assert session.take_notices() == tuple(map(str, range(20, 30)))


def test_a_link_opens_once_for_whom_it_was_given_within_a_minute(clock: Clock) -> None:
    links = LinkCodes(clock)
    code, late = links.give(WU), links.give(OWNER)
    assert code not in repr(vars(links))
    assert links.take(code) == WU
    clock.now += 61
    for none in (code, late, "", "\ud800"):
        with pytest.raises(SignInFailed):
            links.take(none)


def test_the_links_that_were_given_are_bounded(clock: Clock) -> None:
    links = LinkCodes(clock)
    codes = [links.give(WU) for _ in range(MOST_CODES + 1)]
    with pytest.raises(SignInFailed):
        links.take(codes[0])
    assert links.take(codes[-1]) == WU
