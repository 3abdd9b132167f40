"""The hospital's people: tokens that are only known by their hash, roles that are checked, accounts that end."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from support.added_people import BY_OWNER, add_person

from datasites.access.people import ADMIN, AUDITOR, REVIEWER
from datasites.access.staff import Person, Staff
from policies.errors import ConfigError, NotAllowed, SignInFailed


@pytest.fixture
def staff(tmp_path: Path) -> Staff:
    return Staff(tmp_path / "staff.json", tmp_path / "staff", owner="admin@clinic.org", owner_token="the owner's")


def token_of(file: Path) -> str:
    return str(json.loads(file.read_text())["token"])


def test_the_owner_is_an_admin_and_no_named_person(staff: Staff) -> None:
    owner = staff.of_token("the owner's")
    assert (owner.name, owner.role, owner.named) == ("admin@clinic.org", "admin", False)


def test_a_person_is_known_by_the_token_of_the_file(staff: Staff) -> None:
    person = staff.of_token(token_of(add_person(staff, "dr.wu", REVIEWER)))
    assert (person.name, person.role, person.named) == ("dr.wu", "reviewer", True)


def test_no_token_is_kept_and_files_are_the_owners_only(staff: Staff, tmp_path: Path) -> None:
    file = add_person(staff, "dr.wu", REVIEWER)
    assert token_of(file) not in (tmp_path / "staff.json").read_text()
    for private in (file, tmp_path / "staff.json"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600


@pytest.mark.parametrize("token", ["", "wrong"])
def test_other_tokens_are_nobodys(staff: Staff, token: str) -> None:
    add_person(staff, "dr.wu", REVIEWER)
    with pytest.raises(SignInFailed):
        staff.of_token(token)


def test_an_account_that_was_removed_ends_at_once(staff: Staff) -> None:
    token = token_of(add_person(staff, "dr.wu", REVIEWER))
    staff.remove("dr.wu")
    with pytest.raises(SignInFailed):
        staff.of_token(token)
    with pytest.raises(ConfigError):
        staff.remove("dr.wu")


@pytest.mark.parametrize(("name", "role"), [("dr.wu", REVIEWER), ("Dr Wu", REVIEWER), ("other", "researcher")])
def test_taken_names_other_spellings_and_other_roles_are_refused(staff: Staff, name: str, role: str) -> None:
    add_person(staff, "dr.wu", AUDITOR)
    with pytest.raises(ConfigError):
        add_person(staff, name, role)
    assert [one.name for one in staff.list()] == ["dr.wu"]


def test_nobody_is_given_the_name_of_the_state_folders_owner(tmp_path: Path) -> None:
    staff = Staff(tmp_path / "staff.json", tmp_path / "staff", owner="owner", owner_token="the owner's")
    with pytest.raises(ConfigError, match="already"):
        add_person(staff, "owner", AUDITOR)
    assert staff.list() == []


def test_a_role_that_may_not_is_refused_with_the_roles_that_may(staff: Staff) -> None:
    person = staff.of_token(token_of(add_person(staff, "dr.wu", AUDITOR)))
    person.must_be("admin", "auditor")
    with pytest.raises(NotAllowed, match="admin, reviewer"):
        person.must_be("admin", "reviewer")


def test_a_file_of_accounts_that_cannot_be_read_lets_nobody_in(staff: Staff, tmp_path: Path) -> None:
    (tmp_path / "staff.json").write_text("{")
    with pytest.raises(ConfigError):
        staff.of_token("the owner's")


def people(staff: Staff, **roles: str) -> dict[str, Person]:
    return {name: staff.of_token(token_of(add_person(staff, name, role))) for name, role in roles.items()}


def role_of(staff: Staff, name: str) -> str:
    known = staff.known(name)
    assert known
    return known.person.role


def test_a_role_that_may_do_more_takes_as_many_admins_as_are_needed_and_never_the_person(staff: Staff) -> None:
    known = people(staff, a=ADMIN, b=ADMIN, c=AUDITOR)
    owner = staff.of_token("the owner's")
    for person in (owner, known["c"]):
        with pytest.raises(NotAllowed):
            staff.change_role("c", ADMIN, by=person, needed=2)
    for _ in range(2):
        assert not staff.change_role("c", REVIEWER, by=known["a"], needed=2).in_force
    assert (role_of(staff, "c"), staff.list()[2].proposed_role, staff.list()[2].proposed_by) == (
        "auditor",
        REVIEWER,
        ("a",),
    )
    assert not staff.change_role("c", ADMIN, by=known["b"], needed=2).in_force, "another role is another proposal"
    outcome = staff.change_role("c", ADMIN, by=known["a"], needed=2)
    assert outcome.in_force and outcome.people == ("a", "b") and role_of(staff, "c") == ADMIN
    assert staff.list()[2].proposed_role == ""


def test_who_proposed_a_role_and_is_no_admin_any_more_or_did_so_long_ago_does_not_stand_behind_it(
    staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = people(staff, a=ADMIN, b=ADMIN, c=AUDITOR)
    staff.change_role("c", REVIEWER, by=known["a"], needed=2)
    staff.change_role("a", AUDITOR, by=known["b"], needed=2)
    assert not staff.change_role("c", REVIEWER, by=known["b"], needed=2).in_force
    monkeypatch.setattr("datasites.access.staff_roles.PROPOSED_FOR", timedelta(0))
    staff.change_role("a", ADMIN, by=known["b"], needed=1)
    assert not staff.change_role("c", REVIEWER, by=known["a"], needed=2).in_force


def test_a_role_that_may_do_less_is_given_at_once_and_ends_sessions_but_the_last_admin_stays(staff: Staff) -> None:
    known = people(staff, a=ADMIN, b=ADMIN)
    before = staff.known("a")
    assert staff.change_role("a", REVIEWER, by=known["b"], needed=2).in_force
    after = staff.known("a")
    assert before and after and before.mark != after.mark
    with pytest.raises(ConfigError, match="only admin"):
        staff.change_role("b", AUDITOR, by=known["b"], needed=1)
    for name, role in (("a", REVIEWER), ("nobody", ADMIN), ("a", "researcher")):
        with pytest.raises(ConfigError):
            staff.change_role(name, role, by=known["b"], needed=1)


def admins(staff: Staff, *names: str) -> tuple[Person, ...]:
    return tuple(people(staff, **dict.fromkeys(names, ADMIN)).values())


def test_while_fewer_admins_than_needed_have_accounts_the_owner_alone_adds_people_and_nobody_else(staff: Staff) -> None:
    for name, role in (("w", REVIEWER), ("a", ADMIN)):
        assert staff.add(name, role, by=BY_OWNER, needed=2, url="").role.in_force and role_of(staff, name) == role
    first = Person("a", ADMIN, named=True)
    assert not staff.add("c", REVIEWER, by=first, needed=2, url="").role.in_force and role_of(staff, "c") == AUDITOR
    assert staff.change_role("c", REVIEWER, by=BY_OWNER, needed=2).people == ("a", "admin@clinic.org")
    assert staff.add("b", ADMIN, by=BY_OWNER, needed=2, url="").role.in_force
    with pytest.raises(NotAllowed, match="--as FILE"):
        staff.add("d", REVIEWER, by=BY_OWNER, needed=2, url="")
    assert staff.known("d") is None and staff.add("d", AUDITOR, by=BY_OWNER, needed=2, url="").role.in_force


def test_a_person_who_is_added_is_an_auditor_until_as_many_admins_as_are_needed_want_more(staff: Staff) -> None:
    a, b, _ = admins(staff, "a", "b", "c")
    handed = staff.add("w", REVIEWER, by=a, needed=3, url="")
    known = staff.of_token(token_of(handed.file))
    assert (known.role, handed.role.in_force, handed.role.people) == (AUDITOR, False, ("a",))
    assert not staff.change_role("w", REVIEWER, by=b, needed=3).in_force
    outcome = staff.change_role("w", REVIEWER, by=Person("c", ADMIN, named=True), needed=3)
    assert outcome.people == ("a", "b", "c") and role_of(staff, "w") == REVIEWER


def test_who_begins_anew_has_the_role_again_only_by_as_many_admins_as_are_needed(staff: Staff) -> None:
    a, b, c = admins(staff, "a", "b", "c")
    people(staff, w=REVIEWER)
    handed = staff.reset("w", by=a, needed=2, url="")
    assert staff.of_token(token_of(handed.file)).role == AUDITOR and handed.role.people == ("a",)
    assert staff.change_role("w", REVIEWER, by=b, needed=2).in_force
    for nobody in (BY_OWNER, c):  # the owner's token is no person's, and nobody counts for themselves
        handed = staff.reset("c", by=nobody, needed=2, url="")
        assert (handed.role.in_force, handed.role.people, role_of(staff, "c")) == (False, (), AUDITOR)
        staff.change_role("c", ADMIN, by=a, needed=2)
        assert staff.change_role("c", ADMIN, by=b, needed=2).in_force
    staff.change_role("c", AUDITOR, by=a, needed=2)
    staff.change_role("c", REVIEWER, by=a, needed=2)
    assert staff.reset("c", by=b, needed=2, url="").role.in_force, "an auditor stays one"
    assert not staff.change_role("c", REVIEWER, by=b, needed=2).in_force, "the role was asked for another token"


def test_with_as_many_admins_as_needed_the_owner_has_one_of_them_begin_anew_and_stay_an_admin(staff: Staff) -> None:
    a, _ = admins(staff, "a", "b")
    assert not staff.reset("b", by=a, needed=2, url="").role.in_force and role_of(staff, "b") == AUDITOR
    with pytest.raises(ConfigError, match="only admin"):
        staff.reset("a", by=a, needed=2, url="")
    assert staff.of_token(token_of(staff.reset("a", by=BY_OWNER, needed=2, url="").file)).role == ADMIN
    assert staff.change_role("b", ADMIN, by=BY_OWNER, needed=2).in_force


def test_the_last_admin_with_an_account_is_not_removed(staff: Staff) -> None:
    admins(staff, "a", "b")
    staff.remove("b")
    with pytest.raises(ConfigError, match="Make somebody else an admin first"):
        staff.remove("a")
    assert role_of(staff, "a") == ADMIN


def test_an_admin_who_took_all_others_away_gives_nobody_a_role_that_may_do_more(staff: Staff) -> None:
    a, _, c = admins(staff, "a", "b", "c")
    people(staff, w=AUDITOR)
    staff.change_role("w", REVIEWER, by=c, needed=2)
    for name in ("b", "c"):
        staff.remove(name)
    assert not staff.change_role("w", REVIEWER, by=a, needed=2).in_force, "who is gone stands behind nothing"
    assert not staff.add("d", ADMIN, by=a, needed=2, url="").role.in_force
    assert not staff.change_role("d", ADMIN, by=a, needed=2).in_force
    assert (role_of(staff, "w"), role_of(staff, "d")) == (AUDITOR, AUDITOR)
